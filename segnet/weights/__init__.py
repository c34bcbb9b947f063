"""Trained weights (fp16 safetensors) with their model cards."""

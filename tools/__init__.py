"""Commands for training, evaluation, benchmarks and reports."""

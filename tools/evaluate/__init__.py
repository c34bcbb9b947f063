"""`evaluate-segnet`."""

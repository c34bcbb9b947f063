"""`train-segnet`."""

"""`export-segnet`."""

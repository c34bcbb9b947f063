"""`fuzz-codec`."""

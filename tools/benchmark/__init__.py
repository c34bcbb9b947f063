"""`benchmark-segnet`, `benchmark-codec`, `benchmark-encode`, `benchmark-attention`."""

"""What `--flow-source` may be without a file; importing this takes no time."""

CODEC = "motion"
"""The codec's own motion: vectors or recovered references."""

UNTRAINED = ("dis", "none")
"""Flow that has no weights: dense inverse search, and none."""

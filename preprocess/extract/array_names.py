"""The arrays that an archive of `preprocess extract` may lack."""

OPTIONAL = ("qp", "motion", "composed", "intra")
"""The arrays that `--without` can leave out."""
SIGNALS = ("residual", "novelty")
"""The arrays that `--signals` adds, from the decoded pictures."""
ARRAYS = OPTIONAL + SIGNALS
"""All arrays that an archive may lack."""

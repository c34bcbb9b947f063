"""The arrays that an archive of `preprocess extract` may lack."""

from __future__ import annotations

from collections.abc import Collection

RECOVERED = ("reference", "confidence", "vectors")
"""Arrays that streams have, beside `motion`, whose vectors point to several pictures and not to the frame before."""
OPTIONAL = ("qp", "motion", *RECOVERED, "composed", "intra")
"""The arrays that `--without` can leave out; without `motion` there are none of `RECOVERED`."""
SIGNALS = ("residual", "novelty")
"""The arrays that `--signals` adds, from the decoded pictures."""
ARRAYS = OPTIONAL + SIGNALS
"""All arrays that an archive may lack."""


def in_order(arrays: Collection[str]) -> list[str]:
    """Those of ARRAYS that are asked for, in their order; without `motion` none of RECOVERED."""
    return [name for name in ARRAYS if name in arrays and (name not in RECOVERED or "motion" in arrays)]

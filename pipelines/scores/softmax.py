"""Softmax of scores by cell, bit for bit the same with compiled loops and without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...compiled import Loops, for_loops

LOOPS = Loops(f"{__package__}.loops")
_MOST = 128  # classes, which NumPy sums in one way


def probabilities(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (h, w, classes) as probabilities."""
    return _shared_out(scores)[0]


def certainty(scores: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Of scores (h, w, classes): the best class of each cell, (h, w) uint8, the first of equals, and by how much its
    probability is above the second's, 1 where there is one class only."""
    shares, best = _shared_out(scores)
    classes = scores.shape[2]
    lead = np.ones(scores.shape[:2], np.float32)
    if classes == 1:
        return np.zeros(scores.shape[:2], np.uint8), lead
    loops = LOOPS.get()
    if loops is not None and best is not None:
        loops.find_lead(shares.reshape(-1, classes), lead.reshape(-1))
        return best, lead
    lead = shares.max(2) - np.partition(shares, classes - 2, axis=2)[..., -2]
    return scores.argmax(2).astype(np.uint8), lead


def _shared_out(scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Probabilities, and the best classes where they are a by-product."""
    loops, classes = LOOPS.get(), scores.shape[2]
    if loops is None or classes > _MOST:
        powers = np.exp(scores - scores.max(2, keepdims=True))
        shares: NDArray[np.float32] = powers / powers.sum(2, keepdims=True)
        return shares, None
    found, best = np.empty(scores.shape, np.float32), np.empty(scores.shape[:2], np.uint8)
    rows = found.reshape(-1, classes)
    loops.subtract_best(for_loops(scores, np.float32).reshape(-1, classes), rows, best.reshape(-1))
    np.exp(rows, out=rows)
    loops.share_out(rows)
    return found, best

"""Compiled loops of softmax. Import it through `Loops`.

Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compiled import compiled_loop


@compiled_loop("void(float32[:, ::1], float32[:, ::1], uint8[::1])")
def subtract_best(scores: NDArray[np.float32], found: NDArray[np.float32], best: NDArray[np.uint8]) -> None:
    """Write scores (cells, classes) less the best of their cell, and which that is, the first of equals."""
    for i in range(best.size):
        k, first = np.uint64(i), np.uint64(0)
        for j in range(1, scores.shape[1]):
            if scores[k, np.uint64(j)] > scores[k, first]:
                first = np.uint64(j)
        highest = scores[k, first]
        best[k] = np.uint8(first)
        for j in range(scores.shape[1]):
            found[k, np.uint64(j)] = scores[k, np.uint64(j)] - highest


@compiled_loop("float32(float32[:, ::1], uint64)")
def _sum(powers: NDArray[np.float32], k: Any) -> Any:
    """The sum of a row of at most 128 in NumPy's order: eight sums side by side, these in pairs, then what is left."""
    count = powers.shape[1]
    total = np.float32(0)
    if count < 8:
        for j in range(count):
            total += powers[k, np.uint64(j)]
        return total
    a, b, c, d = powers[k, 0], powers[k, 1], powers[k, 2], powers[k, 3]
    e, f, g, h = powers[k, 4], powers[k, 5], powers[k, 6], powers[k, 7]
    for first in range(8, count - count % 8, 8):
        at = np.uint64(first)
        a, b, c, d = (
            a + powers[k, at], b + powers[k, at + np.uint64(1)], c + powers[k, at + np.uint64(2)],
            d + powers[k, at + np.uint64(3)],
        )  # fmt: skip
        e, f, g, h = (
            e + powers[k, at + np.uint64(4)], f + powers[k, at + np.uint64(5)], g + powers[k, at + np.uint64(6)],
            h + powers[k, at + np.uint64(7)],
        )  # fmt: skip
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for j in range(count - count % 8, count):
        total += powers[k, np.uint64(j)]
    return total


@compiled_loop("void(float32[:, ::1])")
def share_out(powers: NDArray[np.float32]) -> None:
    """Divide each row by its sum, in place."""
    for i in range(powers.shape[0]):
        k = np.uint64(i)
        total = _sum(powers, k)
        for j in range(powers.shape[1]):
            powers[k, np.uint64(j)] /= total


@compiled_loop("void(float32[:, ::1], float32[::1])")
def find_lead(shares: NDArray[np.float32], lead: NDArray[np.float32]) -> None:
    """Write by how much the greatest of each row, of at least two, is above the second."""
    for i in range(lead.size):
        k = np.uint64(i)
        first, second = max(shares[k, 0], shares[k, 1]), min(shares[k, 0], shares[k, 1])
        for j in range(2, shares.shape[1]):
            each = shares[k, np.uint64(j)]
            second = max(second, min(first, each))
            first = max(first, each)
        lead[k] = first - second

"""Run-length encoding of masks in the form of the COCO data set's tools (Lin et al., "Microsoft COCO", ECCV 2014).

A mask is read column by column; the runs alternate between 0 and 1, the first one of 0. Run lengths, from the fourth on
as the difference to the one before the last, are written in groups of five bits, lowest first, as characters from '0'.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_GROUPS = 7  # five bits each: enough for any 32-bit run


def encode_labels(labels: NDArray[np.uint8]) -> Iterator[tuple[int, str]]:
    """Each value in (H, W) `labels`, in rising order, with the counts string of its mask."""
    flat = labels.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    values = flat[starts]
    for value in np.unique(values):
        mine = values == value
        yield int(value), _compress(_runs(starts[mine], ends[mine], flat.size))


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """The counts string of one (H, W) mask."""
    encoded = dict(encode_labels(mask.astype(np.uint8)))
    return encoded.get(1) or _compress(np.array([mask.size]))


def decode_mask(counts: str, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The (H, W) mask of a counts string; ValueError if the runs do not add up to the size."""
    codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - ord("0")
    last = np.flatnonzero((codes & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    group = np.arange(len(codes)) - np.repeat(first, last - first + 1)
    runs = np.add.reduceat((codes & 0x1F) << (5 * group), first)
    runs -= ((codes[last] & 0x10) != 0) * (np.int64(1) << (5 * (last - first + 1)))
    runs[1::2] = np.cumsum(runs[1::2])  # undo the differences: odd runs are one running sum, even ones another
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.sum() != size_hw[0] * size_hw[1] or (runs < 0).any():
        raise ValueError(f"the runs cover {runs.sum()} pixels, not the {size_hw[0]}x{size_hw[1]} of the mask")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size_hw, order="F")


def _runs(starts: NDArray[np.intp], ends: NDArray[np.intp], size: int) -> NDArray[np.int64]:
    """Alternating lengths, zeros first, of a mask that is 1 in each [start, end)."""
    bounds = np.stack([starts, ends], 1).ravel()
    runs = np.diff(bounds, prepend=0, append=size)
    return runs if runs[-1] else runs[:-1]


def _compress(runs: NDArray[np.int64]) -> str:
    values = runs.astype(np.int64)
    values[3:] -= runs[1:-2]
    groups = values[:, None] >> (5 * np.arange(_GROUPS))
    rest = groups >> 5
    negative = (groups & 0x10) != 0
    more = np.where(negative, rest != -1, rest != 0)
    codes = ((groups & 0x1F) + np.where(more, 0x20, 0) + ord("0")).astype(np.uint8)
    written = np.cumsum(~more, axis=1) - ~more == 0  # up to and including the first group without a successor
    text: bytes = codes[written].tobytes()
    return text.decode("ascii")

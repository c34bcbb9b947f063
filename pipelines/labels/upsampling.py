"""Logits at the network's stride to one label a pixel, doing the interpolation only where it can matter."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...compiled import Loops, for_loops

LOOPS = Loops(f"{__package__}.loops")
WORD = 4
"""Pixels that compiled loops write at a time."""

_WORDS: dict[int, type[np.unsignedinteger]] = {2: np.uint16, 4: np.uint32, 8: np.uint64}
ROUNDING = 1e-5
"""Of sums of probabilities."""

_MOST_ANEW = 0.6
_CACHED = 1 << 18  # numbers of 4 bytes that are worked on at a time


def upsample_labels(
    logits: NDArray[np.float32], stride: int, size_hw: tuple[int, int], *, are_probabilities: bool = False
) -> NDArray[np.uint8]:
    """The argmax of bilinearly upsampled logits, (H, W) uint8.

    `logits` is (h, w, classes) with entry (i, j) at the centre of the `stride` x `stride` pixel cell (i, j); the
    interpolation is `align_corners=False` by exactly `stride` (even, or 1), replicating the border, cropped to
    `size_hw`. With `are_probabilities` no value is below 0, and an entry's sum to about 1, which saves time.

    Between four neighbours with the same argmax, every bilinear mixture has that argmax too, because each mixture is
    convex; so only the quads whose corners disagree are interpolated. The result equals the plain way, up to rounding
    between equal logits. Raises ValueError where the logits do not cover `size_hw` or there are more than 256 classes.
    """
    rows, columns, classes = logits.shape
    check_cover((rows, columns, classes), stride, size_hw)
    entries = np.ascontiguousarray(logits).reshape(-1, classes)
    most = largest_sum(entries) if are_probabilities else None
    loops = LOOPS.get() if can_compile(stride) else None
    if loops is not None:
        return _drawn(loops, for_loops(entries, np.float32), (rows, columns), stride, most, size_hw)
    best = best_of_entries(entries).reshape(rows, columns)
    if stride == 1:
        return np.ascontiguousarray(best[: size_hw[0], : size_hw[1]])
    labels = LabelMap((rows, columns), stride)
    labels.update(best, entries, most=most)
    return labels.cropped(size_hw)


def can_compile(stride: int) -> bool:
    """Whether compiled loops take cells of `stride` pixels."""
    return stride % WORD == 0


def _drawn(
    loops: Any,
    entries: NDArray[np.float32],
    grid_hw: tuple[int, int],
    stride: int,
    most: float | None,
    size_hw: tuple[int, int],
) -> NDArray[np.uint8]:
    """The same by compiled loops."""
    (cells, classes), (rows, columns), words = entries.shape, grid_hw, stride // WORD
    known, best = entries.reshape(-1), np.empty(cells, np.uint8)
    loops.settle(known, classes, classes, np.arange(cells), cells, best)
    labels, line = np.empty(size_hw, np.uint8), np.empty((columns + 1) * words, np.uint32)
    quads = np.empty((rows + 1) * (columns + 1) + 1, np.int64)
    mixed = loops.fill(best, rows, columns, words, line, labels, quads)
    limit = np.float32(np.inf if most is None else most + ROUNDING)
    scratch = np.empty(classes + 1, np.uint64), np.empty(16, np.float32), np.zeros(4, np.uint32)
    drawn = np.empty((rows + 1) * (columns + 1) * stride * words, np.uint32)
    loops.draw(known, rows, columns, classes, classes, best, quads, mixed, limit, words, labels, drawn, *scratch)
    return labels


def check_cover(shape: tuple[int, int, int], stride: int, size_hw: tuple[int, int]) -> None:
    """ValueError where logits of a shape cannot be labels of `size_hw`."""
    rows, columns, classes = shape
    if (stride != 1 and stride % 2) or classes > 256 or rows * stride < size_hw[0] or columns * stride < size_hw[1]:
        raise ValueError(f"logits {shape} at stride {stride} cannot give uint8 labels of size {size_hw}")


def best_of_entries(entries: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first of the largest of each of n entries, (n, classes) of 256 at most."""
    return argmax_of_planes(np.asarray(cv2.transpose(entries), np.float32)) if len(entries) else np.empty(0, np.uint8)


def largest_sum(entries: NDArray[np.float32]) -> float:
    """The largest sum of the scores of one of n entries, (n, classes)."""
    return float((entries @ np.ones(entries.shape[1], np.float32)).max())


def argmax_of_planes(planes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first of the largest along the first axis of (classes, ...), of 256 at most."""
    best = np.zeros(planes.shape[1:], np.uint8)
    most, larger = planes[0].copy(), np.empty(planes.shape[1:], np.bool_)
    number_there = larger.view(np.uint8)
    for number, plane in enumerate(planes[1:], 1):
        np.greater(plane, most, out=larger)
        np.maximum(plane, most, out=most)
        np.multiply(number_there, np.uint8(number), out=number_there)
        np.maximum(best, number_there, out=best)  # later ones are higher
    return best


def range_of_quads(best: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Of labels (h, w) of entries: the lowest and the highest at each quad's corners, both (h + 1, w + 1).

    Quad (i, j) lies between the entries (i - 1, j - 1), (i - 1, j), (i, j - 1) and (i, j); the border is repeated
    outwards."""
    padded = np.asarray(cv2.copyMakeBorder(best, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8)
    (left, right), (top, bottom) = (padded[:, :-1], padded[:, 1:]), (slice(-1), slice(1, None))
    low, high = np.minimum(left, right), np.maximum(left, right)
    return np.minimum(low[top], low[bottom]), np.maximum(high[top], high[bottom])


class LabelMap:
    """Labels of a picture, made of those of entries (h, w) at the centres of cells of `stride` pixels (even) and, where
    neighbours disagree, of the scores behind them."""

    def __init__(self, grid_hw: tuple[int, int], stride: int) -> None:
        self._grid_hw, self._stride = grid_hw, stride
        size = math.gcd(stride, 8)
        self._word, self._in_line = _WORDS[size], stride // size
        self._ones = self._word(int.from_bytes(b"\x01" * size, "little"))
        rows, columns = grid_hw[0] + 1, grid_hw[1] + 1
        self._words = np.empty((rows, stride, columns, self._in_line), self._word)
        self._mixed = np.empty((rows * columns, stride * self._in_line), self._word)  # of quads whose corners disagree
        self._is_kept = False  # what is there
        fraction = (np.arange(stride, dtype=np.float32) + 0.5) / stride
        down, right = np.repeat(fraction, stride), np.tile(fraction, stride)
        weights = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
        self._weights: NDArray[np.float32] = np.stack(weights, 1).astype(np.float32)

    def update(
        self,
        best: NDArray[np.uint8],
        scores: NDArray[np.float32],
        row_of: NDArray[np.intp] | None = None,
        changed: NDArray[np.bool_] | None = None,
        *,
        most: float | None = None,
    ) -> None:
        """Make the labels of entries whose `best` labels are (h, w) and whose scores (classes,) are rows of `scores`:
        `row_of` (h * w,) says which, None that they are all there in order.

        Scores count at the corners of quads whose labels differ only; there may be none of others. With `changed`
        (h, w), the other entries are as they were at the last call, and what lies between four of these stays as it is.
        Where no score is below 0, `most` may say what those of an entry sum to at most: 1, of probabilities.
        """
        low, high = range_of_quads(best)
        self._words[:] = (low.astype(self._word) * self._ones)[:, None, :, None]
        mixed = low != high
        at = np.flatnonzero(mixed)
        touched = at if changed is None else np.flatnonzero(mixed & _touched(changed))
        keeps = changed is None or len(touched) < _MOST_ANEW * len(at)  # else keeping takes longer than making anew
        anew = touched if keeps and self._is_kept else at
        self._is_kept = keeps
        if len(anew):
            corners = self._corners(anew)
            corners = corners if row_of is None else row_of.take(corners)
            quads = _Quads(low.reshape(-1)[anew], high.reshape(-1)[anew], scores, corners, self._weights)
            pixels = quads.labels(most).view(self._word)
            if keeps:
                self._mixed[anew] = pixels
            else:
                self._put(at, pixels)
        if keeps and len(at):
            self._put(at, self._mixed.take(at, axis=0))

    def cropped(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """The labels of a picture of `size_hw`, (H, W)."""
        half, (rows, stride, columns, _) = self._stride // 2, self._words.shape
        full = self._words.view(np.uint8).reshape(rows * stride, columns * stride)
        return np.ascontiguousarray(full[half : half + size_hw[0], half : half + size_hw[1]])

    def _put(self, at: NDArray[np.intp], pixels: NDArray[np.unsignedinteger]) -> None:
        """Set the pixels (n, words) of quads `at`."""
        _, stride, columns, in_line = self._words.shape
        words = self._words.reshape(-1, in_line) if in_line > 1 else self._words.reshape(-1)
        start = at + at // columns * ((stride - 1) * columns)
        for line in range(stride):
            part = pixels[:, line * in_line : (line + 1) * in_line]
            words[start + line * columns] = part if in_line > 1 else part[:, 0]

    def _corners(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """Flat indices (4, n) of the entries at the corners of quads `at`."""
        rows, columns = self._grid_hw
        y, x = np.divmod(at, columns + 1)
        top, bottom = np.maximum(y - 1, 0) * columns, np.minimum(y, rows - 1) * columns
        left, right = np.maximum(x - 1, 0), np.minimum(x, columns - 1)
        return np.stack([top + left, top + right, bottom + left, bottom + right])


def _touched(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of entries (h, w), which quads (h + 1, w + 1) have one that changed at a corner."""
    cells = cv2.copyMakeBorder(changed.view(np.uint8), 0, 1, 0, 1, cv2.BORDER_CONSTANT, value=0)
    touched = np.asarray(cv2.dilate(cells, np.ones((2, 2), np.uint8)), np.uint8)  # windows of two reach backwards
    return touched.view(np.bool_)


class _Quads:
    """Quads whose corners disagree: `low` and `high` are the lowest and highest of the corners' labels, (n,),
    `corners` (4, n) their rows in `scores`, and `weights` (pixels, 4) what the corners count in each pixel between."""

    def __init__(
        self,
        low: NDArray[np.uint8],
        high: NDArray[np.uint8],
        scores: NDArray[np.float32],
        corners: NDArray[np.intp],
        weights: NDArray[np.float32],
    ) -> None:
        self._low, self._high, self._scores, self._corners, self._weights = low, high, scores, corners, weights

    def labels(self, most: float | None) -> NDArray[np.uint8]:
        """The best classes of the pixels between, (n, pixels).

        Mostly `low` or `high` wins. No other class can where it has less than the mean of both at each corner, for
        mixtures are convex. Its own scores need not be looked at where the better of both has more than both leave
        over of `most`, the most that the scores of a corner, none of them below 0, sum to.
        """
        low, high, weights = self._low, self._high, self._weights
        flat, first = self._scores.reshape(-1), self._corners * self._scores.shape[1]
        at_low, at_high = flat.take(first + low), flat.take(first + high)
        one, other = weights @ at_low, weights @ at_high
        is_low = np.asarray(cv2.transpose((one >= other).view(np.uint8)), np.uint8)
        labels = _either(is_low, low, high)
        unsure = np.arange(len(low))
        if most is not None:
            surplus = np.maximum(one, other)
            surplus += one
            surplus += other
            unsure = np.flatnonzero(surplus.min(0) <= np.float32(most + ROUNDING))
        if len(unsure):
            planes = self._planes(unsure)
            middle = (np.float32(0.5) * (at_low + at_high)).take(unsure, axis=1)
            others = (planes > middle).any(1)
            which = np.arange(len(unsure))
            others[low[unsure], which] = others[high[unsure], which] = False
            more = np.flatnonzero(others.any(0))
            for begin in range(0, len(more), self._at_once):
                part = more[begin : begin + self._at_once]
                labels[unsure[part]] = argmax_of_planes(np.matmul(weights, planes.take(part, axis=2))).T
        return labels

    @property
    def _at_once(self) -> int:
        """Of how many quads all classes at all pixels fit into the cache."""
        return max(1, int(_CACHED // (self._scores.shape[1] * len(self._weights))))

    def _planes(self, at: NDArray[np.intp]) -> NDArray[np.float32]:
        """The scores (classes, 4, n) at the corners of quads `at`."""
        rows = self._scores.take(self._corners[:, at].reshape(-1), axis=0)
        return np.asarray(cv2.transpose(rows), np.float32).reshape(self._scores.shape[1], 4, len(at))


def _either(is_low: NDArray[np.uint8], low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, pixels): `low` (n,) where `is_low` (n, pixels) is 1, `high` where it is 0."""
    count, pixels = is_low.shape
    size = math.gcd(pixels, 8)
    word = _WORDS[size]
    ones = word(int.from_bytes(b"\x01" * size, "little"))
    unlike, chosen = (low ^ high).astype(word), is_low.reshape(-1).view(word).reshape(count, -1)
    chosen = chosen * unlike[:, None]  # of each byte, as both are less than 256
    chosen ^= (high.astype(word) * ones)[:, None]
    return chosen.view(np.uint8)

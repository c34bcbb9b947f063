"""Logits at the network's stride to one label a pixel, doing the interpolation only where it can matter."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Corners = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float32]]
"""Quads' rows and columns, (n,) each, to the scores of their corners, (classes, 4, n). Quad (i, j) lies between the
entries (i - 1, j - 1), (i - 1, j), (i, j - 1) and (i, j), in this order; the border is repeated outwards."""

_WORDS: dict[int, type[np.unsignedinteger]] = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def upsample_labels(logits: NDArray[np.float32], stride: int, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The argmax of bilinearly upsampled logits, (H, W) uint8.

    `logits` is (h, w, classes) with entry (i, j) at the centre of the `stride` x `stride` pixel cell (i, j); the
    interpolation is `align_corners=False` by exactly `stride` (even, or 1), replicating the border, cropped to
    `size_hw`.

    Between four neighbours with the same argmax, every bilinear mixture has that argmax too, because each mixture is
    convex; so only the quads whose corners disagree are interpolated. The result equals the plain way, up to rounding
    between equal logits. Raises ValueError where the logits do not cover `size_hw` or there are more than 256 classes.
    """
    rows, columns, classes = logits.shape
    check_cover((rows, columns, classes), stride, size_hw)
    planes = np.ascontiguousarray(logits.transpose(2, 0, 1))
    best = argmax_of_planes(planes)
    if stride == 1:
        return np.ascontiguousarray(best[: size_hw[0], : size_hw[1]])
    flat = planes.reshape(classes, -1)

    def corners(y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.take(flat, corner_entries(y, x, (rows, columns)), axis=1, mode="clip")

    return labels_between(best, corners, stride, size_hw)


def check_cover(shape: tuple[int, int, int], stride: int, size_hw: tuple[int, int]) -> None:
    """ValueError where logits of a shape cannot be labels of `size_hw`."""
    rows, columns, classes = shape
    if (stride != 1 and stride % 2) or classes > 256 or rows * stride < size_hw[0] or columns * stride < size_hw[1]:
        raise ValueError(f"logits {shape} at stride {stride} cannot give uint8 labels of size {size_hw}")


def argmax_of_planes(planes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first of the largest along the first axis of (classes, ...), of 256 at most."""
    best = np.zeros(planes.shape[1:], np.uint8)
    most = planes[0].copy()
    larger = np.empty(most.shape, np.bool_)
    for number, plane in enumerate(planes[1:], 1):
        np.greater(plane, most, out=larger)
        np.maximum(plane, most, out=most)
        np.copyto(best, number, where=larger, casting="unsafe")
    return best


def corner_entries(y: NDArray[np.intp], x: NDArray[np.intp], grid_hw: tuple[int, int]) -> NDArray[np.intp]:
    """Flat indices (4, n) of the entries at the corners of quads (y, x)."""
    rows, columns = grid_hw
    top, bottom = np.maximum(y - 1, 0) * columns, np.minimum(y, rows - 1) * columns
    left, right = np.maximum(x - 1, 0), np.minimum(x, columns - 1)
    return np.stack([top + left, top + right, bottom + left, bottom + right])


def disagreeing_quads(best: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Of labels (h, w) of entries: the label of each quad's first corner, and which have corners that disagree, both
    (h + 1, w + 1)."""
    padded = cv2.copyMakeBorder(best, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    first = padded[:-1, :-1]
    mixed = (first != padded[1:, :-1]) | (first != padded[:-1, 1:]) | (first != padded[1:, 1:])
    return np.ascontiguousarray(first), mixed


def labels_between(
    best: NDArray[np.uint8], corners: Corners, stride: int, size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """Labels (H, W) from the labels (h, w) of entries and, where neighbours disagree, the scores behind them; `stride`
    is even."""
    first, mixed = disagreeing_quads(best)
    rows, columns = first.shape
    full = _enlarged(first, stride)
    at = np.flatnonzero(mixed)
    if len(at):
        y, x = np.divmod(at, columns)
        pixels = _interpolated(corners(y, x), stride)
        if stride in _WORDS:
            words, lines = full.reshape(-1).view(_WORDS[stride]), pixels.reshape(-1).view(_WORDS[stride])
            start = y * (stride * columns) + x
            for line in range(stride):
                words[start + line * columns] = lines[line::stride]
        else:
            full.reshape(rows, stride, columns, stride)[y, :, x, :] = pixels.reshape(-1, stride, stride)
    half = stride // 2
    return np.ascontiguousarray(full[half : half + size_hw[0], half : half + size_hw[1]])


def _enlarged(labels: NDArray[np.uint8], stride: int) -> NDArray[np.uint8]:
    """(h, w) to (h * stride, w * stride), each entry repeated."""
    rows, columns = labels.shape
    if stride not in _WORDS:
        size = (columns * stride, rows * stride)
        return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    word = _WORDS[stride]
    full = np.empty((rows, stride, columns), word)
    full[:] = (labels * word(int.from_bytes(b"\x01" * stride, "little")))[:, None]
    return full.reshape(rows * stride, columns).view(np.uint8)


def _interpolated(corners: NDArray[np.float32], stride: int) -> NDArray[np.uint8]:
    """Labels (n, stride * stride) of the pixels between corners (classes, 4, n)."""
    classes, _, count = corners.shape
    fraction = (np.arange(stride, dtype=np.float32) + 0.5) / stride
    down, right = np.repeat(fraction, stride), np.tile(fraction, stride)
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], 1)
    # A class whose best corner is below another's worst corner cannot win: mostly two or three are left.
    most = np.maximum(np.maximum(corners[:, 0], corners[:, 1]), np.maximum(corners[:, 2], corners[:, 3]))
    least = np.minimum(np.minimum(corners[:, 0], corners[:, 1]), np.minimum(corners[:, 2], corners[:, 3]))
    possible = most >= least.max(0)
    left = np.add.reduce(possible, 0, dtype=np.uint16)
    labels = np.empty((count, stride * stride), np.uint8)
    many = np.flatnonzero((left != 2) & (left != 3))
    if len(many):
        labels[many] = argmax_of_planes(np.matmul(weights, corners[:, :, many])).T
    low, middle, high = (np.zeros(count, np.uint8) for _ in range(3))
    for number in range(classes):
        np.copyto(middle, high, where=possible[number])
        np.copyto(high, number, where=possible[number], casting="unsafe")
        np.copyto(low, classes - 1 - number, where=possible[classes - 1 - number], casting="unsafe")
    flat, corner = corners.reshape(-1), np.arange(0, 4 * count, count)[:, None]

    def chosen(which: NDArray[np.uint8], at: NDArray[np.intp]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = flat.take(corner + (which[at].astype(np.intp) * (4 * count) + at))
        return found

    two, three = np.flatnonzero(left == 2), np.flatnonzero(left == 3)
    lead = weights @ (chosen(low, two) - chosen(high, two))
    labels[two] = ((lead >= 0).view(np.uint8) * (low - high)[two] + high[two]).T  # `low` where it leads: uint8 wraps
    if len(three):
        first, second, third = (weights @ chosen(which, three) for which in (low, middle, high))
        winner = np.where(second > first, middle[three], low[three])
        labels[three] = np.where(third > np.maximum(first, second), high[three], winner).T
    return labels

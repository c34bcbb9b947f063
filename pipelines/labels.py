"""Logits at the network's stride to one label a pixel, doing the interpolation only where it can matter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


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
    height, width = size_hw
    if (stride != 1 and stride % 2) or classes > 256 or rows * stride < height or columns * stride < width:
        raise ValueError(f"logits {logits.shape} at stride {stride} cannot give uint8 labels of size {size_hw}")
    if stride == 1:
        return np.ascontiguousarray(logits[:height, :width].argmax(2).astype(np.uint8))
    planes = _replicate_border(logits)
    best: NDArray[np.uint8] = planes.argmax(0).astype(np.uint8)
    corner = best[:-1, :-1]
    mixed = (corner != best[1:, :-1]) | (corner != best[:-1, 1:]) | (corner != best[1:, 1:])
    full_size = ((columns + 1) * stride, (rows + 1) * stride)
    full = np.asarray(cv2.resize(corner, full_size, interpolation=cv2.INTER_NEAREST), np.uint8)
    y, x = np.nonzero(mixed)
    if len(y):
        quads = full.reshape(rows + 1, stride, columns + 1, stride)
        quads[y, :, x, :] = _interpolate_quads(planes, y, x, stride)
    half = stride // 2
    return np.ascontiguousarray(full[half : half + height, half : half + width])


def _replicate_border(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, classes) to (classes, h + 2, w + 2), the outermost entries repeated."""
    rows, columns, classes = logits.shape
    planes = np.empty((classes, rows + 2, columns + 2), np.float32)
    planes[:, 1:-1, 1:-1] = logits.transpose(2, 0, 1)
    planes[:, 0, 1:-1] = planes[:, 1, 1:-1]
    planes[:, -1, 1:-1] = planes[:, -2, 1:-1]
    planes[:, :, 0] = planes[:, :, 1]
    planes[:, :, -1] = planes[:, :, -2]
    return planes


def _interpolate_quads(
    planes: NDArray[np.float32], y: NDArray[np.intp], x: NDArray[np.intp], stride: int
) -> NDArray[np.uint8]:
    """Labels (n, stride, stride) of the pixels between entries (y, x), (y, x + 1), (y + 1, x) and (y + 1, x + 1)."""
    classes, _, columns = planes.shape
    first = y * columns + x
    four = np.stack([first, first + 1, first + columns, first + columns + 1])
    corners = np.take(planes.reshape(classes, -1), four, axis=1)
    fraction = (np.arange(stride, dtype=np.float32) + 0.5) / stride
    down, right = np.repeat(fraction, stride), np.tile(fraction, stride)
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], 1)
    # A class whose best corner is below another's worst corner cannot win: mostly two are left, and a sign decides.
    possible = corners.max(1) >= corners.min(1).max(0)
    pair = np.count_nonzero(possible, axis=0) == 2
    labels = np.empty((stride * stride, len(y)), np.uint8)
    several = np.flatnonzero(~pair)
    labels[:, several] = np.matmul(weights, corners[:, :, several]).argmax(0)
    two = np.flatnonzero(pair)
    low = possible[:, two].argmax(0)
    high = classes - 1 - possible[::-1, two].argmax(0)
    lead = weights @ (corners[low, :, two] - corners[high, :, two]).T
    labels[:, two] = np.where(lead >= 0, low, high)
    return labels.T.reshape(-1, stride, stride)

"""The residual stand-in: a picture less what its reference, moved by the codec's vectors, says of it.

Decoders do not export the residual that a stream codes. Its stand-in differs from it by the coder's sub-blocks smaller
than 8x8, its interpolation filter (bilinear here), its deblocking, and the reference frame, which is the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .field import BLOCK, MotionField

_BAND = 32  # rows


def compensate(reference: NDArray[np.uint8], field: MotionField) -> NDArray[np.uint8]:
    """The prediction of a picture: `reference` sampled at `x + dx, y + dy`, bilinearly, in uint8.

    `reference` is (H, W) or (H, W, channels) of the field's size. Every pixel moves with the field's cell that it lies
    in; positions outside take the nearest border pixel. Cells without reference have displacement 0: the same place.
    ValueError if the sizes differ.
    """
    if reference.shape[:2] != field.size_hw:
        raise ValueError(
            f"a reference of {reference.shape[:2]} does not fit a field for pictures of {field.size_hw}; "
            "give the picture before, of the same video"
        )
    height, width = field.size_hw
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) / side).astype(np.intp), count - 1)
        for size, side, count in zip(field.size_hw, field.cell, field.unreferenced.shape, strict=True)
    )
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    predicted = np.empty(reference.shape, np.uint8)
    for band in _bands(height):
        shift = field.displacement.take(rows[band], 0).take(columns, 1)
        predicted[band] = cv2.remap(
            reference, shift[..., 0] + x, shift[..., 1] + y[band], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return predicted


def residual_of(picture: NDArray[np.uint8], reference: NDArray[np.uint8], field: MotionField) -> NDArray[np.int16]:
    """`picture` less `compensate(reference, field)`, int16 in -255..255; (H, W) luma or (H, W, 3) RGB alike.

    ValueError if the sizes differ.
    """
    if picture.shape != reference.shape:
        raise ValueError(f"a picture of {picture.shape} and a reference of {reference.shape} cannot be compared")
    return np.asarray(cv2.subtract(picture, compensate(reference, field), dtype=cv2.CV_16S), np.int16)


def block_energy(values: NDArray[np.int16], cell: int = BLOCK) -> NDArray[np.float32]:
    """Mean of the squared values in each cell of `cell` x `cell` pixels: (ceil(H / cell), ceil(W / cell)) float32.

    `values` is (H, W) or (H, W, channels), whose channels are averaged. Cells that reach beyond the picture average
    over what is inside. The unit is grey levels squared; 8 gives H.264's smallest exported blocks, 16 macroblocks.
    """
    return _by_cells(lambda part: _channel_mean(np.square(part, dtype=np.float32)), values, cell)


def block_variance(values: NDArray[np.uint8], cell: int = BLOCK) -> NDArray[np.float32]:
    """Variance of (H, W) values in each cell's part inside the picture: (ceil(H / cell), ceil(W / cell)) float32."""
    means = _by_cells(lambda part: part.astype(np.float32), values, cell)
    squares = _by_cells(lambda part: np.square(part, dtype=np.float32), values, cell)
    return np.maximum(squares - np.square(means), np.float32(0))


def _channel_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values if values.ndim == 2 else values.mean(2)


def _by_cells(
    function: Callable[[NDArray[Any]], NDArray[np.float32]], values: NDArray[Any], cell: int
) -> NDArray[np.float32]:
    """The means of `function(values)` over each cell's part inside the picture."""
    height, width = values.shape[:2]
    rows, columns = -(-height // cell), -(-width // cell)
    right = columns * cell - width
    means = np.empty((rows, columns), np.float32)
    for band in _bands(height, cell):
        part = function(values[band])
        count = -(-len(part) // cell)
        below = count * cell - len(part)
        if below or right:
            part = np.pad(part, ((0, below), (0, right)))
        at = band.start // cell
        cv2.resize(part, (columns, count), means[at : at + count], interpolation=cv2.INTER_AREA)
        if below:
            means[-1] *= cell / (cell - below)
    if right:
        means[:, -1] *= cell / (cell - right)
    return means


def _bands(height: int, cell: int = 1) -> Iterator[slice]:
    """Slices of rows that fit into the cache, each of whole cells but the last: fresh memory costs more than sums."""
    side = max(1, _BAND // cell) * cell
    for top in range(0, height, side):
        yield slice(top, min(top + side, height))

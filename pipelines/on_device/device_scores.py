"""Scores that stay on an accelerator; what comes from it are the labels that are made of them there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..labels import check_cover
from .transfers import Download

TILE = 1 << 22
"""Scores of pixels that are there at once, about: 16 MB."""


class DeviceScores:
    """Scores (1, classes, h, w) on a device, at the centres of cells of `stride` pixels; see `pipeline.LateScores`.

    The labels of a picture of `size_hw` are made on the device, and are on their way from it as soon as this is: one
    byte a pixel instead of all scores; at 960x720, 11 classes and a stride of 4, 0.7 MB of labels for 1.9 MB. `labels`
    waits for them. With `mask` (1, 1, h, w) bool, that comes along: `masked`. Raises the errors of `upsample_labels`.
    """

    def __init__(self, scores: Tensor, stride: int, size_hw: tuple[int, int], *, mask: Tensor | None = None) -> None:
        self._scores, self._size_hw = scores, size_hw
        self._mask_hw = None if mask is None else (int(mask.shape[-2]), int(mask.shape[-1]))
        with torch.inference_mode():
            down = labels_of(scores, stride, size_hw).flatten()
            if mask is not None:
                down = torch.cat([down, mask.to(torch.uint8).flatten()])
            self._down = Download(down)
        self._array: NDArray[np.uint8] | None = None

    def full(self) -> NDArray[np.float32]:
        """All of them, (h, w, classes)."""
        array: NDArray[np.float32] = self._scores[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
        return array

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """One label a pixel, (H, W) uint8, as `upsample_labels` makes them, up to rounding; `size_hw` is that which
        they were made for."""
        if size_hw != self._size_hw:
            raise ValueError(f"labels of size {self._size_hw} were made, not {size_hw}")
        return self._all()[: size_hw[0] * size_hw[1]].reshape(size_hw)

    def masked(self) -> NDArray[np.bool_]:
        """The mask, (h, w) bool; there must be one."""
        assert self._mask_hw is not None
        return self._all()[self._size_hw[0] * self._size_hw[1] :].reshape(self._mask_hw).view(np.bool_)

    def certainty(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Of every `step`-th of the cells, beginning with `step // 2`: the best class, (h', w') uint8, and by how much
        its probability is above the second's, 0 to 1, float32. For logits; waits for them."""
        first = step // 2
        with torch.inference_mode():
            cells = self._scores[0, :, first::step, first::step].float()
            best = cells.argmax(0)
            likely = cells.softmax(0)
            lead = torch.ones_like(likely[0])
            if len(cells) > 1:
                most, second = likely.topk(2, 0).values
                lead = most - second
            down = torch.cat([best.to(torch.uint8).flatten(), lead.flatten().view(torch.uint8)])
            array, (rows, columns) = Download(down).array(), best.shape
        count = rows * columns
        return array[:count].reshape(rows, columns), array[count:].copy().view(np.float32).reshape(rows, columns)

    def _all(self) -> NDArray[np.uint8]:
        if self._array is None:
            self._array = self._down.array()
        return self._array


def labels_of(scores: Tensor, stride: int, size_hw: tuple[int, int]) -> Tensor:
    """The best class of each pixel, (H, W) uint8, of scores (1, classes, h, w) at the centres of cells of `stride`
    pixels, interpolated bilinearly. Some rows at a time, of TILE scores or so, so that those of all pixels are nowhere
    at once. Raises the errors of `upsample_labels`."""
    _, classes, rows, columns = scores.shape
    check_cover((rows, columns, classes), stride, size_hw)
    if stride == 1:
        return scores[0, :, : size_hw[0], : size_hw[1]].argmax(0).to(torch.uint8)
    in_tile = max(1, TILE // (classes * columns * stride**2))
    parts = [_rows_of(scores, stride, top, min(rows, top + in_tile)) for top in range(0, rows, in_tile)]
    return torch.cat(parts)[: size_hw[0], : size_hw[1]]


def _rows_of(scores: Tensor, stride: int, top: int, bottom: int) -> Tensor:
    """The best classes of the pixels of the cells in the rows from `top` to `bottom`, (stride * rows, stride * w)."""
    first, last = max(0, top - 1), min(scores.shape[2], bottom + 1)  # a row around, of which they are mixtures
    full = functional.interpolate(
        scores[:, :, first:last].float(), scale_factor=float(stride), mode="bilinear", align_corners=False
    )
    begin = (top - first) * stride
    return full[0, :, begin : begin + (bottom - top) * stride].argmax(0).to(torch.uint8)

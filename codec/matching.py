"""Which picture each block was predicted from: the one whose prediction is most like the decoded block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .motion import BLOCK
from .prediction import Sampler, SubpixelPlanes
from .reference_lists import Hypothesis

_STEP = 2  # every second row of pixels tells as much as all of them
_MARGIN = 2  # cells around the picture in which blocks of cropped or mirrored pictures may start
_EQUIVALENT = 3.0  # grey levels: predictions that are both so near to the block show the same


@dataclass(frozen=True, eq=False)
class BlockGrid:
    """The blocks of one frame on a lattice of 8x8 cells.

    `blocks` is (2, rows, cols) int32: the index of the vector of list 0 and of list 1 in each cell, -1 where there is
    none. `origin_xy`, -7 to 0, is the pixel at which the first cell starts.
    """

    blocks: NDArray[np.int32]
    origin_xy: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Matches:
    """What was found of each of n vectors.

    `picture`, (n,) int32, is the picture it points to, by its place in decoding order, -1 where the vector is not used
    or the picture not known; `confidence`, (n,) float32 in [0, 1], is that of this choice; `preferred`, (n,) bool,
    marks the better one of a block's two vectors, or its only one.
    """

    picture: NDArray[np.int32]
    confidence: NDArray[np.float32]
    preferred: NDArray[np.bool_]


def block_grid(array: NDArray[np.void], size_hw: tuple[int, int]) -> BlockGrid:
    """Place the vectors of a frame of `size_hw` (see `MotionVectors`), those of list 0 and 1 apart."""
    height, width = size_hw
    block_w, block_h = array["w"].astype(np.intp), array["h"].astype(np.intp)
    left, top = array["dst_x"] - (block_w >> 1), array["dst_y"] - (block_h >> 1)
    origin_x, origin_y = (int(v[0]) % -BLOCK if len(v) else 0 for v in (left, top))
    rows, cols = -(-(height - origin_y) // BLOCK), -(-(width - origin_x) // BLOCK)
    row, col = ((top - origin_y) >> 3) + _MARGIN, ((left - origin_x) >> 3) + _MARGIN
    inside = (row >= 0) & (col >= 0) & (row <= rows + _MARGIN) & (col <= cols + _MARGIN)
    at = np.flatnonzero(inside)
    which = (array["source"][at] > 0).astype(np.intp)
    row, col, block_w, block_h = row[at], col[at], block_w[at], block_h[at]
    grid = np.full((2, rows + 2 * _MARGIN, cols + 2 * _MARGIN), -1, np.int32)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        reach = (block_h > BLOCK * down) & (block_w > BLOCK * right)
        grid[which[reach], row[reach] + down, col[reach] + right] = at[reach]
    return BlockGrid(grid[:, _MARGIN : _MARGIN + rows, _MARGIN : _MARGIN + cols], (origin_x, origin_y))


def quarter_pixels(array: NDArray[np.void]) -> NDArray[np.int32]:
    """The displacements of vectors in quarter pixels, (n, 2), x before y."""
    scale = np.maximum(array["motion_scale"], 1).astype(np.int32)
    return np.stack([array["motion_x"], array["motion_y"]], 1) * 4 // scale[:, None]


def match(
    array: NDArray[np.void],
    grid: BlockGrid,
    luma: NDArray[np.uint8],
    references: Mapping[int, SubpixelPlanes],
    hypotheses: Sequence[Hypothesis],
) -> Matches:
    """Find the best of `hypotheses` for each block.

    `luma` is the decoded frame, (H, W) uint8, and `references` the pictures by their place in decoding order; a
    hypothesis with a picture that is not there, or of another size, does not count. A hypothesis is judged by the mean
    absolute difference between its prediction and the block: deblocking and the residual keep the right one from being
    exact, but the others differ by more unless all show the same. Confidence is 1 where there is one hypothesis only or
    where the second best would show the same too, and else how much worse the second best is, as a share.

    Where FFmpeg exports two vectors for a part of a macroblock that uses one list only, the other is zero: a part is
    taken for predicted from both lists only where that fits better or both vectors say so.
    """
    usable = [h for h in hypotheses if all(p is None or p in references for p in h.pictures)]
    usable = [h for h in usable if all(p is None or references[p].luma.shape == luma.shape for p in h.pictures)]
    result = Matches(
        np.full(len(array), -1, np.int32), np.zeros(len(array), np.float32), np.zeros(len(array), np.bool_)
    )
    pictures = {h.pictures for h in usable}
    if not len(array) or not usable:
        return result
    if len(pictures) == 1 and (grid.blocks[1] < 0).all():
        (only, _) = pictures.pop()
        known = array["source"] < 0
        if only is not None:
            result.picture[known], result.confidence[known], result.preferred[known] = only, 1, True
        return result
    _Comparison(array, grid, luma, references, usable).write(result)
    return result


class _Comparison:
    """The costs of all hypotheses for all blocks, a block going by the index of its first vector."""

    def __init__(
        self,
        array: NDArray[np.void],
        grid: BlockGrid,
        luma: NDArray[np.uint8],
        references: Mapping[int, SubpixelPlanes],
        hypotheses: Sequence[Hypothesis],
    ) -> None:
        self._hypotheses = hypotheses
        first, second = grid.blocks
        self._cells = [np.flatnonzero(what) for what in (first >= 0, second >= 0, (first >= 0) & (second >= 0))]
        self._block = np.where(first >= 0, first, second).ravel()
        count = len(array)
        self._second = np.full(count, -1, np.int32)
        self._second[self._block[self._cells[1]]] = second.ravel()[self._cells[1]]
        self._has = np.zeros((2, count), np.bool_)
        for which in (0, 1):
            self._has[which, self._block[self._cells[which]]] = True
        area = np.bincount(self._block[self._block >= 0], minlength=count)
        self._per_pixel = (_STEP / 64) / np.maximum(area, 1)
        vectors = quarter_pixels(array)
        self._may = self._may_be_single(array, vectors)
        self._luma = _Lattice(luma, grid)
        samplers = [Sampler(vectors[grid.blocks[which]], luma.shape, grid.origin_xy, _STEP) for which in (0, 1)]
        used = {(which, h.pictures[which]) for h in hypotheses for which in (0, 1) if h.pictures[which] is not None}
        self._predictions = {
            (which, picture): samplers[which].predict(references[picture])
            for which, picture in used
            if picture is not None and len(self._cells[which])
        }
        self._costs = np.full((len(hypotheses), count), np.inf, np.float32)
        for cost, hypothesis in zip(self._costs, hypotheses, strict=True):
            self._judge(hypothesis, cost)

    def _may_be_single(self, array: NDArray[np.void], vectors: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether a block may be predicted from list 0 or from list 1 alone, (2, n)."""
        both = self._has[0] & self._has[1]
        is_part = (array["w"] < 16) | (array["h"] < 16)
        zero = ~vectors.any(1)
        return np.stack(
            [self._has[0] & (~both | (is_part & zero[self._second])), self._has[1] & (~both | (is_part & zero))]
        )

    def _judge(self, hypothesis: Hypothesis, cost: NDArray[np.float32]) -> None:
        """Write the mean absolute difference of every block that the hypothesis may apply to."""
        lists = [which for which in (0, 1) if hypothesis.pictures[which] is not None]
        cells = self._cells[2 if len(lists) == 2 else lists[0]]
        if not len(cells):
            return
        parts = [self._predictions[which, hypothesis.pictures[which]] for which in lists]
        scales = [hypothesis.scales[which] for which in lists]
        if len(lists) == 1 and (scales[0], hypothesis.offset) == (1, 0):
            prediction = parts[0]
        else:
            other, scale = (parts[1], scales[1]) if len(lists) == 2 else (parts[0], 0.0)
            prediction = cv2.addWeighted(parts[0], scales[0], other, scale, hypothesis.offset)  # type: ignore[assignment]
        difference = self._luma.differences(prediction).ravel()[cells]
        blocks = self._block[cells]
        total = np.bincount(blocks, difference, len(cost)) * self._per_pixel
        cost[blocks] = total[blocks]

    def write(self, result: Matches) -> None:
        hypotheses = self._hypotheses
        kinds = np.array([[p is not None for p in h.pictures] for h in hypotheses])
        single = kinds.sum(1) == 1
        allowed = np.where((single & kinds[:, 0])[:, None], self._may[0], True)
        allowed &= np.where((single & kinds[:, 1])[:, None], self._may[1], True)
        costs = np.where(allowed, self._costs, np.float32(np.inf))
        best = costs.argmin(0)
        lowest = costs[best, np.arange(costs.shape[1])]
        blocks = np.flatnonzero(np.isfinite(lowest))
        best, lowest = best[blocks], lowest[blocks]
        groups = {pictures: number for number, pictures in enumerate(dict.fromkeys(h.pictures for h in hypotheses))}
        group = np.array([groups[h.pictures] for h in hypotheses])
        rivals = np.where(group[:, None] != group[best], costs[:, blocks], np.float32(np.inf)).min(0)
        with np.errstate(invalid="ignore"):
            margin = 1 - (lowest + 0.5) / (rivals + 0.5)
        same = 1 - (lowest + rivals) / (2 * _EQUIVALENT)
        confidence = np.maximum(margin, same).clip(0, 1)
        pictures = np.array([[-1 if p is None else p for p in h.pictures] for h in hypotheses], np.int32)[best]
        has_first = self._has[0, blocks]
        vectors = [np.where(has_first, blocks, -1), np.where(has_first, self._second[blocks], blocks)]
        better = self._better(pictures, blocks)
        for which in (0, 1):
            used = (vectors[which] >= 0) & (pictures[:, which] >= 0)
            at = vectors[which][used]
            result.picture[at] = pictures[used, which]
            result.confidence[at] = confidence[used]
            result.preferred[at] = better[used] == which

    def _better(self, pictures: NDArray[np.int32], blocks: NDArray[np.intp]) -> NDArray[np.intp]:
        """The list whose picture alone is more like each block; the only one that is used, where it is one."""
        alone = np.full((2, len(blocks)), np.inf, np.float32)
        for cost, hypothesis in zip(self._costs, self._hypotheses, strict=True):
            lists = [which for which in (0, 1) if hypothesis.pictures[which] is not None]
            if len(lists) == 1:
                (which,) = lists
                same = pictures[:, which] == hypothesis.pictures[which]
                alone[which, same] = np.minimum(alone[which, same], cost[blocks[same]])
        result: NDArray[np.intp] = (alone[1] < alone[0]).astype(np.intp)
        result[pictures[:, 0] < 0], result[pictures[:, 1] < 0] = 1, 0
        return result


class _Lattice:
    """A decoded frame laid out on the cells of a grid."""

    def __init__(self, luma: NDArray[np.uint8], grid: BlockGrid) -> None:
        rows, cols = grid.blocks.shape[1:]
        (left, top), (height, width) = (-v for v in grid.origin_xy), luma.shape
        self._outside = (rows * BLOCK, cols * BLOCK) != (height, width)
        inside = np.zeros((rows * BLOCK, cols * BLOCK), np.uint8)
        inside[top : top + height, left : left + width] = 255
        self._inside = np.ascontiguousarray(inside[::_STEP])
        inside[top : top + height, left : left + width] = luma
        self._luma = np.ascontiguousarray(inside[::_STEP])

    def differences(self, prediction: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Sum of absolute differences in each cell, over the rows that are looked at, (rows, cols)."""
        difference = cv2.absdiff(self._luma, prediction)
        if self._outside:
            difference = cv2.bitwise_and(difference, self._inside)
        total = cv2.integral(difference)[:: BLOCK // _STEP, ::BLOCK]
        result: NDArray[np.int32] = total[1:, 1:] - total[1:, :-1] - total[:-1, 1:] + total[:-1, :-1]
        return result

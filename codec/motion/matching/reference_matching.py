"""Which picture each block was predicted from: the one whose prediction is most like the decoded block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ....compiled import for_loops
from ...bitstream import Hypothesis
from ..field import BLOCK
from .prediction import LOOPS, SAMPLES, Sampler, SubpixelPlanes, cells_of, differences

_MARGIN = 2  # cells around the picture in which blocks of cropped or mirrored pictures may start
_EQUIVALENT = 3.0  # grey levels: predictions that are both so near to the block show the same
_UNMEASURED = 4.0  # grey levels: the error of a vector whose prediction was not looked at, as there was no choice


@dataclass(frozen=True, eq=False)
class BlockGrid:
    """The blocks of one frame on a lattice of 8x8 cells.

    `blocks` is (2, rows, cols) int32: the index of the vector of list 0 and of list 1 in each cell, -1 where there is
    none. `origin_xy`, -7 to 0, is the pixel at which the first cell starts. `quarters` (n, 2) int32 are the vectors'
    displacements in quarter pixels, and `is_part` (n,) bool tells which have blocks of less than a macroblock.
    """

    blocks: NDArray[np.int32]
    origin_xy: tuple[int, int]
    quarters: NDArray[np.int32]
    is_part: NDArray[np.bool_]

    @cached_property
    def corners(self) -> NDArray[np.int32]:
        """The first pixel of each cell, (rows * cols, 2), x before y."""
        rows, cols = self.blocks.shape[1:]
        x = np.tile(np.arange(cols, dtype=np.int32) * BLOCK + self.origin_xy[0], rows)
        y = np.repeat(np.arange(rows, dtype=np.int32) * BLOCK + self.origin_xy[1], cols)
        return np.stack([x, y], 1)


@dataclass(frozen=True, eq=False)
class Matches:
    """What was found of each of n vectors.

    `picture`, (n,) int32, is the picture it points to, by its place in decoding order, -1 where the vector is not used
    or the picture not known; `confidence`, (n,) float32 in [0, 1], is that of this choice; `error`, (n,) float32, the
    mean absolute difference in grey levels between the block and its prediction by this vector alone.
    """

    picture: NDArray[np.int32]
    confidence: NDArray[np.float32]
    error: NDArray[np.float32]


def block_grid(array: NDArray[np.void], size_hw: tuple[int, int]) -> BlockGrid:
    """Place the vectors of a frame of `size_hw` (see `MotionVectors`), those of list 0 and 1 apart."""
    height, width = size_hw
    origin_x, origin_y = _origin(array)
    rows, cols = -(-(height - origin_y) // BLOCK), -(-(width - origin_x) // BLOCK)
    grid = np.full((2, rows + 2 * _MARGIN, cols + 2 * _MARGIN), -1, np.int32)
    blocks = grid[:, _MARGIN : _MARGIN + rows, _MARGIN : _MARGIN + cols]
    loops = LOOPS.get()
    if loops is not None:
        quarters, is_part = np.empty((len(array), 2), np.int32), np.empty(len(array), np.bool_)
        whole = np.require(array, requirements=["C", "A", "W"])
        records, words = (whole.view(kind).reshape(len(whole), -1) for kind in (np.int16, np.int32))
        loops.place_blocks(records, words, origin_x, origin_y, _MARGIN, grid, quarters, is_part)
        return BlockGrid(for_loops(blocks, np.int32), (origin_x, origin_y), quarters, is_part)
    block_w, block_h = array["w"].astype(np.intp), array["h"].astype(np.intp)
    left, top = array["dst_x"] - (block_w >> 1), array["dst_y"] - (block_h >> 1)
    row, col = ((top - origin_y) >> 3) + _MARGIN, ((left - origin_x) >> 3) + _MARGIN
    inside = (row >= 0) & (col >= 0) & (row <= rows + _MARGIN) & (col <= cols + _MARGIN)
    at = np.flatnonzero(inside)
    which = (array["source"][at] > 0).astype(np.intp)
    is_part = (block_w < 16) | (block_h < 16)
    row, col, block_w, block_h = row[at], col[at], block_w[at], block_h[at]
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        reach = (block_h > BLOCK * down) & (block_w > BLOCK * right)
        grid[which[reach], row[reach] + down, col[reach] + right] = at[reach]
    return BlockGrid(blocks, (origin_x, origin_y), quarter_pixels(array), is_part)


def _origin(array: NDArray[np.void]) -> tuple[int, int]:
    """The pixel, -7 to 0 each, at which a lattice starts that the blocks of vectors lie on."""
    if not len(array):
        return 0, 0
    first = array[0]
    return (int(first["dst_x"]) - int(first["w"]) // 2) % -BLOCK, (int(first["dst_y"]) - int(first["h"]) // 2) % -BLOCK


def quarter_pixels(array: NDArray[np.void]) -> NDArray[np.int32]:
    """The displacements of vectors in quarter pixels, (n, 2), x before y."""
    scale = np.maximum(array["motion_scale"], 1).astype(np.int32)
    result: NDArray[np.int32] = np.stack([array["motion_x"], array["motion_y"]], 1) * 4 // scale[:, None]
    return result


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
        np.full(len(array), -1, np.int32), np.zeros(len(array), np.float32), np.full(len(array), np.inf, np.float32)
    )
    if not len(array) or not usable:
        return result
    pictures = {hypothesis.pictures for hypothesis in usable}
    if len(pictures) == 1 and (grid.blocks[1] < 0).all():
        ((only, _),) = pictures
        if only is not None:
            known = array["source"] < 0
            result.picture[known], result.confidence[known], result.error[known] = only, 1, _UNMEASURED
        return result
    loops = LOOPS.get()
    if loops is not None:
        _compare(loops, grid, luma, references, usable, result)
    else:
        _Comparison(array, grid, luma, references, usable).write(result)
    return result


def _compare(
    loops: Any,
    grid: BlockGrid,
    luma: NDArray[np.uint8],
    references: Mapping[int, SubpixelPlanes],
    hypotheses: Sequence[Hypothesis],
    result: Matches,
) -> None:
    """What `_Comparison` does, by compiled loops."""
    blocks, count = for_loops(grid.blocks, np.int32).reshape(2, -1), len(grid.quarters)
    second, area = np.full(count, -1, np.int32), np.zeros(count, np.int64)
    has, may = np.zeros((2, count), np.bool_), np.zeros((2, count), np.bool_)
    loops.sort_blocks(blocks, grid.is_part, grid.quarters, second, has, may, area)
    own = cells_of(luma, grid.origin_xy, grid.blocks.shape[1:])
    predicted: dict[tuple[int, int], NDArray[np.uint8]] = {}
    costs, sums = np.full((len(hypotheses), count), np.inf, np.float32), np.empty(count, np.int64)
    for cost, hypothesis in zip(costs, hypotheses, strict=True):
        parts = []
        for which, picture in enumerate(hypothesis.pictures):
            if picture is None:
                continue
            if (which, picture) not in predicted:
                found = predicted[which, picture] = np.zeros_like(own)
                planes = references[picture].planes()
                loops.predict(grid.corners, blocks[which], grid.quarters, planes, *luma.shape, SAMPLES, found)
            parts.append(predicted[which, picture])
        which = 2 if len(parts) == 2 else int(hypothesis.pictures[0] is None)
        loops.judge(blocks, which, _weighted(parts[0], parts[-1], hypothesis), own, area, sums, cost)
    groups = {pictures: number for number, pictures in enumerate(dict.fromkeys(h.pictures for h in hypotheses))}
    group = np.array([groups[h.pictures] for h in hypotheses])
    pictures = np.array([[-1 if p is None else p for p in h.pictures] for h in hypotheses], np.int32)
    loops.decide(
        costs, may, group, pictures, second, has, np.float32(2 * _EQUIVALENT), result.picture, result.confidence,
        result.error,
    )  # fmt: skip


def _weighted(first: NDArray[np.uint8], second: NDArray[np.uint8], hypothesis: Hypothesis) -> NDArray[np.uint8]:
    """Predictions by one picture or two, weighted as a hypothesis has it."""
    if first is second and (max(hypothesis.scales), hypothesis.offset) == (1, 0):
        return first
    scaled = cv2.addWeighted(first, hypothesis.scales[0], second, hypothesis.scales[1], hypothesis.offset)
    return np.asarray(scaled, np.uint8)


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
        count = len(array)
        first, second = grid.blocks.reshape(2, -1)
        cells = [np.flatnonzero(what) for what in (first >= 0, second >= 0, (first >= 0) & (second >= 0))]
        block = np.where(first >= 0, first, second)
        self._blocks = [block[what] for what in cells]
        self._second = np.full(count, -1, np.int32)
        self._second[self._blocks[1]] = second[cells[1]]
        self._has = np.zeros((2, count), np.bool_)
        for which in (0, 1):
            self._has[which, self._blocks[which]] = True
        self._area = np.bincount(block[block >= 0], minlength=count).astype(np.float32)
        own = cells_of(luma, grid.origin_xy, grid.blocks.shape[1:])
        self._luma = [own[what] for what in cells]
        shared = [np.searchsorted(what, cells[2]) for what in cells[:2]]
        vectors = grid.quarters
        self._may = self._may_be_single(grid.is_part, vectors)
        self._single: dict[tuple[int, int], NDArray[np.uint8]] = {}
        self._shared: dict[tuple[int, int], NDArray[np.uint8]] = {}
        for which in (0, 1):
            pictures = {hypothesis.pictures[which] for hypothesis in hypotheses} - {None}
            if not len(cells[which]) or not pictures:
                continue
            sampler = Sampler(grid.corners[cells[which]], vectors[grid.blocks[which].ravel()[cells[which]]], luma.shape)
            for picture in pictures:
                assert picture is not None
                self._single[which, picture] = sampler.predict(references[picture])
                self._shared[which, picture] = self._single[which, picture][shared[which]]
        self._costs = np.full((len(hypotheses), count), np.inf, np.float32)
        for cost, hypothesis in zip(self._costs, hypotheses, strict=True):
            self._judge(hypothesis, cost)

    def _may_be_single(self, is_part: NDArray[np.bool_], vectors: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether a block may be predicted from list 0 or from list 1 alone, (2, n)."""
        first, second = self._has
        is_zero: NDArray[np.bool_] = (vectors == 0).all(1)
        return np.stack(
            [first & (~second | (is_part & is_zero[self._second])), second & (~first | (is_part & is_zero))]
        )

    def _judge(self, hypothesis: Hypothesis, cost: NDArray[np.float32]) -> None:
        """Write the mean absolute difference of every block that the hypothesis may apply to."""
        first, second = hypothesis.pictures
        if first is not None and second is not None:
            which = 2
            parts = self._shared.get((0, first)), self._shared.get((1, second))
        else:
            which = 0 if second is None else 1
            parts = (self._single.get((which, first if second is None else second)),) * 2  # type: ignore[arg-type]
        if parts[0] is None or parts[1] is None or not len(self._blocks[which]):
            return
        blocks = self._blocks[which]
        prediction = _weighted(parts[0], parts[1], hypothesis)
        total = np.bincount(blocks, differences(prediction, self._luma[which]), len(cost))
        cost[blocks] = total[blocks] / self._area[blocks]

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
        alone = self._errors_alone(pictures, blocks)
        for which in (0, 1):
            used = (vectors[which] >= 0) & (pictures[:, which] >= 0)
            at = vectors[which][used]
            result.picture[at] = pictures[used, which]
            result.confidence[at] = confidence[used]
            result.error[at] = alone[which, used]

    def _errors_alone(self, pictures: NDArray[np.int32], blocks: NDArray[np.intp]) -> NDArray[np.float32]:
        """The mean absolute difference of each block to what each list's picture alone predicts, (2, n)."""
        alone = np.full((2, len(blocks)), np.inf, np.float32)
        for cost, hypothesis in zip(self._costs, self._hypotheses, strict=True):
            lists = [which for which in (0, 1) if hypothesis.pictures[which] is not None]
            if len(lists) == 1:
                (which,) = lists
                same = pictures[:, which] == hypothesis.pictures[which]
                alone[which, same] = np.minimum(alone[which, same], cost[blocks[same]])
        return alone

"""Frames with the pictures that their vectors point to, and their motion composed in decoding order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..bitstream import Hypothesis
from ..frame import Frame, MotionVectors
from .chain import Grid
from .composition import Ways
from .field import BLOCK, MotionField
from .matching import SubpixelPlanes, TracedPicture, block_grid, match, trace

_MOST_DELAYED = 16  # frames that a decoder may hold back to put them in order (H.264, A.3.1)
_MOST_TRACED = 512  # pictures through which motion is followed; where a way is longer, another keyframe takes over


@dataclass(frozen=True, eq=False)
class CellMotion:
    """The one vector for each 8x8 cell of a frame that composition goes by, and the picture it points to.

    `displacement` is (h, w, 2) int16 in quarter pixels, x before y, backward: what the cell shows, the picture shows at
    `x + displacement / 4`. `picture` is (h, w) int32, that picture's display index, -1 where it is not known.
    `confidence` is (h, w) uint8, in 255ths how sure that is. It is 0 where the cell has no reference of its own, or one
    whose way does not lead to the frame's `key_index`: such a cell moves like the neighbour that fits best.
    """

    displacement: NDArray[np.int16]
    picture: NDArray[np.int32]
    confidence: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FrameReferences:
    """What the vectors of one frame point to.

    `picture` (n,) int32 is, for each of the frame's n vectors, the display index of the picture it points to, -1 where
    the vector is not used or its picture not known; `confidence` (n,) float32 in [0, 1] says how sure that is, and
    `error` (n,) float32 how far that picture's prediction alone is from the block, in grey levels (see `Matches`).

    `key_index` is the display index of the intra-coded picture to which most of the frame leads; in an open GOP that
    may be a later one, and `keyframe` is that frame (None on an intra-coded picture itself, and on one whose vectors
    lead nowhere, or 512 pictures back: ways end there).
    `is_reference` is false where no other picture may refer to this one.
    """

    picture: NDArray[np.int32]
    confidence: NDArray[np.float32]
    error: NDArray[np.float32]
    key_index: int
    is_reference: bool
    keyframe: Frame | None = field(default=None, repr=False)
    pictures: tuple[TracedPicture, ...] = field(default=(), repr=False)
    ways: Ways = field(default_factory=Ways, repr=False)

    @property
    def index(self) -> int:
        """The frame's own display index in its stream, whatever a reader that joins streams made of it."""
        return self.pictures[-1].index

    def cells(self) -> CellMotion | None:
        """What `compose` goes by in this frame's own step; None on a picture where ways end."""
        own = self.pictures[-1]
        if own.table is None or own.confidence is None:
            return None
        back = own.table[:, 2]
        rows, cols = (-(-size // BLOCK) for size in own.size_hw)
        picture = np.full(len(back), -1, np.int32)
        shown = {each.decode_index: each.index for each in self.pictures}
        for places in np.flatnonzero(np.bincount(back)):
            if places:
                picture[back == places] = shown.get(own.decode_index - int(places), -1)
        return CellMotion(
            own.table[:, :2].reshape(rows, cols, 2), picture.reshape(rows, cols), own.confidence.reshape(rows, cols)
        )

    def compose(self, grid: Grid = 4, to: int | None = None) -> MotionField:
        """The motion from this frame to the picture with the display index `to` (`key_index` if None).

        Sampled at the centres of `grid`'s cells as in `MotionChain.compose`, but through whichever pictures the blocks
        refer to; blocks without reference move like the neighbour that fits best. `unreferenced` marks the cells
        whose way met such a block, or does not lead over that picture. From the 16th reference picture after it on ways
        end at checkpoints, as they do in a chain (see `Ways`). Raises ValueError where that picture is not
        among those before this frame in decoding order.
        """
        index = self.key_index if to is None else to
        target = next((picture for picture in reversed(self.pictures) if picture.index == index), None)
        if target is None:
            raise ValueError(
                f"no motion leads to frame {index}; compose to a frame that was decoded before, as key_index"
            )
        return self.ways.compose(self.pictures, target, grid)


def with_references(frames: Iterable[Frame], is_needed: Callable[[], bool]) -> Iterator[Frame]:
    """Frames in display order, as they came, with their `references`.

    Pictures refer to pictures that are shown later, so frames are held back until all are there that were decoded
    before them: one more than the stream's B-frames in a row, `_MOST_DELAYED` at most. As long as `is_needed()` is
    false they pass as they are.
    """
    frames = iter(frames)
    recovery = _Recovery()
    waiting: deque[Frame] = deque()
    heap: list[tuple[int, int, Frame]] = []
    done: dict[int, Frame] = {}
    expected = 0

    def release() -> Iterator[Frame]:
        while waiting and waiting[0].index in done:
            yield done.pop(waiting.popleft().index)

    for frame in frames:
        if not is_needed() and not waiting:
            expected = frame.decode_index + 1
            yield frame
            continue
        waiting.append(frame)
        heapq.heappush(heap, (frame.decode_index, frame.index, frame))
        while heap and (heap[0][0] <= expected or len(heap) > _MOST_DELAYED):
            decode_index, index, next_frame = heapq.heappop(heap)
            done[index] = recovery.step(next_frame)
            expected = max(expected, decode_index + 1)
        yield from release()
    while heap:
        _, index, next_frame = heapq.heappop(heap)
        done[index] = recovery.step(next_frame)
    yield from release()


class _Recovery:
    """Takes frames in decoding order."""

    def __init__(self) -> None:
        self._planes: dict[int, SubpixelPlanes] = {}
        self._traced: dict[int, TracedPicture] = {}
        self._roots: dict[int, Frame] = {}
        self._anchors: deque[int] = deque(maxlen=2)
        self._ways = Ways()
        self._size_hw: tuple[int, int] | None = None

    def step(self, frame: Frame) -> Frame:
        if frame.size_hw != self._size_hw:
            self._planes.clear()
            self._traced.clear()
            self._roots.clear()
            self._ways = Ways()
            self._size_hw = frame.size_hw
        hypotheses, is_reference = self._hypotheses(frame)
        references = None
        if frame.pict_type != "I" and not frame.is_keyframe and frame.motion is not None:
            references = self._refer(frame, frame.motion, hypotheses, is_reference)
        if references is None:
            references = self._begin(frame, is_reference)
        if is_reference:
            self._planes[frame.decode_index] = SubpixelPlanes(frame.luma)
        stored = self._anchors if frame.coded is None else frame.coded.stored
        self._planes = {index: planes for index, planes in self._planes.items() if index in stored}
        return replace(frame, references=references, key_index=references.key_index)

    def _hypotheses(self, frame: Frame) -> tuple[tuple[Hypothesis, ...], bool]:
        """How the frame may be predicted, and whether others may be from it."""
        if frame.coded is not None:
            return frame.coded.hypotheses, frame.coded.is_reference
        if frame.pict_type == "B":  # before H.264: from the two pictures before that are no B-frames, in display order
            if len(self._anchors) < 2:
                return (), False
            past, later = self._anchors
            kinds = [Hypothesis((past, None), (1, 0)), Hypothesis((None, later), (0, 1))]
            return (*kinds, Hypothesis((past, later), (0.5, 0.5))), False
        found = tuple(Hypothesis((index, None), (1, 0)) for index in list(self._anchors)[-1:])
        self._anchors.append(frame.decode_index)
        return found, True

    def _begin(self, frame: Frame, is_reference: bool) -> FrameReferences:
        """A picture where ways end: those of pictures decoded later lead back to the one before it at most."""
        traced = TracedPicture(frame.index, frame.decode_index, frame.size_hw, frame.decode_index)
        if is_reference:
            if frame.coded is not None and set(frame.coded.stored) == {frame.decode_index}:
                self._traced.clear()
                self._roots.clear()
            elif self._roots:
                last = max(self._roots)
                self._traced = {index: picture for index, picture in self._traced.items() if index >= last}
                self._roots = {last: self._roots[last]}
            self._traced[frame.decode_index] = traced
            self._roots[frame.decode_index] = frame
        count = 0 if frame.motion is None else len(frame.motion)
        unknown = np.full(count, -1, np.int32), np.zeros(count, np.float32), np.full(count, np.inf, np.float32)
        return FrameReferences(*unknown, frame.index, is_reference, None, (traced,), self._ways)

    def _refer(
        self, frame: Frame, motion: MotionVectors, hypotheses: tuple[Hypothesis, ...], is_reference: bool
    ) -> FrameReferences | None:
        """What the vectors point to; None where no way leads to an intra-coded picture that is still remembered."""
        if not len(motion):
            return None
        array = motion.array
        grid = block_grid(array, frame.size_hw)
        matches = match(array, grid, frame.luma, self._planes, hypotheses)
        traced = trace(frame, grid, matches, self._planes, self._traced)
        key = self._roots.get(traced.key)
        if key is None or key.decode_index not in self._traced:
            return None
        pictures = (*self._traced.values(), traced)
        if is_reference:
            self._traced[frame.decode_index] = traced
            while len(self._traced) > _MOST_TRACED:
                del self._traced[next(iter(self._traced))]
        shown = np.full(len(array), -1, np.int32)
        for picture in pictures:
            shown[matches.picture == picture.decode_index] = picture.index
        return FrameReferences(
            shown, matches.confidence, matches.error, key.index, is_reference, key, pictures, self._ways
        )

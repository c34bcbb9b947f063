"""Mode `motion`: the network on keyframes, and its class probabilities carried along motion vectors between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, FrameReferences, MotionChain, MotionField, filled, mix_with_nearest
from ..carriers import warp_map
from ..runner import NetworkRunner
from .pipeline import Pipeline

REFRESH_ABOVE = 0.29
"""Share of cells without reference above which motion no longer explains a frame, and the network sees it."""

REFRESH_FRAMES = 4
"""Frames that must be left until the next keyframe, as far as the last GOP's length tells, for that to be worth it."""


CUT_ABOVE = 0.6
"""Share of cells without reference above which the network sees a frame however near the next keyframe is."""


_KEPT = 3


class MotionPipeline(Pipeline):
    """The network on every intra-coded frame; between them its logits, warped by the composed motion vectors.

    Each frame's motion is followed back to the keyframe (`MotionChain`), and the keyframe's class probabilities are
    sampled there once, bilinearly at the network's stride. What motion cannot know is filled from what it knows nearby:
    a block without reference moves like the nearest block that has one, and a cell whose way met such a block is mixed
    half and half with the nearest cell whose way did not.

    The network also sees a frame of which more than `refresh_above` of the cells are without reference (a cut that the
    encoder did not mark, or much that was uncovered; the bound is CUT_ABOVE where, by the last GOP's length, a keyframe
    is due within REFRESH_FRAMES frames), and one whose vectors are missing. That frame is then the new reference. Needs
    a stream whose vectors mean 'the previous frame', or frames read with `references`: these are followed to the
    keyframe that most of the frame leads to; in an open GOP that may be shown later, and is seen ahead of its turn.
    """

    mode = "motion"
    needs_motion = True

    def __init__(
        self, runner: NetworkRunner, *, keep_logits: bool = False, refresh_above: float = REFRESH_ABOVE
    ) -> None:
        super().__init__(runner, keep_logits=keep_logits)
        self.refresh_above = refresh_above
        self._chain: MotionChain | None = None
        self._distance = 0
        self._last_gop: int | None = None
        self._reference: Frame | None = None
        self._carried: Any = None
        self._kept: dict[int, Any] = {}  # what is carried from frames that motion may lead back to again
        self._ahead: dict[int, tuple[NDArray[np.float32], Any]] = {}  # of frames that were seen before their turn
        self._refreshed: Frame | None = None
        self._index = -1

    def _observe(self, frame: Frame) -> None:
        if frame.distance == 0:
            self._last_gop = self._distance + 1 if self._reference is not None else None
        self._distance, self._index = frame.distance, _index_in_stream(frame)
        with self._clock("motion"):
            if frame.references is not None:
                if frame.decode_index == 0:  # another stream, as after a lost connection
                    self._kept, self._ahead = {}, {}
                    self._reference = self._carried = self._refreshed = None
                self._turn_to(self._origin(frame, frame.references))
            elif self._chain is None or frame.is_keyframe or frame.pict_type == "I" or not _has_motion(frame):
                self._refer_to(frame)
            elif frame.motion is not None:
                self._chain.push(filled(MotionField.from_vectors(frame.motion)))

    def _scores(self, frame: Frame) -> tuple[NDArray[np.float32], bool]:
        field = self._field(frame)
        if field is None:
            return self._look_at_reference()[0], True
        self._occluded = field.unreferenced
        carried = self._from_reference()
        with self._clock("warp"):
            return self._warp(carried, field), False

    def _field(self, frame: Frame) -> MotionField | None:
        """The frame's motion to the reference, or None where the network sees this very frame."""
        if self._reference is frame:
            return None
        field = self._compose(frame)
        if field.unreferenced.mean() <= self._limit():
            return field
        self._refer_to(frame)
        return None

    def _from_reference(self) -> Any:
        """What is carried from the reference, which may have been skipped so far."""
        return self._look_at_reference()[1] if self._carried is None else self._carried

    def _as_logits(self, scores: NDArray[np.float32], from_network: bool) -> NDArray[np.float32]:
        return scores if from_network else np.log(np.maximum(scores, np.float32(1e-6)))

    def _warp(self, probabilities: NDArray[np.float32], field: MotionField) -> NDArray[np.float32]:
        warped = warp_map(probabilities, field.displacement, self.runner.stride)
        return mix_with_nearest(warped, field.unreferenced, 0.5)

    def _compose(self, frame: Frame) -> MotionField:
        """The motion from the frame observed last to the reference, on cells of `_cell` pixels."""
        with self._clock("motion"):
            if frame.references is not None and self._reference is not None:
                return frame.references.compose(self._cell, to=_index_in_stream(self._reference))
            assert self._chain is not None
            return self._chain.compose(self._cell)

    @property
    def _cell(self) -> int:
        """Side in pixels of the cells that motion is composed on."""
        return self.runner.stride

    def _limit(self) -> float:
        """The share of cells without reference that this frame may have."""
        left = 0 if self._last_gop is None else self._last_gop - self._distance
        return max(self.refresh_above, CUT_ABOVE) if 0 < left < REFRESH_FRAMES else self.refresh_above

    def _refer_to(self, frame: Frame) -> None:
        """Make `frame` the one that motion leads back to; the network runs on it once that is needed."""
        if frame.references is not None:
            self._turn_to(frame)
            if frame.references.is_reference:
                self._refreshed = frame
            return
        if self._chain is None or self._chain.size_hw != frame.size_hw:
            self._chain = MotionChain(frame.size_hw)
        self._chain.reset()
        self._reference, self._carried = frame, None

    def _origin(self, frame: Frame, references: FrameReferences) -> Frame:
        """The frame that a frame's references lead to: its keyframe, or a later one that the network had to see."""
        keyframe = references.keyframe or frame
        refreshed = self._refreshed
        if refreshed is not None and keyframe.decode_index < refreshed.decode_index < frame.decode_index:
            return refreshed
        return keyframe

    def _turn_to(self, frame: Frame) -> None:
        """Make `frame` the reference, with what is carried from it if the network has seen it."""
        if self._reference is not None and self._carried is not None:
            self._kept = dict([*self._kept.items(), (_index_in_stream(self._reference), self._carried)][-_KEPT:])
        self._reference, self._carried = frame, self._kept.get(_index_in_stream(frame))

    def _look_at_reference(self) -> tuple[NDArray[np.float32], Any]:
        """The network's logits (h, w, classes) of the reference, and what is carried from it."""
        assert self._reference is not None
        index = _index_in_stream(self._reference)
        seen = self._ahead.pop(index, None) or self._see(self._reference.image)
        if index > self._index:
            self._ahead = {index: seen}
        self._carried = seen[1]
        return seen

    def _see(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Any]:
        """The network's logits (h, w, classes) of a picture, and what the frames after it need: here probabilities."""
        logits = self._network(image)
        with self._clock("warp"):
            return logits, _softmax(logits)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(2, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(2, keepdims=True)
    return probabilities


def _index_in_stream(frame: Frame) -> int:
    return frame.index if frame.references is None else frame.references.index


def _has_motion(frame: Frame) -> bool:
    return frame.motion is not None and frame.motion_absence is None

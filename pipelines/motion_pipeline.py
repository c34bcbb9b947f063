"""Mode `motion`: the network on keyframes, and its class probabilities carried along motion vectors between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..codec import MotionChain, MotionField
from ..codec.frame import Frame
from .network import NetworkRunner
from .pipeline import Pipeline
from .warp import mismatch, mix_with_nearest, thumbnail, warp_map

REFRESH_ABOVE = 0.35
"""Share of cells without reference above which a frame counts as a new scene, and the network sees it."""


class MotionPipeline(Pipeline):
    """The network on every intra-coded frame; between them its logits, warped by the composed motion vectors.

    Each frame's motion is followed back to the keyframe (`MotionChain`), and the keyframe's class probabilities are
    sampled there once, bilinearly at the network's stride. What motion cannot know is filled from what it knows nearby:

    - A block without reference moves like the nearest block that has one, and a cell whose way met such a block is
      mixed half and half with the nearest cell whose way did not.
    - A cell whose colour is not what motion has expected (`warp.mismatch`), as where something was uncovered, takes the
      nearest cell's probabilities instead of its own. "Nearest" is among the cells to which neither applies.

    The network also sees a frame of which more than `refresh_above` of the cells are without reference (a cut that the
    encoder did not mark), and one whose vectors are missing; that frame is then the new reference. Needs a stream whose
    vectors mean 'the previous frame'; B-frames and several references do not.
    """

    mode = "motion"
    needs_motion = True

    def __init__(
        self, runner: NetworkRunner, *, keep_logits: bool = False, refresh_above: float = REFRESH_ABOVE
    ) -> None:
        super().__init__(runner, keep_logits=keep_logits)
        self.refresh_above = refresh_above
        self._chain: MotionChain | None = None
        self._reference: Frame | None = None
        self._carried: _Carried | None = None

    def _observe(self, frame: Frame) -> None:
        with self._clock("motion"):
            if self._chain is None or frame.is_keyframe or frame.pict_type == "I" or not _has_motion(frame):
                self._refer_to(frame)
            elif frame.motion is not None:
                field = MotionField.from_vectors(frame.motion)
                moved = mix_with_nearest(field.displacement, field.unreferenced, 1.0)
                self._chain.push(replace(field, displacement=moved))

    def _scores(self, frame: Frame) -> tuple[NDArray[np.float32], bool]:
        if self._reference is not frame:
            with self._clock("motion"):
                assert self._chain is not None
                field = self._chain.compose(self.runner.stride)
            if field.unreferenced.mean() <= self.refresh_above:
                carried = self._carried or self._look_at_reference()[1]
                with self._clock("warp"):
                    return self._warp(carried, field, frame.image), False
            self._refer_to(frame)
        return self._look_at_reference()[0], True

    def _as_logits(self, scores: NDArray[np.float32], from_network: bool) -> NDArray[np.float32]:
        return scores if from_network else np.log(np.maximum(scores, np.float32(1e-6)))

    def _warp(self, carried: _Carried, field: MotionField, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        stride = self.runner.stride
        warped = warp_map(carried.probabilities, field.displacement, stride)
        wrong = mismatch(thumbnail(image, stride), warp_map(carried.colours, field.displacement, stride))
        share = np.where(wrong, np.float32(1), np.float32(0.5))
        return mix_with_nearest(warped, field.unreferenced | wrong, share)

    def _refer_to(self, frame: Frame) -> None:
        """Make `frame` the one that motion leads back to; the network runs on it once that is needed."""
        if self._chain is None:
            self._chain = MotionChain(frame.size_hw)
        self._chain.reset()
        self._reference, self._carried = frame, None

    def _look_at_reference(self) -> tuple[NDArray[np.float32], _Carried]:
        """The network's logits of the reference, and what is carried from it."""
        assert self._reference is not None
        image = self._reference.image
        logits = self._network(image)
        with self._clock("warp"):
            self._carried = _Carried(_softmax(logits), thumbnail(image, self.runner.stride))
        return logits, self._carried


@dataclass(frozen=True)
class _Carried:
    """What motion carries: class probabilities (h, w, classes) and mean colours (h, w, 3) of the reference's cells."""

    probabilities: NDArray[np.float32]
    colours: NDArray[np.float32]


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(2, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(2, keepdims=True)
    return probabilities


def _has_motion(frame: Frame) -> bool:
    return frame.motion is not None and frame.motion_absence is None

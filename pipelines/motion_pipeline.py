"""Mode `motion`: the network on keyframes, and its logits carried along the motion vectors between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..codec import MotionChain, MotionField
from ..codec.frame import Frame
from .network import NetworkRunner
from .pipeline import Pipeline
from .warp import mix_with_nearest, warp_map

REFRESH_ABOVE = 0.5
"""Share of cells without reference above which a frame counts as a new scene, and the network sees it."""


class MotionPipeline(Pipeline):
    """The network on every intra-coded frame; between them its logits, warped by the composed motion vectors.

    Each frame's motion is followed back to the keyframe (`MotionChain`), and the keyframe's logits are sampled there
    once, bilinearly at the network's stride. A block without reference moves like the nearest block that has one, and a
    cell whose way met one is mixed half and half with the nearest cell whose way did not: on CamVid's `val` with the
    true labels in place of logits, this keeps a mean IoU of 76.8 over d = 1..11, against 74.7 without filling, 76.4
    with the motion alone, 75.1 with diffused logits and 57.0 with the keyframe's labels repeated.

    The network also sees a frame of which more than `refresh_above` of the cells have no
    reference (a cut that the encoder did not mark), and one whose vectors are missing. That frame is then the new
    reference. Needs a stream whose vectors mean 'the previous frame'; B-frames and several references do not.
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
        self._reference_logits: NDArray[np.float32] | None = None

    def _observe(self, frame: Frame) -> None:
        with self._clock("motion"):
            if self._chain is None or frame.is_keyframe or frame.pict_type == "I" or not _has_motion(frame):
                self._refer_to(frame)
            elif frame.motion is not None:
                field = MotionField.from_vectors(frame.motion)
                moved = mix_with_nearest(field.displacement, field.unreferenced, 1.0)
                self._chain.push(replace(field, displacement=moved))

    def _logits(self, frame: Frame) -> tuple[NDArray[np.float32], bool]:
        if self._reference is not frame:
            with self._clock("motion"):
                assert self._chain is not None
                field = self._chain.compose(self.runner.stride)
            if field.unreferenced.mean() <= self.refresh_above:
                reference = self._logits_of_reference()
                with self._clock("warp"):
                    warped = warp_map(reference, field.displacement, self.runner.stride)
                    return mix_with_nearest(warped, field.unreferenced), False
            self._refer_to(frame)
        return self._logits_of_reference(), True

    def _refer_to(self, frame: Frame) -> None:
        """Make `frame` the one that motion leads back to; the network runs on it once that is needed."""
        if self._chain is None:
            self._chain = MotionChain(frame.size_hw)
        self._chain.reset()
        self._reference, self._reference_logits = frame, None

    def _logits_of_reference(self) -> NDArray[np.float32]:
        if self._reference_logits is None:
            assert self._reference is not None
            self._reference_logits = self._network(self._reference.image)
        return self._reference_logits


def _has_motion(frame: Frame) -> bool:
    return frame.motion is not None and frame.motion_absence is None

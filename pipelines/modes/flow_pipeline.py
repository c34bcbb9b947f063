"""Mode `flow`: the network on keyframes, and its probabilities or features carried along optical flow between them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, MotionField
from ...segnet import CODEC_MOTION
from ..carriers import warp_map
from ..errors import StreamUsageError
from ..motion import FlowChain, flow_model
from ..runner import NetworkRunner
from .motion_pipeline import CUT_ABOVE, MotionPipeline

CARRIED = SCORES, FEATURES = ("scores", "features")
"""What mode flow can carry."""


class FlowPipeline(MotionPipeline):
    """Pure propagation: of class probabilities (`carry` "scores"), as SwNet-seq without its head has it, or of the
    "features" that the network classifies, as Deep Feature Flow (Zhu et al., CVPR 2017).

    `flow_source` is "dis" (OpenCV's dense inverse search), "none", `NAME:FILE` (a flow network of a propagation
    model, as "light:FILE"), or "motion" (the codec's vectors). Flow needs no codec: between two keyframes it is
    found from one picture to the next, composed, and the keyframe's probabilities are sampled once.

    Keyframes are the stream's own, or with an `interval` above 0 every `interval`-th frame; codec motion also begins
    anew at the stream's own then. The network also sees a frame of which more than `refresh_above` of the cells are
    not where the flow says, as after a cut. It sees pictures at `key_scale` of their size, and its logits are brought
    back to the cells of the whole.
    """

    mode = "flow"
    needs_motion = False

    def __init__(
        self,
        runner: NetworkRunner,
        *,
        keep_logits: bool = False,
        refresh_above: float = CUT_ABOVE,
        flow_source: str = "dis",
        interval: int = 0,
        key_scale: float = 1.0,
        carry: str = SCORES,
    ) -> None:
        super().__init__(runner, keep_logits=keep_logits, refresh_above=refresh_above)
        if carry not in CARRIED:
            raise StreamUsageError(f"--carry {carry}: unknown; take one of {', '.join(CARRIED)}")
        self.interval, self.key_scale, self.carries_features = interval, key_scale, carry == FEATURES
        self._since = 0
        self._flow = self._flow_of(flow_source)
        self.needs_motion = self._flow is None

    def _flow_of(self, source: str) -> FlowChain | None:
        """The chain of a source of flow; None where motion is the codec's."""
        if source == CODEC_MOTION:
            return None
        model = self.runner.companion(f"flow {source}", lambda: flow_model(self.runner, source))
        return FlowChain(self.runner, model)

    def _observe(self, frame: Frame) -> None:
        self._since += 1
        if self._flow is None:
            super()._observe(frame)
            self._since *= self._reference is not frame
            if 0 < self.interval <= self._since:
                self._refer_to(frame)
            return
        self._index = frame.index
        with self._clock("flow"):
            reference = self._reference
            due = self._since >= self.interval if self.interval else frame.distance == 0
            if reference is None or due or reference.size_hw != frame.size_hw:
                self._refer_to(frame)
            else:
                self._flow.advance(frame.image)

    def _compose(self, frame: Frame) -> MotionField:
        return super()._compose(frame) if self._flow is None else self._flow.field()

    def _refer_to(self, frame: Frame) -> None:
        self._since = 0
        if self._flow is None:
            super()._refer_to(frame)
            return
        self._flow.restart(frame.image)
        self._reference, self._carried = frame, None

    def _look_at_reference(self) -> tuple[NDArray[np.float32], Any]:
        if self._flow is None:
            return super()._look_at_reference()
        assert self._reference is not None
        seen = self._see(self._reference.image)
        self._carried = seen[1]
        return seen

    def _see(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Any]:
        if not self.carries_features:
            return super()._see(image)
        with self._clock("network"):
            features, logits = self.runner.features_and_logits(self._scaled(image))
            return self._on_whole(logits, image), self._on_whole(features, image)

    def _as_logits(self, scores: NDArray[np.float32], from_network: bool) -> NDArray[np.float32]:
        return scores if self.carries_features else super()._as_logits(scores, from_network)

    def _network(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._clock("network"):
            return self._on_whole(self.runner.logits(self._scaled(image)), image)

    def _scaled(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture as the network sees it."""
        if self.key_scale == 1:
            return image
        height, width = (max(1, round(side * self.key_scale)) for side in image.shape[:2])
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def _on_whole(self, values: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The scaled picture's maps (h, w, channels) on the cells of the whole."""
        if self.key_scale == 1:
            return values
        rows, columns = (-(-side // self.runner.stride) for side in image.shape[:2])
        return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)

    def _warp(self, carried: NDArray[np.float32], field: MotionField) -> NDArray[np.float32]:
        if self._flow is None:
            warped = super()._warp(carried, field)
        else:
            warped = warp_map(carried, field.displacement, self.runner.stride)
        return self.runner.classify(warped) if self.carries_features else warped

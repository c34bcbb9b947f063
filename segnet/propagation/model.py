"""`PropagationModel`: frame reducer, motion source and head as one module."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..flow import FLOW_SOURCES, FlowSource, photometric_confidence
from ..network import resize_logits
from .grid_frames import FrameReducer, full_logits, start_scores
from .head import PropagationHead, PropagationStep
from .settings import PropagationSettings

CODEC_MOTION = "motion"


@dataclass(frozen=True, eq=False)
class PropagationFrame:
    """A frame ready for propagation: the picture's size, `reduced` (N, 3, h, w), and what its flow source takes."""

    size_hw: tuple[int, int]
    reduced: Tensor
    flow: Tensor

    def __repr__(self) -> str:
        return f"PropagationFrame(size_hw={self.size_hw}, reduced={tuple(self.reduced.shape)})"


class PropagationModel(nn.Module):
    """Everything between keyframes. The keyframe network stays outside; only its logits come in.

    The state of a stream is `scores` and, where `needs_pictures`, the reference's `PropagationFrame`::

        frame = model.prepare(images)
        scores = model.start(keyframe_logits, frame.size_hw)  # on a keyframe
        scores = model.step(scores, frame, reference=previous).scores  # afterwards
        labels = model.logits(scores, frame.size_hw).argmax(1)

    `flow` (a key of FLOW_SOURCES, or "motion") takes another motion source than the one of `settings`. `weights_file`
    is what it was loaded from, None for what was not.
    """

    flow: FlowSource | None

    def __init__(self, settings: PropagationSettings, *, flow: str | None = None) -> None:
        super().__init__()
        if flow is not None:
            settings = replace(settings, flow=flow)
        self.settings = settings
        self.weights_file: Path | None = None
        self.reducer = FrameReducer(settings)
        self.head = PropagationHead(settings)
        self.flow = None
        if settings.flow != CODEC_MOTION:
            if settings.flow not in FLOW_SOURCES:
                known = ", ".join([CODEC_MOTION, *FLOW_SOURCES])
                raise ModelError(f"unknown motion source '{settings.flow}'; there are: {known}")
            self.flow = FLOW_SOURCES[settings.flow](settings)

    @property
    def needs_pictures(self) -> bool:
        """Whether motion comes from pictures, so that `step` needs the reference's frame."""
        return self.flow is not None

    def set_evidence(self, factor: float) -> None:
        """Multiply what a refining head adds with another factor than that of its settings."""
        self.settings = self.head.settings = replace(self.settings, evidence=factor)

    def prepare(self, images: Tensor) -> PropagationFrame:
        """RGB (N, H, W, 3), 0..255, uint8 or float, to what the other methods take."""
        reduced = self.reducer(images)
        shared = self.flow is None or self.flow.shares_frames
        flow = reduced if shared or self.flow is None else self.flow.prepare(images)
        return PropagationFrame((images.shape[1], images.shape[2]), reduced, flow)

    def start(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """The keyframe network's logits (N, C, ., .) of a picture of `size_hw` to the scores carried, (N, C, h, w)."""
        return start_scores(logits, size_hw, self.settings)

    def motion(self, frame: PropagationFrame, reference: PropagationFrame) -> Tensor:
        """Displacement (N, h, w, 2) in cells by the model's own source; ModelError where that is the codec."""
        if self.flow is None:
            raise ModelError("this propagation model takes the codec's motion; give its displacement to `step`")
        grid_hw = (frame.reduced.shape[-2], frame.reduced.shape[-1])
        displacement: Tensor = self.flow(frame.flow, reference.flow, grid_hw)
        return displacement

    def step(
        self,
        scores: Tensor,
        frame: PropagationFrame,
        *,
        reference: PropagationFrame | None = None,
        displacement: Tensor | None = None,
        validity: Tensor | None = None,
        nearest: Tensor | None = None,
    ) -> PropagationStep:
        """Carry `scores` (N, C, h, w) of the reference to `frame`.

        Either `reference`, for the model's own motion source, or `displacement` (N, h, w, 2) in cells is needed, and
        both where the settings are `photometric`; `validity` and `nearest` as in `PropagationHead.step`. ModelError
        without.
        """
        if displacement is None:
            if reference is None:
                raise ModelError("a propagation step needs the reference's frame or a displacement; give one")
            displacement = self.motion(frame, reference)
        if self.settings.photometric:
            if reference is None:
                raise ModelError("this head compares colours with the reference's; give its frame to `step`")
            validity = self.compared(frame.reduced, reference.reduced, displacement, validity)
        step: PropagationStep = self.head.step(scores, displacement, frame.reduced, validity, nearest)
        return step

    def compared(self, frame: Tensor, reference: Tensor, displacement: Tensor, validity: Tensor | None) -> Tensor:
        """Validity (N, 1, h, w), less where reduced frames (N, 3, h, w) differ in colour along the displacement."""
        confidence = photometric_confidence(frame, reference, displacement)
        return confidence if validity is None else confidence * validity

    def logits(self, scores: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Scores (N, C, h, w) to logits at the picture's size, (N, C, H, W), float32."""
        return full_logits(scores, size_hw, self.settings)

    def keyframe_logits(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """A keyframe's output (N, C, H, W): its own logits, or in the published form what the grid leaves of them."""
        if self.settings.native_keyframes:
            return resize_logits(logits, size_hw)
        return self.logits(self.start(logits, size_hw), size_hw)


def with_validity(model: PropagationModel) -> PropagationModel:
    """A copy whose guide also sees 1 - validity, with weights of 0 for it: the same outputs until it is trained."""
    settings = model.settings
    if settings.validity:
        return model
    widened = PropagationModel(replace(settings, validity=True))
    state = model.state_dict()
    weight = state["head.guide.guide_conv.0.weight"]
    state["head.guide.guide_conv.0.weight"] = torch.cat([weight, torch.zeros_like(weight[:, :1])], 1)
    widened.load_state_dict(state)
    return widened.train(model.training)

"""GSVNet's and SwNet-seq's carrier: scores brought along motion and repaired by a guided head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ...codec import Frame, MotionChain, MotionField
from ...segnet import PropagationFrame, PropagationModel, PropagationSettings, RuntimeSteps, motion_on_grid
from ..motion import OpticalFlow, head_motion, last_step, motion_cell
from ..on_device import DeviceScores, sent
from ..pipeline import Clock, Occluded
from ..runner import NetworkRunner
from ..timing import image_of, unclocked
from .carrier import Carried, Carrier, Passenger, Seen
from .key_network import KeyNetwork

DOUBTFUL = 0.5
"""Validity below which a cell counts as occluded."""


@dataclass(frozen=True, eq=False)
class HeadState:
    """The head's `scores` (1, C, h, w) of a frame, and that `frame`."""

    scores: Tensor
    frame: PropagationFrame


@dataclass(frozen=True, eq=False)
class HeadStep:
    """A frame for the head, and its motion to the frame before, as the head's `step` takes it."""

    frame: PropagationFrame
    motion: dict[str, Tensor]


class Step(Protocol):
    """What a step of the head made: see `PropagationStep`."""

    @property
    def scores(self) -> Tensor:
        """(1, C, h, w)."""

    @property
    def validity(self) -> Tensor | None:
        """(1, 1, h, w)."""


class GuidedHead(Carrier[HeadState]):
    """Guided spatially-varying propagation (Lee et al., ICME 2021).

    A recursive head makes a step at every frame; another carries from the keyframe, by motion that is composed. `flow`
    is the pipeline's optical flow, None where its motion is the codec's, which then is to be on cells of
    `motion_cell(model.settings)`. Recovered references lead to keyframes only, so that a recursive head also makes one
    step from there.
    """

    reads_pictures = True

    def __init__(
        self, runner: NetworkRunner, model: PropagationModel, flow: OpticalFlow | None, *, key_scale: float = 1.0
    ) -> None:
        self.runner, self.model, self.flow = runner, model, flow
        self._network = KeyNetwork(runner, key_scale)
        self._steps_on: RuntimeSteps | None = runner.converted(partial(RuntimeSteps, model), model.weights_file)
        self._state: HeadState | None = None
        self._steps: list[HeadStep] = []

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """See `Carrier`."""
        super().warm_up(size_hw)
        if self._steps_on is not None:
            self._steps_on.warm_up(size_hw)

    def see(self, frame: Frame, clock: Clock) -> Seen[HeadState]:
        """The network's logits, by way of the head's grid in the published form, and the head's first state."""
        logits = self._logits(frame, clock)
        with clock("head"), torch.inference_mode():
            scores, said = self.model.start(logits, frame.size_hw), logits
            if not self.model.settings.native_keyframes:
                said = self._on_cells(scores, frame.size_hw)
            return Seen(self.runner.kept(said, frame.size_hw), HeadState(scores, self._prepare(frame, clock)))

    def begin(self) -> None:
        """See `Carrier`."""
        self._state, self._steps = None, []

    def follow(self, frame: Frame) -> None:
        """See `Carrier`."""
        if self._is_recursive(frame):
            self._steps.append(self._step_to_previous(frame))

    def carry(self, passengers: Sequence[Passenger[HeadState]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""
        return [self._carry(one, clock) for one in passengers]

    def _carry(self, passenger: Passenger[HeadState], clock: Clock) -> Carried:
        size_hw = passenger.frame.size_hw
        with clock("head"), torch.inference_mode(), self.runner.autocast():
            step = self._propagate(passenger.frame, passenger.motion, passenger.payload)
            doubtful = None if step.validity is None else self._on_cells(step.validity, size_hw) < DOUBTFUL
            scores = self.runner.kept(self._on_cells(step.scores, size_hw), size_hw, mask=doubtful)
            occluded: Occluded = passenger.motion.unreferenced
            if doubtful is not None:
                occluded = scores.masked if isinstance(scores, DeviceScores) else doubtful[0, 0].cpu().numpy()
            return Carried(scores, occluded, self.model.settings.probabilities)

    def _logits(self, frame: Frame, clock: Clock) -> Tensor:
        """What the network says of a frame, (1, C, h, w) on the device."""
        if self.runner.stays_on_device:
            picture = self.runner.picture(frame, clock)
            with clock("network"):
                return self._network.logit_maps(picture)
        image = image_of(frame, clock)
        with clock("network"):
            return torch.from_numpy(self._network.logits(image)).to(self.runner.device).permute(2, 0, 1)[None]

    def _propagate(self, frame: Frame, field: MotionField, start: HeadState) -> Step:
        """The head's step to a frame; `field` is its motion to the reference, `start` that one's state."""
        if self._is_recursive(frame):
            state = self._state or start
            for step in self._steps:
                made = self._step(state.scores, step.frame, reference=state.frame, **step.motion)
                state = HeadState(made.scores, step.frame)
            self._state, self._steps = state, []
            return made
        motion = self._on_grid(field) if self.flow is None else {"displacement": self._in_cells(field)}
        return self._step(start.scores, self._now(frame), reference=start.frame, **motion)

    @property
    def _step(self) -> Callable[..., Step]:
        return self.model.step if self._steps_on is None else self._steps_on.step

    def _is_recursive(self, frame: Frame) -> bool:
        return self.model.settings.recursive and (self.flow is not None or frame.references is None)

    def _step_to_previous(self, frame: Frame) -> HeadStep:
        if self.flow is not None:
            grid_hw = self.model.settings.grid_hw(frame.size_hw)
            step = self.flow.step
            if not self._shares_frames:
                step = motion_on_grid(step, (step.shape[1], step.shape[2]), grid_hw)
            return HeadStep(self._now(frame), {"displacement": step})
        chain = MotionChain(frame.size_hw)
        chain.push(last_step(frame))
        return HeadStep(self._prepare(frame), self._on_grid(chain.compose(motion_cell(self.model.settings))))

    @property
    def _shares_frames(self) -> bool:
        """Whether the flow is the head's own, so that its frames and grid are."""
        return self.flow is not None and self.flow.model is self.model

    def _now(self, frame: Frame) -> PropagationFrame:
        """The frame that was observed last, for the head."""
        if self.flow is not None and self._shares_frames:
            return self.flow.current
        return self._prepare(frame)

    def _in_cells(self, field: MotionField) -> Tensor:
        pixels = sent(field.displacement[None], self.runner.device)
        return motion_on_grid(pixels, field.size_hw, self.model.settings.grid_hw(field.size_hw))

    def _on_grid(self, field: MotionField) -> dict[str, Any]:
        motion = head_motion(field.displacement[None], field.unreferenced[None], field.size_hw, self.model.settings)
        nearest = sent(motion.nearest.int(), self.runner.device).long()
        there = (sent(value, self.runner.device) for value in (motion.displacement, motion.validity))
        return dict(zip(motion._fields, (*there, nearest), strict=True))

    def _prepare(self, frame: Frame, clock: Clock = unclocked) -> PropagationFrame:
        picture = self.runner.picture(frame, clock)
        with torch.inference_mode():
            return self.model.prepare(picture)

    def _on_cells(self, scores: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return sample_cells(scores.float(), size_hw, self.runner.stride, self.model.settings)


def sample_cells(scores: Tensor, size_hw: tuple[int, int], stride: int, settings: PropagationSettings) -> Tensor:
    """A head's scores (N, C, h, w) at the centres of the cells of `stride` pixels: (N, C, ceil(H / s), ceil(W / s)).

    Bilinear, where the head's own form puts its cells; centres beyond its grid take the border's values.
    """
    aligned = settings.corner_aligned
    if stride == settings.stride and not aligned:
        return scores
    axes = []
    for size, count in zip(size_hw, scores.shape[-2:], strict=True):
        centres = (torch.arange(-(-size // stride), device=scores.device) + 0.5) * stride
        if aligned:
            axes.append(2 * (centres - 0.5) / max(1, size - 1) - 1)
        else:
            axes.append(2 * centres / (count * settings.stride) - 1)
    grid = torch.stack(torch.meshgrid(axes[1], axes[0], indexing="xy"), -1).expand(len(scores), -1, -1, -1)
    return functional.grid_sample(scores, grid, "bilinear", "border", align_corners=aligned)

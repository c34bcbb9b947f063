"""Mode `guided`: the network on keyframes; between them its scores are carried along motion and repaired by a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...codec import Frame, MotionChain, MotionField, filled
from ...segnet import (
    PropagationFrame,
    PropagationModel,
    PropagationSettings,
    PropagationStep,
    branch_file,
    load_propagation,
    motion_on_grid,
)
from ..errors import StreamUsageError
from ..motion import FlowChain, head_motion, motion_cell
from ..runner import NetworkRunner
from .flow_pipeline import FlowPipeline
from .motion_pipeline import REFRESH_ABOVE

DOUBTFUL = 0.5
"""Validity below which a cell counts as occluded."""

Step = tuple[PropagationFrame, dict[str, Tensor]]
"""A frame for the head, and its motion to the frame before, as the head's `step` takes it."""

State = tuple[Tensor, PropagationFrame]
"""The head's scores (1, C, h, w) of a frame, and that frame."""


class GuidedPipeline(FlowPipeline):
    """GSVNet's and SwNet-seq's guided spatially-varying propagation (Lee et al., ICME 2021) on a stream.

    The head's weights lie beside the network's, as `NAME-guided.safetensors`, or are `guided_weights`; StreamUsageError
    where there are none, or for other classes. Motion is of the source that the head was trained with, or of
    `flow_source`: "motion" (the codec's), "dis", "none", or a network that the weights hold ("light", ...). A recursive
    head is run on every frame; another carries from the keyframe, by motion composed from frame to frame. `interval`,
    `key_scale` and `refresh_above` are as in mode `flow`.

    On a stream with B-frames or several references, codec motion leads to keyframes only, so that a recursive head also
    makes one step from there.
    """

    mode = "guided"
    needs_motion = True

    def __init__(
        self,
        runner: NetworkRunner,
        *,
        keep_logits: bool = False,
        refresh_above: float = REFRESH_ABOVE,
        flow_source: str = "",
        interval: int = 0,
        key_scale: float = 1.0,
        guided_weights: str | Path = "",
    ) -> None:
        self.model = runner.companion(
            f"guided {guided_weights} {flow_source}", lambda: guided_model(runner, guided_weights, flow_source)
        )
        super().__init__(
            runner,
            keep_logits=keep_logits,
            refresh_above=refresh_above,
            flow_source=self.model.settings.flow,
            interval=interval,
            key_scale=key_scale,
        )
        self._state: State | None = None
        self._waiting: list[Step] = []

    def _flow_of(self, source: str) -> FlowChain | None:  # noqa: ARG002
        return FlowChain(self.runner, self.model) if self.model.needs_pictures else None

    def _observe(self, frame: Frame) -> None:
        super()._observe(frame)
        if self._reference is not frame and self._is_recursive(frame):
            with self._clock("motion" if self._flow is None else "flow"):
                self._waiting.append(self._step_to_previous(frame))

    def _refer_to(self, frame: Frame) -> None:
        self._state, self._waiting = None, []
        super()._refer_to(frame)

    def _scores(self, frame: Frame) -> tuple[NDArray[np.float32], bool]:
        field = self._field(frame)
        if field is None:
            return self._look_at_reference()[0], True
        self._occluded = field.unreferenced
        carried: State = self._from_reference()
        with self._clock("head"), torch.inference_mode(), self.runner.autocast():
            step = self._propagate(frame, field, carried)
            if step.validity is not None:
                self._occluded = self._on_cells(step.validity, frame.size_hw)[..., 0] < DOUBTFUL
            return self._on_cells(step.scores, frame.size_hw), False

    def _as_logits(self, scores: NDArray[np.float32], from_network: bool) -> NDArray[np.float32]:
        is_logits = from_network or not self.model.settings.probabilities
        return scores if is_logits else np.log(np.maximum(scores, np.float32(1e-6)))

    def _see(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], State]:
        """The network's logits of a picture, by way of the head's grid in the published form, and the head's state."""
        logits = self._network(image)
        with self._clock("head"), torch.inference_mode():
            planes = torch.from_numpy(logits).to(self.runner.device).permute(2, 0, 1)[None]
            size_hw = image.shape[0], image.shape[1]
            scores = self.model.start(planes, size_hw)
            if not self.model.settings.native_keyframes:
                logits = self._on_cells(scores, size_hw)
            return logits, (scores, self._prepare(image))

    def _propagate(self, frame: Frame, field: MotionField, carried: State) -> PropagationStep:
        """The head's step to a frame; `field` is its motion to the reference."""
        if self._is_recursive(frame):
            scores, reference = self._state or carried
            for prepared, motion in self._waiting:
                step = self.model.step(scores, prepared, reference=reference, **motion)
                scores, reference = step.scores, prepared
            self._state, self._waiting = (scores, reference), []
            return step
        scores, reference = carried
        if self._flow is not None:
            assert self._flow.current is not None
            pixels = torch.from_numpy(field.displacement)[None].to(self.runner.device)
            cells = motion_on_grid(pixels, field.size_hw, self.model.settings.grid_hw(field.size_hw))
            return self.model.step(scores, self._flow.current, reference=reference, displacement=cells)
        return self.model.step(scores, self._prepare(frame.image), reference=reference, **self._on_grid(field))

    def _is_recursive(self, frame: Frame) -> bool:
        return self.model.settings.recursive and (self._flow is not None or frame.references is None)

    def _step_to_previous(self, frame: Frame) -> Step:
        if self._flow is not None:
            assert self._flow.current is not None
            assert self._flow.step is not None
            return self._flow.current, {"displacement": self._flow.step}
        assert frame.motion is not None
        chain = MotionChain(frame.size_hw)
        chain.push(filled(MotionField.from_vectors(frame.motion)))
        return self._prepare(frame.image), self._on_grid(chain.compose(self._cell))

    @property
    def _cell(self) -> int:
        """Side in pixels of the cells that codec motion is composed on."""
        return motion_cell(self.model.settings)

    def _on_grid(self, field: MotionField) -> dict[str, Tensor]:
        motion = head_motion(field.displacement[None], field.unreferenced[None], field.size_hw, self.model.settings)
        return {name: value.to(self.runner.device) for name, value in motion._asdict().items()}

    def _prepare(self, image: NDArray[np.uint8]) -> PropagationFrame:
        with torch.inference_mode():
            return self.model.prepare(torch.from_numpy(image).to(self.runner.device)[None])

    def _on_cells(self, scores: Tensor, size_hw: tuple[int, int]) -> NDArray[np.float32]:
        values = sample_cells(scores.float(), size_hw, self.runner.stride, self.model.settings)
        array: NDArray[np.float32] = values[0].permute(1, 2, 0).cpu().contiguous().numpy()
        return array


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


def guided_model(runner: NetworkRunner, weights: str | Path, flow_source: str) -> PropagationModel:
    """The propagation head of a runner's network, from `weights` or from beside the network's own."""
    file = Path(weights) if str(weights) else find_guided(runner)
    model = load_propagation(file, runner.device, flow=flow_source or None)
    if model.settings.classes != runner.classes:
        raise StreamUsageError(
            f"'{file}' is a head for {len(model.settings.classes)} classes ({model.settings.classes[0]}, ...), the "
            f"model has {len(runner.classes)} ({runner.classes[0]}, ...); give the head that was trained with it"
        )
    return model


def find_guided(runner: NetworkRunner) -> Path:
    """`NAME-guided.safetensors` beside the network's weights; StreamUsageError where there is none."""
    weights = runner.network.weights_file
    if weights is None:
        raise StreamUsageError("mode guided needs --guided-weights: this model is no file that a head could lie beside")
    file = branch_file(weights, "guided")
    if not file.is_file():
        raise StreamUsageError(
            f"'{weights.stem}' has no propagation head ('{file}'); train one with train-segnet propagation, or give "
            "--guided-weights FILE"
        )
    return file

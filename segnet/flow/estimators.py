"""Where a propagation head's motion comes from, if not from the codec: flow networks, dense inverse search, nothing.

Every source gives the backward map from the current frame to an earlier one, in cells of the head's grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..propagation import PropagationSettings
from .dis import dense_inverse_search
from .flownet import FlowNetForm, FlowNetS, flownet2s_input
from .grid import UNITS_PER_CELL, flow_to_grid
from .light import LightFlowNet

DFF_MEAN = (123.15, 115.90, 103.06)
"""Deep Feature Flow's mean colour, RGB, 0..255."""


class FlowSource(nn.Module, ABC):
    """Motion between two frames of the same size.

    `prepare` makes once what a frame contributes to both of its pairs; `forward` takes two of these. Sources with
    `shares_frames` take the head's own reduced frames (`FrameReducer`) instead, and `prepare` is not called.
    """

    shares_frames = False

    def __init__(self, settings: PropagationSettings) -> None:
        super().__init__()
        self.settings = settings

    def prepare(self, images: Tensor) -> Tensor:
        """RGB (N, H, W, 3), 0..255, to what `forward` takes; as it is, (N, 3, H, W), unless said otherwise."""
        return images.permute(0, 3, 1, 2).float()

    @abstractmethod
    def forward(self, current: Tensor, previous: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Two prepared frames to displacement (N, h, w, 2) in cells, x before y: `x_previous = x + dx`."""

    def _resize(self, flow: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        return flow_to_grid(flow, grid_hw, align_corners=self.settings.corner_aligned)


class LightFlow(FlowSource):
    """GSVNet's light flow network on the head's frames."""

    shares_frames = True

    def __init__(self, settings: PropagationSettings) -> None:
        super().__init__(settings)
        self.network = LightFlowNet()

    def forward(self, current: Tensor, previous: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Reduced frames (N, 3, h, w) to displacement (N, h, w, 2) in cells."""
        return self._resize(self.network(torch.cat([current, previous], 1)), grid_hw) / UNITS_PER_CELL


class GSVFlowNetS(FlowSource):
    """FlowNetS as GSVNet runs it: on the head's frames, the earlier one first, with its cropping (form "gsvnet")."""

    shares_frames = True

    def __init__(self, settings: PropagationSettings) -> None:
        super().__init__(settings)
        self.network = FlowNetS("gsvnet")

    def forward(self, current: Tensor, previous: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Reduced frames (N, 3, h, w) to displacement (N, h, w, 2) in cells."""
        return self._resize(self.network(torch.cat([previous, current], 1)), grid_hw) / UNITS_PER_CELL


class PictureFlowNetS(FlowSource):
    """FlowNetS as its authors run it, on whole pictures reduced `reduction` times: forms "flownet2s" and "dff".

    Pictures are resized to sides that are multiples of 64, and the vectors scaled back.
    """

    def __init__(self, settings: PropagationSettings, form: FlowNetForm, reduction: int) -> None:
        super().__init__(settings)
        self.network = FlowNetS(form)
        self.reduction = reduction

    def forward(self, current: Tensor, previous: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """RGB (N, 3, H, W), 0..255, to displacement (N, h, w, 2) in cells."""
        height, width = current.shape[-2:]
        size = [max(64, round(side / self.reduction / 64) * 64) for side in (height, width)]
        current, previous = (
            functional.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
            for x in (current, previous)
        )
        unit = 1
        if self.network.form == "flownet2s":
            pair = flownet2s_input(current, previous)
        else:
            colours = zip((*current.unbind(1), *previous.unbind(1)), 2 * DFF_MEAN, strict=True)
            pair = torch.stack([colour - mean for colour, mean in colours], 1) / 255
            unit = 16
        across, down = self._resize(self.network(pair), grid_hw).unbind(-1)
        cells = np.float32(unit / self.settings.stride)
        scale_x, scale_y = (float(np.float32(x) * cells) for x in (width / size[1], height / size[0]))
        return torch.stack([across * scale_x, down * scale_y], -1)


class DenseInverseSearch(FlowSource):
    """OpenCV's DIS optical flow on grey pictures, averaged over each cell; nothing to train."""

    def prepare(self, images: Tensor) -> Tensor:
        """RGB (N, H, W, 3), 0..255, to grey (N, H, W), uint8."""
        weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
        return (images.float() @ weights).round().clamp(0, 255).to(torch.uint8)

    def forward(self, current: Tensor, previous: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Grey (N, H, W) to displacement (N, h, w, 2) in cells."""
        flow = dense_inverse_search(current, previous)
        return functional.adaptive_avg_pool2d(flow, grid_hw).permute(0, 2, 3, 1) / self.settings.stride


class NoMotion(FlowSource):
    """Nothing moves: what is carried stays where it was."""

    shares_frames = True

    def forward(self, current: Tensor, previous: Tensor, grid_hw: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """Zeros (N, h, w, 2)."""
        return current.new_zeros(len(current), *grid_hw, 2)


FLOW_SOURCES: dict[str, Callable[[PropagationSettings], FlowSource]] = {
    "light": LightFlow,
    "flownets": GSVFlowNetS,
    "flownets-dff": lambda settings: PictureFlowNetS(settings, "dff", 1),
    "flownet2s": lambda settings: PictureFlowNetS(settings, "flownet2s", 4),
    "dis": DenseInverseSearch,
    "none": NoMotion,
}
"""Motion from pictures, by name. The codec's, "motion", comes from outside."""

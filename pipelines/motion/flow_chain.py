"""Optical flow from frame to frame, followed back to a reference: what serves instead of motion vectors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...codec import Frame, MotionField
from ...segnet import PropagationFrame, PropagationModel, inside_frame, motion_on_grid, photometric_residual
from ..on_device import Download
from ..runner import NetworkRunner
from ..timing import unclocked
from .map_warp import warp_map

MISMATCH = 28.0
"""Mean colour difference, in levels of 255, above which a cell is not what the flow says it was."""


class FlowChain:
    """Flow between neighbouring frames, composed to the reference at the centres of the network's cells.

    `restart(frame)` at each reference, `advance(frame)` with each later one in order. Composing samples the chain
    so far, bilinearly, where each cell was in the previous frame; scores are then warped once, however far away the
    reference is. `unreferenced` are, in the picture that the flow explains least, the cells that it leads out of the
    picture, or to a place whose colour differs by more than MISMATCH: many of them mean a cut.
    """

    def __init__(self, runner: NetworkRunner, model: PropagationModel) -> None:
        self.runner, self.model = runner, model
        self.on_cpu = model.reducer.mean.device.type == "cpu"
        """Whether the model computes on the CPU, and looks at frames' images there."""
        self.reference: PropagationFrame | None = None
        self.current: PropagationFrame | None = None
        self.step: Tensor | None = None
        """The flow of the last `advance`, (1, h, w, 2) in cells of the model's grid."""
        self._way: NDArray[np.float32] | None = None  # (h, w, 2): dx, dy in pixels
        self._lost: Tensor | None = None  # (h, w) on the model's grid, on the CPU

    def restart(self, frame: Frame) -> None:
        """The next frames are followed back to this one."""
        self.reference = self.current = self.prepare(frame)
        self.step = self._way = self._lost = None

    def advance(self, picture: Frame) -> None:
        """The next frame, of the reference's size."""
        frame, before = self.prepare(picture), self.current
        assert before is not None
        with torch.inference_mode():
            self.step = self.model.motion(frame, before).float()
            colours, colours_before = (x.reduced * self.model.reducer.std for x in (frame, before))
            matching = photometric_residual(colours, colours_before, self.step) <= MISMATCH
            lost = 1 - (matching * inside_frame(self.step))
            # whether the network is to look depends on it, so it is needed now, on the CPU
            step, lost = self._brought(self.step, lost.permute(0, 2, 3, 1))
            lost = lost[0, ..., 0]
            if self._lost is None or lost.mean() > self._lost.mean():
                self._lost = lost
            self._follow(step, frame.size_hw)
        self.current = frame

    def prepare(self, frame: Frame) -> PropagationFrame:
        """A frame as the model takes it."""
        picture = torch.from_numpy(frame.image)[None] if self.on_cpu else self.runner.picture(frame, unclocked)
        with torch.inference_mode():
            return self.model.prepare(picture)

    def _brought(self, step: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
        """The model's (1, h, w, 2) and (1, h, w, 1) on the CPU, in one copy."""
        if self.on_cpu:
            return step, lost
        both = torch.from_numpy(Download(torch.cat([step, lost], 3)).array())
        return both[..., :2], both[..., 2:]

    def field(self) -> MotionField:
        """The motion from the last picture to the reference, in pixels, at the network's stride."""
        assert self.current is not None
        stride = self.runner.stride
        rows, columns = (-(-side // stride) for side in self.current.size_hw)
        size_hw, cell = self.current.size_hw, (stride, stride)
        if self._way is None or self._lost is None:
            return MotionField(
                np.zeros((rows, columns, 2), np.float32), np.zeros((rows, columns), np.bool_), size_hw, cell
            )
        lost = functional.interpolate(self._lost[None, None], (rows, columns), mode="nearest")[0, 0]
        return MotionField(self._way, lost.numpy() > 0.5, size_hw, cell)

    def _follow(self, step: Tensor, size_hw: tuple[int, int]) -> None:
        stride = self.runner.stride
        grid_hw = -(-size_hw[0] // stride), -(-size_hw[1] // stride)
        cells = motion_on_grid(step, (step.shape[1], step.shape[2]), grid_hw)[0]
        way: NDArray[np.float32] = (cells * stride).numpy()
        self._way = way if self._way is None else way + warp_map(self._way, way, stride)

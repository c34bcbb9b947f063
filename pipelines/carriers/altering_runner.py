"""AR-Seg's branches that belong to a runner's network, run on its device at its precision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...codec import MotionField
from ...segnet import AlteringResolution, Carried, Motion, RuntimeFrames, fuses_well
from ..on_device import sent, shrunk
from ..runner import NetworkRunner

BATCH = 12
"""Frames between keyframes that are gathered at most for one pass of the LR branch: a GOP of usual length."""

BATCH_ON_CPU = 4
"""The same on a CPU. With 12 at a time fusion takes a quarter longer there: its maps are so large that the system hands
out and clears their memory anew each time. Other runtimes take one after the other."""


class AlteringRunner:
    """AR-Seg's branches on pictures: HR logits of keyframes, fused logits of the frames between."""

    def __init__(self, runner: NetworkRunner, branch: AlteringResolution) -> None:
        self.runner, self.branch = runner, runner.prepared(branch)
        self._frames: RuntimeFrames | None = None
        if fuses_well(branch, runner.runtime):
            self._frames = runner.converted(partial(RuntimeFrames, branch), branch.low.weights_file)
        if self._frames is None and runner.runtime != "torch":
            self.branch.low.network = runner.computed(self.branch.low.network)

    @property
    def batch(self) -> int:
        """How many frames are taken at once at best."""
        if self._frames is not None:
            return 1
        return BATCH_ON_CPU if self.runner.device.type == "cpu" else BATCH

    def keyframe(self, picture: Tensor) -> tuple[Tensor, Carried]:
        """(1, H, W, 3) uint8 RGB to its logits (1, classes, h, w) and what the following frames need of it."""
        with torch.inference_mode(), self.runner.autocast():
            logits, carried = self.branch.keyframe(self.runner.network, self.runner.network.normalise(picture))
        return logits, carried

    def fused(
        self,
        pictures: Sequence[Tensor],
        carried: Carried,
        fields: Sequence[MotionField],
        distances: Sequence[int],
    ) -> Tensor:
        """Logits (N, classes, h, w) of frames of one GOP: their `pictures`, (1, H, W, 3) uint8 RGB, and their composed
        motion at the network's stride."""
        size_hw = pictures[0].shape[1], pictures[0].shape[2]
        low_hw = self.branch.low.low_size(size_hw)
        small = torch.cat([shrunk(picture, low_hw) for picture in pictures])
        device, count = self.runner.device, len(pictures)
        motion = Motion(
            sent(np.stack([field.displacement for field in fields]), device),
            sent(np.stack([field.unreferenced for field in fields]), device).float(),
            sent(np.array(distances, np.float32), device),
        )
        with torch.inference_mode(), self.runner.autocast():
            images = self.runner.network.normalise(small)
            if self._frames is not None:
                return self._frames.fuse(images, carried, motion, size_hw)
            low_p = self.branch.low.network.features(images)
            each = tuple(x.expand(count, -1, -1, -1) for x in carried)
            return self.branch.fuse(images, low_p, each, motion, size_hw)

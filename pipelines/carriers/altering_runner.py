"""AR-Seg's branches that belong to a runner's network, run on its device at its precision."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...codec import MotionField
from ...segnet import AlteringResolution, Carried, Motion
from ..runner import NetworkRunner


class AlteringRunner:
    """AR-Seg's branches on pictures: HR logits of keyframes, fused logits of the frames between."""

    def __init__(self, runner: NetworkRunner, branch: AlteringResolution) -> None:
        self.runner, self.branch = runner, runner.prepared(branch)
        if runner.runtime != "torch":
            self.branch.low.network = runner.computed(self.branch.low.network)

    def keyframe(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Carried]:
        """(H, W, 3) uint8 RGB to its logits (h, w, classes) and what the following frames need of it."""
        with torch.inference_mode(), self.runner.autocast():
            logits, carried = self.branch.keyframe(self.runner.network, self._input([image]))
        return _channels_last(logits)[0], carried

    def fused(
        self,
        images: Sequence[NDArray[np.uint8]],
        carried: Carried,
        fields: Sequence[MotionField],
        distances: Sequence[int],
    ) -> NDArray[np.float32]:
        """Logits (N, h, w, classes) of frames of one GOP, with their composed motion at the network's stride."""
        height, width = self.branch.low.low_size((images[0].shape[0], images[0].shape[1]))
        small = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]
        device, count = self.runner.device, len(images)
        motion = Motion(
            torch.from_numpy(np.stack([field.displacement for field in fields])).to(device),
            torch.from_numpy(np.stack([field.unreferenced for field in fields])).to(device).float(),
            torch.tensor(distances, dtype=torch.float32, device=device),
        )
        with torch.inference_mode(), self.runner.autocast():
            shrunk = self._input(small)
            low_p = self.branch.low.network.features(shrunk)
            each = tuple(x.expand(count, -1, -1, -1) for x in carried)
            logits = self.branch.fuse(shrunk, low_p, each, motion, (images[0].shape[0], images[0].shape[1]))
        return _channels_last(logits)

    def _input(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        inputs: Tensor = self.runner.network.normalise(torch.from_numpy(np.stack(images)))
        return inputs


def _channels_last(logits: Tensor) -> NDArray[np.float32]:
    """(N, C, h, w) to (N, h, w, C) float32."""
    array: NDArray[np.float32] = logits.permute(0, 2, 3, 1).float().cpu().contiguous().numpy()
    return array

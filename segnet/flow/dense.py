"""Dense optical flow for temporal training, where it is not to come from the codec: DIS, or torchvision's RAFT."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ModelError
from .dis import dense_inverse_search
from .validity import forward_backward_validity

Flow = Callable[[Tensor, Tensor], Tensor]
"""From RGB (N, H, W, 3), 0..255, of a frame and its neighbour to displacement (N, H, W, 2) in pixels, x before y."""

RAFT_MULTIPLE, RAFT_SMALLEST = 8, 128


def grey_flow(images: Tensor, neighbours: Tensor) -> Tensor:
    """Dense inverse search on grey pictures."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
    grey = [(x.float() @ weights).round().to(torch.uint8) for x in (images, neighbours)]
    return dense_inverse_search(grey[0], grey[1]).permute(0, 2, 3, 1)


class RaftFlow:
    """torchvision's RAFT (Teed and Deng, ECCV 2020), small, with its pretrained weights, frozen.

    Pictures are scaled to -1..1 and continued at the far sides to multiples of 8, and to 128 at least. ModelError where
    torchvision is absent.
    """

    def __init__(self) -> None:
        try:
            raft = import_module("torchvision.models.optical_flow")
        except ImportError as error:
            raise ModelError("flow 'raft' needs torchvision; install it, or take 'codec' or 'dis'") from error
        self.network: nn.Module = raft.raft_small(weights="DEFAULT").eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor, neighbours: Tensor) -> Tensor:
        """The last of RAFT's updates, without what was added to the pictures."""
        height, width = images.shape[1:3]
        sides = (max(RAFT_SMALLEST, -(-side // RAFT_MULTIPLE) * RAFT_MULTIPLE) for side in (width, height))
        right, bottom = (size - side for size, side in zip(sides, (width, height), strict=True))
        inputs = [
            functional.pad(x.permute(0, 3, 1, 2).float() / 127.5 - 1, (0, right, 0, bottom), mode="replicate")
            for x in (images, neighbours)
        ]
        flow: Tensor = self.network.to(images.device)(*inputs)[-1]
        return flow[..., :height, :width].permute(0, 2, 3, 1)


FLOWS: dict[str, Callable[[], Flow]] = {"dis": lambda: grey_flow, "raft": RaftFlow}
"""Flows by name; the codec's motion comes with the data."""


def consistent_motion(flow: Flow, images: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement (N, H, W, 2) from a frame to its neighbour, and where the way back agrees, (N, 1, H, W)."""
    there = flow(images, neighbours)
    return there, forward_backward_validity(there, flow(neighbours, images))

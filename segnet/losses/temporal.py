"""ETC's motion loss: predictions of neighbouring frames must agree along the motion between them (ECCV 2020).

Displacement is a backward map, (N, ., ., 2), x before y: what is at (x, y) in the frame is at (x + dx, y + dy) in its
neighbour. Gradients reach both frames' logits.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ..flow import inside_frame, photometric_residual
from ..networks import size_of
from ..resize import resize_aligned
from ..warp import motion_on_grid, warp_features
from .processes import mean_over_processes

Measure = Literal["squared", "kl"]


def motion_loss(
    images: Tensor,
    neighbours: Tensor,
    displacement: Tensor,
    logits: Tensor,
    neighbour_logits: Tensor,
    validity: Tensor | None = None,
    *,
    temperature: float = 1.0,
    measure: Measure = "squared",
) -> Tensor:
    """Distance of the frame's class probabilities from the neighbour's, warped, where the motion can be trusted.

    The mean over positions, weighted by `visibility`, of the squared distance, or of the divergence of the frame's from
    the neighbour's ("kl"). Everything is brought onto the logits' grid: `images` and `neighbours`
    (N, 3, H, W), normalised RGB; `displacement` in pixels on any grid that spans them; logits (N, C, h, w) at any
    stride; `validity` (N, 1, ., .), 0..1, where the motion is known.
    """
    size_hw, grid_hw = size_of(images), size_of(logits)
    cells = motion_on_grid(displacement, size_hw, grid_hw)
    weight = visibility(on_grid(images, grid_hw), on_grid(neighbours, grid_hw), cells, temperature)
    if validity is not None:
        weight = weight * on_grid(validity, grid_hw)
    own, other = (x.float().softmax(1) for x in (logits, neighbour_logits))
    warped = warp_features(other, cells)
    if measure == "squared":
        gap = ((own - warped) ** 2).sum(1, keepdim=True)
    else:
        gap = functional.kl_div(logits.float().log_softmax(1), warped, reduction="none").sum(1, keepdim=True)
    return (weight * gap).sum() / mean_over_processes(weight.sum()).clamp(min=1.0)


def visibility(images: Tensor, neighbours: Tensor, displacement: Tensor, temperature: float = 1.0) -> Tensor:
    """exp(-mean colour difference / temperature), (N, 1, h, w), and 0 where the motion leads out of the frame.

    Images (N, 3, h, w) in standard deviations of colour; displacement in their pixels.
    """
    residual = photometric_residual(images, neighbours, displacement)
    return torch.exp(-residual / temperature) * inside_frame(displacement)


def on_grid(values: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Means (N, C, *grid_hw) of a map over the cells of a grid that spans it."""
    return values.float() if size_of(values) == grid_hw else functional.adaptive_avg_pool2d(values.float(), grid_hw)


def published_visibility(images: Tensor, neighbours: Tensor, displacement: Tensor) -> Tensor:
    """The released code's exp(-|sum over colours of the difference|), (N, 1, H, W): differences may cancel."""
    return torch.exp(-(images - warp_features(neighbours, displacement)).sum(1, keepdim=True).abs())


def published_motion_loss(
    images: Tensor, neighbours: Tensor, displacement: Tensor, logits: Tensor, neighbour_logits: Tensor
) -> Tensor:
    """The motion loss as ETC's released code has it: of logits, at the images' size, over all pixels.

    Logits are resized with `align_corners=True`; both sides are multiplied by `published_visibility` before the mean
    square. `displacement` (N, H, W, 2) in pixels on the images' own grid.
    """
    weight = published_visibility(images, neighbours, displacement)
    own, other = (resize_aligned(x.float(), size_of(images)) for x in (logits, neighbour_logits))
    return functional.mse_loss(weight * own, weight * warp_features(other, displacement))

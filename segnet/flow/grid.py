"""Displacement on the grid of a propagation head: in cells, (N, h, w, 2), x before y, backward."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..resize import resize_aligned

UNITS_PER_CELL = 4
"""GSVNet's flow unit is a quarter of a cell: two pixels at stride 8."""


def flow_to_grid(flow: Tensor, grid_hw: tuple[int, int], *, align_corners: bool) -> Tensor:
    """Flow (N, 2, ., .) resized bilinearly, its values kept: (N, *grid_hw, 2), float32."""
    flow = flow.float()
    if align_corners:
        flow = resize_aligned(flow, grid_hw)
    elif tuple(flow.shape[-2:]) != grid_hw:
        flow = functional.interpolate(flow, size=grid_hw, mode="bilinear", align_corners=False)
    return flow.permute(0, 2, 3, 1)


def inside_frame(displacement: Tensor) -> Tensor:
    """(N, 1, h, w) float32: 1 where (x + dx, y + dy) lies on the grid, whose outer cells count to their outer sides."""
    height, width = displacement.shape[1:3]
    columns = torch.arange(width, device=displacement.device) + displacement[..., 0]
    rows = torch.arange(height, device=displacement.device)[:, None] + displacement[..., 1]
    within = (columns >= -0.5) & (columns <= width - 0.5) & (rows >= -0.5) & (rows <= height - 0.5)
    return within[:, None].float()


def displacement_on_grid(pixels: Tensor, known: Tensor, stride: int, cell: int) -> tuple[Tensor, Tensor]:
    """Motion vectors on cells of `cell` pixels to a grid of `stride` pixels: displacement in cells, and validity.

    `pixels` (N, h, w, 2) and `known` (N, h, w), 1 where a block has a reference. A coarse cell takes the mean of its
    known fine cells, or of all where none is known. Returns (N, H, W, 2) in units of `stride` pixels and the known
    share (N, 1, H, W), 0..1, with H = ceil(h * cell / stride). ValueError if `stride` is not a multiple of `cell`.
    """
    if stride % cell:
        raise ValueError(f"stride {stride} is not a multiple of the motion's cell of {cell} pixels")

    def pool(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x.float(), stride // cell, ceil_mode=True)

    field, mask = pixels.permute(0, 3, 1, 2), known[:, None]
    validity = pool(mask)
    mean = torch.where(validity > 0, pool(field * mask) / validity.clamp(min=1e-6), pool(field))
    return mean.permute(0, 2, 3, 1) / stride, validity

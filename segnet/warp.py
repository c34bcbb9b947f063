"""Features carried along motion, in torch: a backward bilinear warp, differentiable in the features.

Motion is a backward map, x before y: what is at (x, y) now was at (x + dx, y + dy) in the keyframe.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from .exportable import is_exporting
from .resize import resize_aligned


def warp_features(
    features: Tensor, displacement: Tensor, *, compat: bool = False, padding: Literal["border", "zeros"] = "border"
) -> Tensor:
    """Sample `features` (N, C, h, w) where the motion says each position was: (N, C, h, w).

    `displacement` is (N, h, w, 2) in cells of the feature map, as `motion_on_grid` makes it. Zero motion is the
    identity; outside the map the nearest border entry counts, or zeros. Computed in float32, returned in the features'
    type. `compat` is the published AR-Seg instead (Hu et al., CVPR 2023), whose weights expect it: zeros outside, and
    positions normalised as for `align_corners=True` but sampled with False, so that the source is x W / (W - 1) - 0.5,
    and zero motion fades the borders. ValueError if the grids differ.
    """
    size_hw = tuple(features.shape[-2:])
    if displacement.shape != (features.shape[0], *size_hw, 2):
        raise ValueError(f"a displacement {tuple(displacement.shape)} does not fit features {tuple(features.shape)}")
    height, width = size_hw
    rows, columns = (torch.arange(size, device=displacement.device) for size in size_hw)
    at = displacement.float() + torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    if is_exporting():  # which take a tensor of sizes for a constant
        x, y = at.unbind(-1)
        if compat:
            grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
        else:
            grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    else:
        size = at.new_tensor([width, height])
        grid = 2 * at / (size - 1) - 1 if compat else (2 * at + 1) / size - 1
    outside = "zeros" if compat else padding
    warped = functional.grid_sample(features.float(), grid, "bilinear", outside, align_corners=False)
    return warped.to(features.dtype)


def motion_on_grid(
    displacement: Tensor, image_hw: tuple[int, int], grid_hw: tuple[int, int], *, compat: bool = False
) -> Tensor:
    """Motion in image pixels, (N, H, W, 2) on any grid that spans the image, to cells on a feature map's grid.

    Returns (N, *grid_hw, 2), float32: each component in cells of its own axis, resized bilinearly between the centres
    of cells (`align_corners=False`). `compat` is the published AR-Seg: both components by the ratio of heights, resized
    with `align_corners=True`.
    """
    field = displacement.float().permute(0, 3, 1, 2)
    down, across = grid_hw[0] / image_hw[0], grid_hw[1] / image_hw[1]
    if is_exporting():
        return _resized_and_scaled(field, down if compat else across, down, grid_hw, compat=compat)
    field = field * field.new_tensor([down if compat else across, down]).view(1, 2, 1, 1)
    if compat:
        field = resize_aligned(field, grid_hw)
    elif tuple(field.shape[-2:]) != tuple(grid_hw):
        field = functional.interpolate(field, size=grid_hw, mode="bilinear", align_corners=False)
    return field.permute(0, 2, 3, 1)


def _resized_and_scaled(field: Tensor, across: float, down: float, grid_hw: tuple[int, int], *, compat: bool) -> Tensor:
    """What `motion_on_grid` does to (N, 2, h, w), with factors that may be tensors or symbols, in a form for exporters,
    which take a comparison of sizes for a constant."""
    scaled = torch.stack([field[:, 0] * across, field[:, 1] * down], 1)
    resized = functional.interpolate(scaled, size=grid_hw, mode="bilinear", align_corners=compat)
    return resized.permute(0, 2, 3, 1)

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
    if not is_exporting() and displacement.shape != (features.shape[0], *size_hw, 2):
        raise ValueError(f"a displacement {tuple(displacement.shape)} does not fit features {tuple(features.shape)}")
    height, width = size_hw
    rows, columns = (torch.arange(size, device=displacement.device) for size in size_hw)
    at = displacement.float() + torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    x, y = at.unbind(-1)  # by numbers: a tensor of the sizes would have to be copied to the device, and waited for
    if is_exporting():  # in OpenVINO joining along the last axis takes longer than the sampling
        last = torch.stack([columns[-1], rows[-1]])
        grid = 2 * at / last - 1 if compat else (2 * at + 1) / (last + 1) - 1
    elif compat:
        grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
    else:
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
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
    field = displacement.float()
    down, across = grid_hw[0] / image_hw[0], grid_hw[1] / image_hw[1]
    parts = [field[..., 0] * (down if compat else across), field[..., 1] * down]
    scaled = torch.stack(parts, 1) if is_exporting() else torch.stack(parts, -1).permute(0, 3, 1, 2)
    if compat and not is_exporting():
        scaled = resize_aligned(scaled, grid_hw)
    elif is_exporting() or tuple(scaled.shape[-2:]) != tuple(grid_hw):  # exporters take a comparison for a constant
        scaled = functional.interpolate(scaled, size=grid_hw, mode="bilinear", align_corners=compat)
    return scaled.permute(0, 2, 3, 1)


def mixed_with(values: Tensor, nearest: Tensor) -> Tensor:
    """Half of each cell of (N, C, h, w) and half of another, whose flat index `nearest` (N, h, w) says: cells whose
    motion is not known with the nearest whose is, the others with themselves."""
    others = values.flatten(2).gather(2, nearest.flatten(1)[:, None].expand(-1, values.shape[1], -1))
    return (values + others.view_as(values)) / 2

"""The bilinear resize of the published networks."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .exportable import is_exporting


def resize_aligned(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear resize of (N, C, h, w) to (N, C, H, W), `align_corners=True`; `x` itself where it has that size."""
    if not is_exporting() and tuple(x.shape[-2:]) == tuple(size_hw):
        return x
    return functional.interpolate(x, size=size_hw, mode="bilinear", align_corners=True)

"""Where motion can be trusted: forward-backward consistency, photometric error, and what left the frame.

Validity is (N, 1, h, w), 1 where motion explains the cell and 0 where it does not; 1 - validity is an occlusion map.
Validities multiply; intra-coded blocks have 0 from the codec (`displacement_on_grid`). Displacements are (N, h, w, 2)
in cells, x before y, backward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..warp import warp_features
from .grid import inside_frame

RELATIVE, ABSOLUTE = 0.01, 0.5


def forward_backward_validity(backward: Tensor, forward: Tensor) -> Tensor:
    """1 where the two flows agree, (N, 1, h, w), float32.

    `backward` leads from the current frame to the earlier one, `forward` back, both (N, h, w, 2). A cell is occluded
    where `|b + f(p + b)|^2 > 0.01 (|b|^2 + |f(p + b)|^2) + 0.5` (Sundaram, Brox and Keutzer, ECCV 2010), or where its
    source lies outside the frame.
    """
    returned = warp_features(forward.permute(0, 3, 1, 2), backward).permute(0, 2, 3, 1)
    mismatch = _squared_length(backward + returned)
    bound = RELATIVE * (_squared_length(backward) + _squared_length(returned)) + ABSOLUTE
    return (mismatch <= bound)[:, None].float() * inside_frame(backward)


def photometric_residual(current: Tensor, reference: Tensor, displacement: Tensor) -> Tensor:
    """Mean absolute colour difference in each cell, (N, 1, h, w), of the frame and the warped reference.

    `current` and `reference` are (N, 3, h, w), reduced and normalised (`FrameReducer`).
    """
    return (current - warp_features(reference, displacement)).abs().mean(1, keepdim=True)


def photometric_validity(current: Tensor, reference: Tensor, displacement: Tensor, threshold: float = 0.5) -> Tensor:
    """1 where `photometric_residual` is at most `threshold` (in standard deviations of colour) and in the frame."""
    matching = photometric_residual(current, reference, displacement) <= threshold
    return matching.float() * inside_frame(displacement)


def photometric_confidence(current: Tensor, reference: Tensor, displacement: Tensor) -> Tensor:
    """`photometric_validity`, soft: `exp(-photometric_residual)`, 0..1, and 0 where the source is outside the frame."""
    return torch.exp(-photometric_residual(current, reference, displacement)) * inside_frame(displacement)


def photometric_error(current: Tensor, reference: Tensor, displacement: Tensor, border: int = 1) -> Tensor:
    """Mean of `photometric_residual` without `border` cells at each side: one number, with a gradient.

    Tells without labels how well a motion source explains a frame.
    """
    residual = photometric_residual(current, reference, displacement)
    height, width = residual.shape[-2:]
    return residual[..., border : height - border, border : width - border].mean()


def _squared_length(vectors: Tensor) -> Tensor:
    return (vectors.float() ** 2).sum(-1)

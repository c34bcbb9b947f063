"""Between pictures and the grid of a propagation head: frames reduced, keyframe logits reduced, scores brought back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..network import resize_logits
from ..resize import resize_aligned
from .settings import PropagationSettings

PROBABILITY_FLOOR = 1e-6


class FrameReducer(nn.Module):
    """Pictures to a propagation head's input: one normalised colour for each cell of its grid."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: PropagationSettings) -> None:
        super().__init__()
        self.settings = settings
        order = (2, 1, 0) if settings.bgr else (0, 1, 2)
        for name, values in (("mean", settings.mean), ("std", settings.std)):
            self.register_buffer(name, torch.tensor([values[i] for i in order]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (N, H, W, 3), 0..255, uint8 or float, to (N, 3, h, w), float32."""
        images = images.to(self.mean.device).permute(0, 3, 1, 2).float()
        if self.settings.bgr:
            images = images.flip(1)
        return (reduce_to_grid(images, (images.shape[-2], images.shape[-1]), self.settings) - self.mean) / self.std


def reduce_to_grid(values: Tensor, size_hw: tuple[int, int], settings: PropagationSettings) -> Tensor:
    """A map (N, C, ., .) of a picture of `size_hw`, at any stride, to the picture's grid, (N, C, h, w).

    Corner-aligned: bilinear sampling, whatever the sizes. Otherwise the mean of each cell, the last row and column's
    being what the picture has left; a map whose stride does not divide the grid's is resized, `align_corners=False`.
    """
    grid_hw = settings.grid_hw(size_hw)
    map_hw = values.shape[-2], values.shape[-1]
    if map_hw == grid_hw:
        return values
    if settings.corner_aligned:
        return resize_aligned(values, grid_hw)
    factor = round(settings.stride * max(map_hw) / max(size_hw))
    if factor > 1 and (-(-map_hw[0] // factor), -(-map_hw[1] // factor)) == grid_hw:
        return functional.avg_pool2d(values, factor, ceil_mode=True)
    return functional.interpolate(values, size=grid_hw, mode="bilinear", align_corners=False)


def start_scores(logits: Tensor, size_hw: tuple[int, int], settings: PropagationSettings) -> Tensor:
    """The keyframe network's logits (N, C, ., .) for a picture of `size_hw` to what is carried, (N, C, h, w)."""
    logits = logits.float()
    scores = logits.softmax(1) if settings.probabilities else logits
    return reduce_to_grid(scores, size_hw, settings)


def full_logits(scores: Tensor, size_hw: tuple[int, int], settings: PropagationSettings) -> Tensor:
    """Carried scores (N, C, h, w) to logits (N, C, H, W), float32; logarithms where the scores are probabilities."""
    scores = scores.float()
    if settings.corner_aligned:
        scores = resize_aligned(scores, size_hw)
    else:
        scores = resize_logits(scores, size_hw)
    return scores.clamp(min=PROBABILITY_FLOOR).log() if settings.probabilities else scores

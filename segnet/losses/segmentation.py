"""Losses for training per-frame networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..network import resize_logits
from .processes import mean_over_processes

IGNORE = 255
LEAST_HARD = 1 / 16
"""The share of the known pixels that counts where fewer are hard by `SegmentationLoss`'s `confidence`."""


def class_weights(pixel_counts: NDArray[np.int64], power: float = 0.5, limit: float = 4.0) -> NDArray[np.float32]:
    """Weights (classes,) = (median frequency / frequency) ** power, at most `limit`, scaled to mean 1 over pixels.

    power 1 is median-frequency balancing (Eigen and Fergus, ICCV 2015); 0.5 and less are milder forms that cost
    frequent classes less; 0 switches balancing off. Classes that never occur get weight 1 before scaling.
    """
    frequency = pixel_counts / max(1, pixel_counts.sum())
    present = frequency > 0
    weights = np.ones(len(frequency))
    weights[present] = np.minimum(limit, (np.median(frequency[present]) / frequency[present]) ** power)
    scaled: NDArray[np.float32] = (weights / (weights * frequency).sum()).astype(np.float32)
    return scaled


def presence_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each class being in the picture, mean over pictures and classes.

    `scores` (N, C) are logits, `labels` (N, H, W) class indices; 255 is no class. The image-level term of PSPNet in the
    code that AR-Seg's CamVid network comes from (Hu et al., CVPR 2023).
    """
    present = torch.stack([(labels == index).flatten(1).any(1) for index in range(scores.shape[1])], 1)
    return functional.binary_cross_entropy_with_logits(scores.float(), present.float())


def head_loss(criterion: nn.Module, output: Tensor, labels: Tensor, step: int = 4) -> Tensor:
    """The loss of what an auxiliary head gave (`SegmentationNetwork.auxiliary`), for labels (N, H, W).

    Logits (N, C, h, w) go to `criterion` with every `step`-th row and column of the labels (1: all, as published),
    scores (N, C) to `presence_loss`.
    """
    if output.ndim == 2:
        return presence_loss(output, labels)
    start = step // 2
    loss: Tensor = criterion(output, labels[:, start::step, start::step])
    return loss


def heads_loss(criterion: nn.Module, outputs: Sequence[Tensor], labels: Tensor, step: int = 4) -> Tensor | float:
    """The mean of the losses of a network's auxiliary heads, 0 where it has none; see `head_loss`."""
    losses = [head_loss(criterion, output, labels, step) for output in outputs]
    return torch.stack(losses).mean() if losses else 0.0


class SegmentationLoss(nn.Module):
    """Cross-entropy of logits resized to the labels, class-weighted, optionally on the hardest pixels only.

    Online hard example mining (OHEM) comes in two forms. `keep` < 1: the mean is over that share of the known pixels
    with the largest loss. `confidence` in (0, 1): it is over those whose loss is above -ln `confidence` (without class
    weights: whose own class has a lower probability), but at least over the worst `LEAST_HARD` of them, as for the
    BiSeNets of AR-Seg (Hu et al., CVPR 2023), with 0.7. Of several processes each chooses among its own pixels. Labels
    of 255 count for nothing.
    """

    weights: Tensor

    def __init__(self, weights: NDArray[np.float32], keep: float = 1.0, confidence: float | None = None) -> None:
        super().__init__()
        if not 0 < keep <= 1:
            raise ValueError(f"keep is {keep}; it must lie in (0, 1]")
        if confidence is not None and not (0 < confidence < 1 and keep == 1):
            raise ValueError(f"confidence is {confidence}; it must lie in (0, 1), and goes without keep")
        self.register_buffer("weights", torch.from_numpy(weights))
        self.keep, self.confidence = keep, confidence

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (N, C, h, w) at any stride and labels (N, H, W) of class indices to one number."""
        size = (labels.shape[-2], labels.shape[-1])
        losses = functional.cross_entropy(
            resize_logits(logits, size), labels.long(), self.weights, ignore_index=IGNORE, reduction="none"
        )
        count = (labels != IGNORE).sum()
        if self.keep == 1 and self.confidence is None:
            return losses.sum() / mean_over_processes(count).clamp(min=1)
        kept = int(self.keep * int(count))
        if self.confidence is not None:
            hard = int((losses.detach() > -math.log(self.confidence)).sum())
            kept = max(hard, int(LEAST_HARD * int(count)))
        kept = min(max(1, kept), losses.numel())
        hardest = losses.flatten().topk(kept).values
        return hardest.sum() / mean_over_processes(torch.tensor(kept, device=losses.device))

"""Losses for training per-frame networks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..network import resize_logits
from .processes import mean_over_processes

IGNORE = 255


def class_weights(pixel_counts: NDArray[np.int64], power: float = 0.5, limit: float = 4.0) -> NDArray[np.float32]:
    """Weights (classes,) = (median frequency / frequency) ** power, at most `limit`, scaled to mean 1 over pixels.

    power 1 is median-frequency balancing (Eigen and Fergus, ICCV 2015); 0.5 is a milder form that costs frequent
    classes less; 0 switches balancing off. Classes that never occur get weight 1 before scaling.
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

    Logits (N, C, h, w) go to `criterion` with every `step`-th row and column of the labels, scores (N, C) to
    `presence_loss`.
    """
    if output.ndim == 2:
        return presence_loss(output, labels)
    start = step // 2
    loss: Tensor = criterion(output, labels[:, start::step, start::step])
    return loss


class SegmentationLoss(nn.Module):
    """Cross-entropy of logits resized to the labels, class-weighted, optionally on the hardest pixels only.

    `keep` < 1 is online hard example mining (OHEM): the mean is over that share of the known pixels with the largest
    loss; of several processes each chooses among its own. Labels of 255 count for nothing.
    """

    weights: Tensor

    def __init__(self, weights: NDArray[np.float32], keep: float = 1.0) -> None:
        super().__init__()
        if not 0 < keep <= 1:
            raise ValueError(f"keep is {keep}; it must lie in (0, 1]")
        self.register_buffer("weights", torch.from_numpy(weights))
        self.keep = keep

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (N, C, h, w) at any stride and labels (N, H, W) of class indices to one number."""
        size = (labels.shape[-2], labels.shape[-1])
        losses = functional.cross_entropy(
            resize_logits(logits, size), labels.long(), self.weights, ignore_index=IGNORE, reduction="none"
        )
        known = labels != IGNORE
        count = known.sum()
        if self.keep < 1:
            kept = min(max(1, int(self.keep * int(count))), losses.numel())
            hardest = losses.flatten().topk(kept).values
            return hardest.sum() / mean_over_processes(torch.tensor(kept, device=losses.device))
        return losses.sum() / mean_over_processes(count).clamp(min=1)

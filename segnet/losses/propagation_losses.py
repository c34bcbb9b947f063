"""Losses that propagation heads and pyramid SwiftNets are trained with."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..network import resize_logits
from .processes import mean_over_processes
from .segmentation import IGNORE

CITYSCAPES_WEIGHTS = (
    3.0387, 13.0200, 4.5301, 38.0090, 35.3599, 31.1425, 45.8211, 39.4445, 6.0000, 32.6476,
    17.3473, 31.4572, 47.0854, 11.7017, 44.5097, 44.8050, 45.6306, 48.2108, 41.2191,
)  # fmt: skip
"""GSVNet's class weights for Cityscapes, in train-id order."""

CAMVID_WEIGHTS = {
    "sky": 6.0884,
    "building": 4.5196,
    "pole": 33.9744,
    "road": 3.8928,
    "pavement": 12.4725,
    "tree": 8.5316,
    "sign": 47.7011,
    "fence": 29.6653,
    "car": 18.9982,
    "pedestrian": 38.3879,
    "bicyclist": 40.1059,
}
"""GSVNet's class weights for CamVid."""


class PropagationLoss(nn.Module):
    """GSVNet's loss: `scale * (class-weighted cross-entropy + distillation * KL)`.

    KL is that of the keyframe network's probabilities on the same frame against the output's, averaged over all
    N * C * H * W entries. The released code has scale 10 and distillation 10; the paper has cross-entropy alone (1, 0).
    `weights` (classes,) are those of the classes, 1 each where None.
    """

    weights: Tensor | None

    def __init__(
        self, weights: Sequence[float] | None = None, *, scale: float = 10.0, distillation: float = 10.0
    ) -> None:
        super().__init__()
        self.register_buffer("weights", None if weights is None else torch.tensor(weights, dtype=torch.float32))
        self.scale, self.distillation = scale, distillation

    def forward(self, logits: Tensor, labels: Tensor, teacher: Tensor | None = None) -> Tensor:
        """Output logits (N, C, H, W), labels (N, H, W), the keyframe network's logits (N, C, ., .) to one number.

        Labels that are no class (250, 255) count for nothing. `teacher`, resized to the labels, is needed unless
        `distillation` is 0; ValueError without.
        """
        logits = logits.float()
        labels = labels.long()
        known = labels < logits.shape[1]
        targets = torch.where(known, labels, IGNORE)
        losses = functional.cross_entropy(logits, targets, self.weights, ignore_index=IGNORE, reduction="sum")
        weight = known.sum() if self.weights is None else self.weights[labels[known]].sum()
        total = losses / mean_over_processes(weight).clamp(min=1e-6)
        if self.distillation:
            if teacher is None:
                raise ValueError("distillation needs the keyframe network's logits on the same frame; give `teacher`")
            teacher = resize_logits(teacher, (labels.shape[-2], labels.shape[-1]))
            total = total + self.distillation * distillation_loss(logits, teacher)
        return self.scale * total


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean over all entries of `q (log q - log p)`, q the softmax of `teacher` and p of `logits`, both (N, C, H, W)."""
    return functional.kl_div(
        logits.log_softmax(1), teacher.detach().log_softmax(1), reduction="none", log_target=True
    ).mean()


class BoundaryAwareFocalLoss(nn.Module):
    """SwiftNet's loss for its pyramid form: `-alpha * exp((1 - p) / 2) * log p`, alpha larger near boundaries.

    The mean is over pixels whose alpha is not 0 (Orsic et al., CVPR 2019; the exponential, where a focal loss has a
    power, is the released code's).
    """

    def forward(self, logits: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
        """Logits (N, C, ., .), labels (N, H, W) and their `boundary_weights` (N, H, W) to one number."""
        labels = labels.long()
        resized = resize_logits(logits, (labels.shape[-2], labels.shape[-1]))
        alpha = torch.where(labels < logits.shape[1], alpha, 0)
        targets = torch.where(labels < logits.shape[1], labels, 0)
        log_p = resized.log_softmax(1).gather(1, targets[:, None])[:, 0]
        losses = -alpha * torch.exp(0.5 * (1 - log_p.exp())) * log_p
        return losses.sum() / mean_over_processes((alpha > 0).sum()).clamp(min=1)


BOUNDARY_BINS = ((16.0, 8.0), (64.0, 4.0), (128.0, 2.0))
"""SwiftNet's weights by distance to the nearest boundary: up to 16 pixels 8, up to 64 4, up to 128 2, beyond 1."""


def boundary_weights(
    labels: NDArray[np.uint8], classes: int, bins: Sequence[tuple[float, float]] = BOUNDARY_BINS
) -> NDArray[np.float32]:
    """Weights (H, W) of one label map (H, W), by Euclidean distance in pixels to the nearest pixel of another class.

    `bins` are (distance, weight), nearest first; beyond the last the weight is 1, and void (no class) has 0.
    """
    distance = np.full(labels.shape, np.inf, np.float32)
    for index in np.unique(labels):
        inside = labels == index
        if not inside.all():
            to_other = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            distance[inside] = to_other[inside]
    weights = np.ones(labels.shape, np.float32)
    for bound, weight in reversed(bins):
        weights[distance <= bound] = weight
    weights[labels >= classes] = 0
    return weights

"""The loss that MRCFA is trained with."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ..network import resize_logits
from .processes import mean_over_processes

PER_FRAME_WEIGHT = 0.5


def clip_loss(
    per_frame: Tensor,
    of_target: Tensor,
    labels: Tensor,
    *,
    ignore: int = 255,
    weights: Tensor | None = None,
    published: bool = False,
) -> Tensor:
    """0.5 CE(per-frame logits, each frame's labels) + CE(logits of the target, the target's labels), a scalar.

    `per_frame` and `of_target` are `MRCFA.training_outputs`, (N, T, classes, h, w); `labels` (N, T, H, W) int64, the
    target last, `ignore` for void. Logits are upsampled bilinearly to the labels' size. Each cross-entropy is the mean
    over the known pixels, each counting as its class does in `weights` (classes,), whose mean over pixels is 1;
    `published`: over all pixels, void ones counting as 0, as the released code does (Sun et al., ECCV 2022).
    """
    target = labels[:, -1:].expand(-1, of_target.shape[1], -1, -1)
    own = per_frame_loss(per_frame, labels, ignore=ignore, weights=weights, published=published)
    return own + cross_entropy(of_target, target, ignore, weights, over_all=published)


def per_frame_loss(
    per_frame: Tensor, labels: Tensor, *, ignore: int = 255, weights: Tensor | None = None, published: bool = False
) -> Tensor:
    """The first term of `clip_loss`, with its weight: what the per-frame network of the paper is trained with."""
    return PER_FRAME_WEIGHT * cross_entropy(per_frame, labels, ignore, weights, over_all=published)


def cross_entropy(logits: Tensor, labels: Tensor, ignore: int, weights: Tensor | None, *, over_all: bool) -> Tensor:
    """Mean cross-entropy of logits (N, T, classes, h, w) for labels (N, T, H, W), over known pixels or over all."""
    upsampled = resize_logits(logits.flatten(0, 1), (labels.shape[-2], labels.shape[-1]))
    total = functional.cross_entropy(upsampled, labels.flatten(0, 1), weights, ignore_index=ignore, reduction="sum")
    if over_all:
        return total / labels.numel()
    return total / mean_over_processes((labels != ignore).sum()).clamp(min=1)

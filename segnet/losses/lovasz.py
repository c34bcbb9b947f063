"""The Lovász-softmax loss, a surrogate of mIoU (Berman, Rannen Triki and Blaschko, CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .segmentation import IGNORE


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """The Lovász extension of 1 - IoU, of the mean over the classes that the labels hold (equations 8 and 9), in 0..1.

    Logits (N, C, h, w) and labels (N, H, W) of class indices, of which the nearest to each logit counts; 255 is no
    class. All pictures are one set of pixels. 0, with gradients, where nothing is labelled.
    """
    size = (logits.shape[2], logits.shape[3])
    nearest = functional.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
    known = nearest != IGNORE
    p = logits.float().softmax(1).permute(0, 2, 3, 1)[known]
    of_class = functional.one_hot(nearest[known], logits.shape[1]).to(p.dtype)
    present = of_class.any(0)
    if not present.any():
        return logits.sum() * 0
    p, of_class = p[:, present], of_class[:, present]
    errors, order = (of_class - p).abs().sort(0, descending=True)
    return (errors * jaccard_steps(of_class.gather(0, order))).sum(0).mean()


def jaccard_steps(of_class: Tensor) -> Tensor:
    """What each of the worst pixels, column by column in falling order of their errors, takes from the IoU (Algorithm 1
    of the paper); `of_class` (pixels, C) is 1 where the pixel is of the class, else 0."""
    count = of_class.sum(0)
    intersection = count - of_class.cumsum(0)
    union = count + (1 - of_class).cumsum(0)
    loss = 1 - intersection / union
    return torch.cat([loss[:1], loss[1:] - loss[:-1]])

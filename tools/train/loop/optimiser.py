"""The optimiser of a training and the schedule of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ....segnet import ParameterGroup
from .settings import TrainSettings


def make_optimiser(
    groups: Iterable[ParameterGroup], settings: TrainSettings, rates: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum; frozen parameters are left out, each group has its peak as `base_lr`.

    `rates` are learning rates relative to that of the settings, by the groups' names, 1 for other groups; without it
    they are those of the published recipe, which the groups know.
    """
    made: list[dict[str, Any]] = []
    for group in groups:
        learning = [parameter for parameter in group.parameters.values() if parameter.requires_grad]
        rate = group.rate if rates is None else rates.get(group.name, 1.0)
        decay = settings.weight_decay if group.decayed else 0.0
        if learning:
            made.append({"params": learning, "weight_decay": decay, "base_lr": settings.lr * rate})
    if settings.optimiser == "sgd":
        return torch.optim.SGD(made, lr=settings.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(made, lr=settings.lr)


def lr_factor(settings: TrainSettings, step: int, total: int) -> float:
    """The learning rate at a step, relative to the peak: linear warm-up, then the schedule.

    'poly' is (1 - t) ** 0.9, 'cosine' half a cosine, 'flat-cosine' the peak until the last `decay_share` of the run,
    then half a cosine: a run of that kind can be shortened or lengthened while it is still flat.
    """
    t = step / max(1, total)
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    if settings.schedule == "poly":
        return float(warm * (1 - t) ** 0.9)
    start = 1 - settings.decay_share if settings.schedule == "flat-cosine" else 0.0
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, t - start) / (1 - start))))

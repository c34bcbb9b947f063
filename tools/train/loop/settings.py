"""`TrainSettings`: what the loop of every training heeds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Length, optimiser, schedule, average, seed, validation and precision; `batch` is of one process and step.

    `precision` is "fp32", "bf16", "fp16" (with channels-last tensors), or "auto": see `fastest_precision`.
    """

    epochs: int = 100
    batch: int = 8
    optimiser: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 200
    schedule: str = "flat-cosine"
    decay_share: float = 0.4
    ema: float = 0.998
    seed: int = 0
    validate_every: int = 5
    precision: str = "auto"

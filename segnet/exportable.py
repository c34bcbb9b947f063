"""Sizes that follow the picture's, and means over areas, in a form that exporters can follow for pictures of any size.

Exporters run a network once and write down what it does to tensors: the tracer of OpenVINO's converter (torch.jit), in
which sizes are tensors, and torch.export for ONNX, in which they are symbols. Neither follows Python's `round`, and not
all of them pooling to a size that changes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def is_exporting() -> bool:
    """Whether an exporter is writing down what is done now."""
    exporting = getattr(torch.compiler, "is_exporting", lambda: False)  # since torch 2.7
    return bool(torch.jit.is_tracing() or exporting())  # type: ignore[attr-defined, no-untyped-call]


def rounded_ratio(numerator: int, denominator: int) -> int:
    """round(numerator / denominator) of positive whole numbers, halves to even as Python has it, in whole numbers only.

    For exporters these may be tensors or symbols.
    """
    doubled, twice = 2 * numerator + denominator, 2 * denominator
    up = doubled // twice
    is_half = up - (doubled - 1) // twice
    return up - is_half * (up % 2)


def at_least_one(size: Any) -> Any:
    """max(1, size), for exporters, too."""
    if isinstance(size, Tensor):
        return size.clamp(min=1)
    return torch.sym_max(1, size) if is_exporting() else max(1, size)  # type: ignore[no-untyped-call]


def area_means(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Means of (N, C, h, w) over areas, (N, C, *size_hw): adaptive average pooling."""
    if not is_exporting():
        return functional.adaptive_avg_pool2d(x, size_hw)
    down = _averages(size_hw[0], x.shape[-2], x)
    across = _averages(size_hw[1], x.shape[-1], x)
    return down @ (x @ across.T)


def _averages(outputs: int, inputs: int, like: Tensor) -> Tensor:
    """Adaptive average pooling of one axis as a matrix, (outputs, inputs)."""
    row = torch.arange(outputs, device=like.device)[:, None]
    column = torch.arange(inputs, device=like.device)[None]
    begin = (row * inputs) // outputs
    end = ((row + 1) * inputs + outputs - 1) // outputs
    inside = ((column >= begin) & (column < end)).to(like.dtype)
    return inside / (end - begin).to(like.dtype)

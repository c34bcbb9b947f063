"""Floating-point operations of networks and of whole pipelines, counted by torch.

`torch.utils.flop_counter` counts 2 operations a multiply-accumulate, of convolutions, matrix products and attention;
interpolation, normalisation and other element-wise work count for nothing, as in the field's usual figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from ....codec import Frame
from ....pipelines import Pipeline
from ....segnet import SegmentationNetwork

T = TypeVar("T")
FrameKind = tuple[bool, bool]
"""Whether a frame is a keyframe, and whether the network saw it."""


def count_operations(call: Callable[[], T]) -> tuple[T, int]:
    """What `call` returns, and the operations that torch did for it."""
    with FlopCounterMode(display=False) as counter:
        result = call()
    return result, int(counter.get_total_flops())


def network_gflops(network: SegmentationNetwork, size_hw: tuple[int, int]) -> float:
    """1e9 operations of one forward pass on a picture of `size_hw`."""
    images = torch.zeros(1, 3, *size_hw, device=next(network.parameters()).device)
    with torch.inference_mode():
        return count_operations(lambda: network(images))[1] / 1e9


def operations_by_kind(pipeline: Pipeline, frames: Iterable[Frame]) -> dict[FrameKind, float]:
    """Mean operations of a pipeline's steps over `frames`, by the kind of frame."""
    counts: dict[FrameKind, list[int]] = {}
    for frame in frames:
        prediction, operations = count_operations(lambda frame=frame: pipeline.step(frame))  # type: ignore[misc]
        counts.setdefault((frame.distance == 0, prediction.from_network), []).append(operations)
    return {kind: sum(values) / len(values) for kind, values in counts.items()}

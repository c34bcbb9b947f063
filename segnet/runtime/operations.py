"""Operations of networks that torch does not run, told to torch's counter of them (`torch.utils.flop_counter`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from ..importing import AdaptedNetwork
from ..network import SegmentationNetwork

SIDE = 256
"""Pictures of SIDE x SIDE pixels are counted on."""

PerPixel = Mapping[str, float]
"""Operations for a pixel of the picture, 2 a multiply-accumulate, of "features", "classify" and "logits"."""


@torch.library.custom_op("gopseg::computed_elsewhere", mutates_args=())
def computed_elsewhere(values: Tensor, operations: int) -> Tensor:  # noqa: ARG001
    """A copy of `values`, which another runtime made by so many operations."""
    return values.clone()


@register_flop_formula(torch.ops.gopseg.computed_elsewhere)
def _operations(_shape: object, operations: int, **_: object) -> int:
    return operations


def operations_per_pixel(network: SegmentationNetwork) -> dict[str, float]:
    """What a network in torch takes for a pixel, as counted on one picture; of an adapted network "logits" alone."""
    images = torch.zeros(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        if isinstance(network, AdaptedNetwork):
            seen = network.prepare(images)
            pixels = seen.shape[-2] * seen.shape[-1]
            return {"logits": _counted(network.logits_of, seen) / pixels}
        p = network.features(images)
        found = {
            "features": _counted(network.features, images),
            "classify": _counted(network.classify, p),
            "logits": _counted(network, images),
        }
        return {name: operations / SIDE**2 for name, operations in found.items()}


def counted(values: Tensor, operations: float) -> Tensor:
    """`values`, after torch's counter has been told of the operations that made them."""
    made: Tensor = computed_elsewhere(values, round(operations)) if operations else values
    return made


def _counted(call: Callable[[Tensor], object], values: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        call(values)
    return int(counter.get_total_flops())

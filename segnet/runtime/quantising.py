"""Quantising graphs for OpenVINO by NNCF: 8-bit weights and activations, their ranges found on pictures."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from ..errors import ModelError
from .engine import first_line
from .openvino_engine import logits_alone

PRESET = nncf.QuantizationPreset.MIXED
"""Symmetric weights, asymmetric activations."""

KEPT = frozenset({"Add", "Multiply", "Concat", "Interpolate"})
"""Kinds of layers that stay in fp32: in 8 bits they gain no time, and 94.0 % of SwiftNet-Lite0's cells, not 98.8 %,
had the label of fp32 (AVX2, OpenVINO 2026.4)."""

OVERFLOW_FIX = nncf.OverflowFix.ENABLE
"""Weights use 7 of their 8 bits: on CPUs without VNNI (AVX2) sums of two products would overflow 16 bits."""


def quantise(model: ov.Model, pictures: Sequence[NDArray[np.float32]]) -> ov.Model:
    """A network's graph with int8 convolutions, calibrated on normalised RGB pictures (1, 3, H, W) of any sizes.

    NNCF's post-training quantisation with bias correction. What is KEPT stays in fp32, as do products of matrices that
    only serve pooling.
    The only output is the logits: with the features as a second one, OpenVINO 2026.4 computes wrong logits on AVX2.
    ModelError where it fails.
    """
    logging.getLogger("nncf").setLevel(logging.ERROR)
    kept = [
        node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() in KEPT or _pools(node)
    ]
    scope = nncf.IgnoredScope(names=kept, validate=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantised: ov.Model = nncf.quantize(
                model,
                nncf.Dataset(pictures),
                preset=PRESET,
                subset_size=len(pictures),
                ignored_scope=scope,
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=OVERFLOW_FIX),
            )
    except Exception as error:
        raise ModelError(f"the network cannot be quantised: {first_line(error)}") from error
    return logits_alone(quantised)


def _pools(node: ov.Node) -> bool:
    """Whether a node is a product with a matrix of averages, which follows from sizes alone: see `area_means`."""
    if node.get_type_name() != "MatMul":
        return False
    return any(_is_made_of_sizes(node.input_value(port).get_node()) for port in range(2))


def _is_made_of_sizes(node: ov.Node) -> bool:
    """Whether a node is made of ranges, constants and shapes, and of no values of a picture."""
    waiting, seen, has_range = [node], set(), False
    while waiting:
        each = waiting.pop()
        name = each.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        kind = each.get_type_name()
        if kind == "Parameter":
            return False
        has_range = has_range or kind == "Range"
        if kind not in ("ShapeOf", "Constant"):
            waiting += [each.input_value(port).get_node() for port in range(each.get_input_size())]
    return has_range

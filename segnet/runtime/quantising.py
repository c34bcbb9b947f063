"""Quantising graphs for OpenVINO by NNCF: 8-bit weights and activations, their ranges found on examples."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as ops

from ..errors import ModelError
from .engines import core, first_line, is_made_of_sizes, logits_alone, named_tensors
from .graphs import FEATURES

Examples = Sequence[Mapping[str, NDArray[Any]]]
"""Inputs of a graph by their names."""

PRESET = nncf.QuantizationPreset.MIXED
"""Symmetric weights, asymmetric activations."""

KEPT = frozenset({"Add", "Multiply", "Concat", "Interpolate"})
"""Kinds of layers that stay in fp32: in 8 bits they gain no time, and 94.0 % of SwiftNet-Lite0's cells, not 98.8 %,
had the label of fp32 (AVX2, OpenVINO 2026.4)."""

OVERFLOW_FIX = nncf.OverflowFix.ENABLE
"""Weights use 7 of their 8 bits: on CPUs without VNNI (AVX2) sums of two products would overflow 16 bits."""

TRIED, TRIED_ALONE = 16, 3
"""Examples whose ranges a trial takes, and those on which its layers are tried one by one."""

SENSITIVE = 10.0
"""Layers that alone change the logits by more than so many times what the layer in the middle does stay in fp32."""

MOST = 1e6
"""More than any layer gives."""

CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})


@dataclass(frozen=True)
class Quantised:
    """A quantised graph, and the `sensitive` layers that stayed in fp32: by its name, how much of the logits' variance
    each would have cost by itself."""

    model: ov.Model
    sensitive: dict[str, float]


def quantise(model: ov.Model, examples: Examples) -> Quantised:
    """A graph with int8 convolutions, calibrated on examples of its inputs, of any sizes. Its first output counts.

    NNCF's post-training quantisation, twice: first of all layers, of which each is then tried alone, and again without
    those that are SENSITIVE. In SwiftNet-Lite0 these are the first ones: their few weights, rounded to 7 bits, shift
    whole areas by their brightness. What is KEPT stays in fp32, as do products of matrices that only serve pooling.
    There is no correction of biases: on other pictures than those of the calibration it gains nothing.

    A network's only output is the logits: with the features as a second one, OpenVINO 2026.4 computes wrong logits on
    AVX2 (`set_apart`). ModelError where it fails.
    """
    model = set_apart(model)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    kept = [
        node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() in KEPT or _pools(node)
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = _counted(_quantised(model.clone(), spread(examples, TRIED), kept, compressed=False))
            costs = layer_costs(trial, spread(examples, TRIED_ALONE))
            most = SENSITIVE * float(np.median(list(costs.values())))
            sensitive = {name: cost for name, cost in costs.items() if cost > most}
            made = _quantised(model.clone(), examples, [*kept, *sensitive], compressed=True)
    except Exception as error:
        raise ModelError(f"the network cannot be quantised: {first_line(error)}") from error
    return Quantised(_counted(made), sensitive)


def spread(examples: Examples, most: int) -> Examples:
    """Up to so many of some examples, spread over them evenly."""
    places = np.linspace(0, len(examples) - 1, min(most, len(examples)))
    return [examples[place] for place in places.round().astype(int)]


def layer_costs(quantised: ov.Model, examples: Examples) -> dict[str, float]:
    """How much each quantised convolution of a graph changes the logits by itself, as a share of their variance, by its
    name; the weights must still be in fp32."""
    layers = [node.get_friendly_name() for node in quantised.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]
    expected = _logits(only(quantised, ()), examples)
    variance = float(np.mean([logits.var(axis=(2, 3)).mean() for logits in expected]))
    costs = {}
    for layer in layers:
        found = _logits(only(quantised, (layer,)), examples)
        error = np.mean([((one - other) ** 2).mean() for one, other in zip(found, expected, strict=True)])
        costs[layer] = float(error) / variance
    return costs


def only(quantised: ov.Model, layers: Iterable[str]) -> ov.Model:
    """A quantised graph with nothing but the named layers quantised, weights and inputs."""
    names, made = set(layers), quantised.clone()
    for node in made.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize":
            continue
        for target in node.output(0).get_target_inputs():
            if not _leads_to(target.get_node(), names):
                target.replace_source_output(node.input_value(0))
    return made


def _leads_to(node: ov.Node, names: set[str]) -> bool:
    """Whether a node is one of those named, or shapes the weights of one."""
    if node.get_friendly_name() in names:
        return True
    if node.get_type_name() != "Reshape":
        return False
    return any(target.get_node().get_friendly_name() in names for target in node.output(0).get_target_inputs())


def _logits(model: ov.Model, examples: Examples) -> list[NDArray[np.float32]]:
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(compiled(dict(example))[0]) for example in examples]


def _quantised(model: ov.Model, examples: Examples, kept: Sequence[str], *, compressed: bool) -> ov.Model:
    """A graph quantised but for what is `kept`; unless `compressed`, its weights are rounded when it runs."""
    made: ov.Model = nncf.quantize(
        model,
        nncf.Dataset(list(examples)),
        preset=PRESET,
        subset_size=len(examples),
        ignored_scope=nncf.IgnoredScope(names=list(kept), validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=OVERFLOW_FIX,
            disable_bias_correction=True,
            backend_params={"compress_weights": compressed},
        ),
    )
    return made


def set_apart(model: ov.Model) -> ov.Model:
    """A graph with something that changes nothing between each convolution and the several layers that take its output.

    Otherwise, if one of these is a product (batch norm), OpenVINO 2026.4 multiplies the weights of an int8 convolution
    by it, for the others, too. In an AR branch, where the features go to the classifier and to the fusion, this is off
    by a tenth of the logits' variance.
    """
    made = model.clone()
    for node in made.get_ordered_ops():
        targets = list(node.output(0).get_target_inputs()) if node.get_type_name() in CONVOLUTIONS else []
        if len({target.get_node().get_type_name() for target in targets} - {"Result"}) > 1:
            same = ops.clamp(node.output(0), -MOST, MOST)
            for target in targets:
                target.replace_source_output(same.output(0))
    return made


def _counted(model: ov.Model) -> ov.Model:
    """A network's graph with nothing but its logits, any other as it is."""
    return logits_alone(model) if FEATURES in named_tensors(model) else model


def _pools(node: ov.Node) -> bool:
    """Whether a node is a product with a matrix of averages, which follows from sizes alone: see `area_means`."""
    if node.get_type_name() != "MatMul":
        return False
    return any(is_made_of_sizes(node.input_value(port).get_node()) for port in range(2))

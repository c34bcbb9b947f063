"""OpenVINO: whole graphs of several inputs, compiled for each size that they are given."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as ops

from .engine import Array, GraphEngine
from .openvino_engine import configuration, core

CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})

SIZES_KEPT = 4
"""Sizes for which a graph stays compiled."""

Given = tuple[tuple[str, tuple[int, ...]], ...]


class OpenVinoGraph(GraphEngine):
    """A graph on so many threads of OpenVINO, at a precision as of `OpenVinoEngine`.

    Where sizes are free, OpenVINO 2026.4 takes up to a third longer, so it is compiled for each size, in half a second.
    With `split_warps`, as in bf16, places in pictures are worked out in fp32 whatever the precision: bf16 tells no
    cells apart beyond the 256th.
    """

    def __init__(self, model: ov.Model, threads: int, precision: str, *, split_warps: bool | None = None) -> None:
        self.model = model
        self._threads, self._precision = threads, precision
        self._splits = precision == "bf16" if split_warps is None else split_warps
        self._outputs = [port.get_any_name() for port in model.outputs]
        self._parts: OrderedDict[Given, list[_Part]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[Array]:
        """See `GraphEngine`."""
        given = tuple((name, value.shape) for name, value in inputs.items())
        with self._lock:
            if given not in self._parts:
                self._parts[given] = self._compiled(given)
                if len(self._parts) > SIZES_KEPT:
                    self._parts.popitem(last=False)
            self._parts.move_to_end(given)
            known = dict(inputs)
            for part in self._parts[given]:
                part.run(known)
            return [np.array(known[name]) for name in self._outputs]

    def _compiled(self, given: Given) -> list[_Part]:
        model = self.model.clone()
        model.reshape({name: list(shape) for name, shape in given})
        skip_identities(model)
        if not self._splits:
            return [_Part(model, configuration(self._threads, self._precision))]
        first, rest = split_at_warps(model)
        return [
            _Part(first, configuration(self._threads, "fp32")),
            _Part(rest, configuration(self._threads, self._precision)),
        ]


class _Part:
    """A compiled graph of fixed sizes."""

    def __init__(self, model: ov.Model, config: dict[str, Any]) -> None:
        self._request = core().compile_model(model, "CPU", config).create_infer_request()
        self._inputs = [port.get_any_name() for port in model.inputs]
        self._outputs = [port.get_any_name() for port in model.outputs]

    def run(self, known: dict[str, NDArray[Any]]) -> None:
        """Take what is `known` by name, and add what is made of it, which is good until this runs again."""
        self._request.infer([known[name] for name in self._inputs], share_inputs=True)
        for i, name in enumerate(self._outputs):
            known[name] = self._request.get_output_tensor(i).data


def skip_identities(model: ov.Model) -> None:
    """Take out of a graph of fixed sizes what resizes or averages a map to the size that it has."""
    for node in model.get_ordered_ops():
        kept: int | None = None
        if node.get_type_name() == "Interpolate" and node.get_input_shape(0) == node.get_output_shape(0):
            kept = 0
        elif node.get_type_name() == "MatMul":
            kept = next((1 - port for port in range(2) if _is_identity(node.input_value(port))), None)
        if kept is not None:
            for target in node.output(0).get_target_inputs():
                target.replace_source_output(node.input_value(kept))


def _is_identity(matrix: ov.Output) -> bool:
    """Whether a matrix is made of sizes and is the identity; see `area_means`."""
    shape = matrix.get_shape()
    if len(shape) != 2 or shape[0] != shape[1] or not is_made_of_sizes(matrix.get_node()):
        return False
    made = ov.Model([matrix], _inputs_of([matrix]), "matrix").clone()
    zeros = [np.zeros(port.get_shape(), port.get_element_type().to_dtype()) for port in made.inputs]
    return np.array_equal(core().compile_model(made, "CPU")(zeros)[0], np.eye(shape[0]))


def is_made_of_sizes(node: ov.Node) -> bool:
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


def split_at_warps(model: ov.Model) -> tuple[ov.Model, ov.Model]:
    """A graph in two: what is warped and the outputs that no convolution leads to, and the rest, which is given the
    former."""
    whole = model.clone()
    cuts = [node.output(0) for node in whole.get_ordered_ops() if node.get_type_name() == "GridSample"]
    for i, warped in enumerate(cuts):
        warped.get_tensor().set_names({f"warped{i}"})
    ends = [result.input_value(0) for result in whole.get_results()]
    early = [end for end in ends if not any(node.get_type_name() in CONVOLUTIONS for node in _leading_to([end]))]
    cuts += [end for end in early if end.get_any_name() not in {cut.get_any_name() for cut in cuts}]
    first = ov.Model(cuts, _inputs_of(cuts), "warps").clone()
    for cut in cuts:
        given = ops.parameter(cut.get_partial_shape(), np.float32, cut.get_any_name())
        given.output(0).get_tensor().set_names({cut.get_any_name()})
        for target in cut.get_target_inputs():
            if target.get_node().get_type_name() != "Result":
                target.replace_source_output(given.output(0))
    late = [end for end in ends if end not in early]
    return first, ov.Model(late, _inputs_of(late), "rest")


def _inputs_of(ends: list[ov.Output]) -> list[ov.Node]:
    return [node for node in _leading_to(ends) if node.get_type_name() == "Parameter"]


def _leading_to(ends: list[ov.Output]) -> list[ov.Node]:
    """The nodes from which some outputs follow."""
    waiting, found = [end.get_node() for end in ends], {}
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in found:
            found[node.get_friendly_name()] = node
            waiting += [node.input_value(port).get_node() for port in range(node.get_input_size())]
    return list(found.values())

"""OpenVINO: networks converted, cut in their halves, and compiled."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino import opset15 as ops

from ...errors import ModelError
from ..graphs import CLASSIFIED, FEATURES, LOGITS, PICTURES, Graph, as_exported
from .engine import Array, Engine, first_line

TYPES = {torch.float32: ov.Type.f32, torch.int64: ov.Type.i64}


def convert_to_openvino(graph: Graph, what: str) -> ov.Model:
    """A graph for OpenVINO, with its names; ModelError, which names `what`, where that fails.

    It is traced, since torch.export takes a minute to see what follows from a size.
    """
    examples = tuple(graph.inputs.values())
    shapes = []
    for name, each in graph.inputs.items():
        free = graph.free_axes(name)
        shapes.append(([-1 if axis in free else size for axis, size in enumerate(each.shape)], TYPES[each.dtype]))
    try:
        with as_exported(graph.module):
            traced = torch.jit.trace(graph.module, examples, check_trace=False)  # type: ignore[no-untyped-call]
            model = ov.convert_model(traced, example_input=examples, input=shapes)
        for port, name in zip([*model.inputs, *model.outputs], [*graph.inputs, *graph.outputs], strict=True):
            port.get_tensor().set_names({name})
    except Exception as error:
        raise ModelError(
            f"{what} cannot be converted to OpenVINO; take --runtime torch ({first_line(error)})"
        ) from error
    return model


class OpenVinoEngine(Engine):
    """A graph of `convert_to_openvino` on so many threads, at a precision of "fp32", "bf16" or "int8" (a quantised
    graph, whose other layers are fp32)."""

    def __init__(self, model: ov.Model, threads: int, precision: str) -> None:
        self.model = model
        self._config = configuration(threads, precision)
        self._requests: dict[str, ov.InferRequest] = {}
        self._lock = threading.Lock()

    @property
    def is_plain(self) -> bool:
        """See `Engine`."""
        return CLASSIFIED not in named_tensors(self.model)

    def features(self, images: Array) -> Array:
        """See `Engine`."""
        return self._run("features", images)

    def classify(self, p: Array) -> Array:
        """See `Engine`."""
        return self._run("classify", p)

    def logits(self, images: Array) -> Array:
        """See `Engine`."""
        return self._run("logits", images)

    def _run(self, part: str, values: Array) -> Array:
        """One picture after the other: several at a time take as long, and each new number of them some tenths of a
        second of preparation."""
        with self._lock:
            if part not in self._requests:
                self._requests[part] = compile_part(self.model, part, self._config)
            request = self._requests[part]
            made = [np.array(request.infer([values[i : i + 1]], share_inputs=True)[0]) for i in range(len(values))]
        return made[0] if len(made) == 1 else np.concatenate(made)


def configuration(threads: int, precision: str) -> dict[str, Any]:
    """How graphs are compiled that run one after the other on so many threads; `precision` as of `OpenVinoEngine`."""
    return {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": ov.Type.bf16 if precision == "bf16" else ov.Type.f32,
        "ENABLE_CPU_PINNING": False,  # every process would take the same first cores
    }


def compile_part(model: ov.Model, part: str, config: dict[str, Any]) -> ov.InferRequest:
    """A request for one of a graph's parts: "features", "classify" or "logits"."""
    return core().compile_model(cut(model, part), "CPU", config).create_infer_request()


def cut(model: ov.Model, part: str) -> ov.Model:
    """The part of a graph that makes features of pictures, logits of features, or logits of pictures."""
    whole = model.clone()
    ends = named_tensors(whole)
    logits = ends[LOGITS]
    if part == "logits":
        return ov.Model([logits], whole.get_parameters(), part)
    p = ends[FEATURES]
    if part == "features":
        return ov.Model([p], whole.get_parameters(), part)
    given = ops.parameter(p.get_partial_shape(), np.float32, FEATURES)
    for target in p.get_target_inputs():
        if target.get_node().get_type_name() != "Result":
            target.replace_source_output(given.output(0))
    classified = ends.get(CLASSIFIED, logits)
    is_identity = p.get_node() == classified.get_node() and p.get_index() == classified.get_index()
    return ov.Model([given.output(0) if is_identity else classified], [given], part)


def named_tensors(model: ov.Model) -> dict[str, ov.Output]:
    """FEATURES, LOGITS and CLASSIFIED of a graph, of those that it has; outputs of it or not."""
    ports = [port for node in model.get_ordered_ops() if node.get_type_name() != "Result" for port in node.outputs()]
    return {name: port for port in ports for name in (FEATURES, LOGITS, CLASSIFIED) if name in port.get_names()}


def logits_alone(model: ov.Model) -> ov.Model:
    """The graph with LOGITS as its only output; the other names stay with their tensors."""
    return ov.Model([named_tensors(model)[LOGITS]], model.get_parameters(), model.get_friendly_name())


def read_openvino(file: Path, *, is_network: bool = True) -> ov.Model:
    """A graph from its .xml file, with the .bin beside it; ModelError where they cannot be read, or are no network
    where it is to be one."""
    try:
        model = core().read_model(file)
        if is_network:
            model.input(PICTURES), model.output(LOGITS)
    except RuntimeError as error:
        raise ModelError(
            f"'{file}' is no network that export-segnet wrote for OpenVINO ({first_line(error)})"
        ) from error
    return model


def computes_bf16() -> bool:
    """Whether this CPU computes in bf16 of its own."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def core() -> ov.Core:
    """OpenVINO's entry, one in a process."""
    return ov.Core()

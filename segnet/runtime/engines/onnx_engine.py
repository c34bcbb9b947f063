"""ONNX: networks converted, cut in their halves, and run by ONNX Runtime."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx.utils import Extractor

from ...errors import ModelError
from ..graphs import CLASSIFIED, FEATURES, LOGITS, PICTURES, Graph, as_exported
from .engine import Array, Engine, GraphEngine, first_line

T = TypeVar("T")


def convert_to_onnx(graph: Graph, what: str) -> onnx.ModelProto:
    """A graph for ONNX, with its names; ModelError, which names `what`, where that fails.

    Takes half a minute or more: torch.export reasons about every size.
    """
    free = [dict.fromkeys(graph.free_axes(name), torch.export.Dim.DYNAMIC) for name in graph.inputs]
    try:
        with as_exported(graph.module):
            program = torch.onnx.export(
                graph.module,
                tuple(graph.inputs.values()),
                dynamo=True,
                dynamic_shapes=_as_arguments(graph.module, free),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                verbose=False,
            )
    except Exception as error:
        raise ModelError(
            f"{what} cannot be converted to ONNX; take --runtime torch or openvino ({first_line(error)})"
        ) from error
    assert program is not None
    return program.model_proto


def _as_arguments(module: torch.nn.Module, values: Sequence[T]) -> tuple[T | tuple[T, ...], ...]:
    """What is said of each argument of a module, as torch.export takes it: those that go into *args together."""
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    single = len(kinds) - (inspect.Parameter.VAR_POSITIONAL in kinds)
    return (*values[:single], *([tuple(values[single:])] if single < len(kinds) else []))


class OnnxEngine(Engine):
    """A graph of `convert_to_onnx` on so many threads of ONNX Runtime, fp32 or quantised."""

    def __init__(self, model: onnx.ModelProto, threads: int) -> None:
        self.model = model
        self._options = _options(threads)
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._lock = threading.Lock()

    @property
    def is_plain(self) -> bool:
        """See `Engine`."""
        return CLASSIFIED not in {port.name for port in self.model.graph.output}

    def features(self, images: Array) -> Array:
        """See `Engine`."""
        return self._run(PICTURES, FEATURES, images)

    def classify(self, p: Array) -> Array:
        """See `Engine`."""
        return self._run(FEATURES, LOGITS if self.is_plain else CLASSIFIED, p)

    def logits(self, images: Array) -> Array:
        """See `Engine`."""
        return self._run(PICTURES, LOGITS, images)

    def _run(self, source: str, target: str, values: Array) -> Array:
        part = f"{source} to {target}"
        with self._lock:
            if part not in self._sessions:
                graph = Extractor(self.model).extract_model([source], [target])
                self._sessions[part] = onnxruntime.InferenceSession(
                    graph.SerializeToString(), self._options, providers=["CPUExecutionProvider"]
                )
        return np.asarray(self._sessions[part].run([target], {source: values})[0], np.float32)


class OnnxGraph(GraphEngine):
    """A whole graph on so many threads of ONNX Runtime."""

    def __init__(self, model: onnx.ModelProto, threads: int) -> None:
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), _options(threads), providers=["CPUExecutionProvider"]
        )

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[Array]:
        """See `GraphEngine`."""
        return [np.asarray(value, np.float32) for value in self._session.run(None, dict(inputs))]


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return options


def read_onnx(file: Path, *, is_network: bool = True) -> onnx.ModelProto:
    """A graph from its file; ModelError where it cannot be read, or is no network where it is to be one."""
    try:
        model = onnx.load(file)
    except Exception as error:
        raise ModelError(f"'{file}' is no ONNX file that can be read ({first_line(error)})") from error
    names = {port.name for port in (*model.graph.input, *model.graph.output)}
    if is_network and not {PICTURES, LOGITS} <= names:
        raise ModelError(f"'{file}' was not written by export-segnet: it lacks {PICTURES} or {LOGITS}")
    return model

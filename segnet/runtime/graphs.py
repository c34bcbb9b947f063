"""Graphs: modules with examples of what they take; converted to a runtime's format, and compared with torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ModelError
from ..importing import AdaptedNetwork
from ..network import SegmentationNetwork
from .engines import Array

PICTURES, FEATURES, LOGITS, CLASSIFIED = "images", "features", "logits", "classified"
"""The names of a network's input and outputs: CLASSIFIED is what `classify` makes of the features, an output of its own
where a network's logits are more than that, such as resized."""

EXAMPLE_HW = (96, 160)
"""The picture that exporters are shown; graphs take others of any size."""

CHECKED_HW = ((131, 165), (90, 203))
"""Sizes of the pictures on which graphs are compared with torch."""

TOLERANCE = 1e-3
"""The largest difference from torch, as a share of the largest value where that is above 1."""

Run = Callable[[Mapping[str, NDArray[Any]]], Sequence[Array]]


@dataclass(frozen=True, eq=False)
class Graph:
    """A `module` to be exported, with an example of each of its inputs, in the order in which it takes them.

    Every axis of an input is free but those of `fixed`, which has axes by the input's name; their default is axis 1,
    the channels. Examples have a batch of 2, because exporters take a size of 1 for a constant.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    fixed: Mapping[str, tuple[int, ...]]

    def free_axes(self, name: str) -> list[int]:
        """The axes of an input that are free."""
        fixed = self.fixed.get(name, (1,))
        return [axis for axis in range(self.inputs[name].ndim) if axis not in fixed]


class Halves(nn.Module):
    """Normalised RGB (N, 3, H, W) to what a network classifies, its logits and, unless it `is_plain`, the classified
    features, which then are not yet the logits."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network
        self.is_plain = type(network).forward is SegmentationNetwork.forward

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what it returns."""
        return (FEATURES, LOGITS) if self.is_plain else (FEATURES, LOGITS, CLASSIFIED)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The features, the logits and, unless plain, the classified features."""
        p = self.network.features(images)
        classified = self.network.classify(p)
        if self.is_plain:
            return p, classified
        self.network.features = lambda images: p  # type: ignore[method-assign]  # noqa: ARG005
        try:
            return p, self.network(images), classified
        finally:
            del self.network.features


class AdaptedLogits(nn.Module):
    """The module of an adapted network, from pictures as it takes them to its logits."""

    def __init__(self, network: AdaptedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        return self.network.logits_of(images)


def network_graph(network: SegmentationNetwork) -> Graph:
    """A network from PICTURES to FEATURES and LOGITS; an adapted one's module, from prepared pictures to LOGITS.

    What is around that module stays outside: how its logits are resized depends on the picture's size.
    """
    if isinstance(network, AdaptedNetwork):
        return Graph(AdaptedLogits(network), {PICTURES: pictures(network, EXAMPLE_HW, 2)}, (LOGITS,), {})
    halves = Halves(network)
    return Graph(halves, {PICTURES: pictures(network, EXAMPLE_HW, 2)}, halves.outputs, {})


def network_trials(network: SegmentationNetwork) -> dict[tuple[int, int], dict[str, Tensor]]:
    """Inputs of `network_graph`, one picture each, by its size."""
    return {size: {PICTURES: pictures(network, size, 1)} for size in CHECKED_HW}


def pictures(network: SegmentationNetwork, size_hw: tuple[int, int], count: int) -> Tensor:
    """Noise as a network's graph takes it."""
    images = noise(count, 3, *size_hw)
    return network.prepare(images) if isinstance(network, AdaptedNetwork) else images


@contextmanager
def as_exported(module: nn.Module) -> Iterator[None]:
    """In eval mode, without gradients, and without what exporters say of themselves; as before afterwards."""
    was_training = {each: each.training for each in module.modules()}
    log = logging.getLogger("torch.onnx")
    level = log.level
    module.eval()
    log.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        for each, before in was_training.items():
            each.training = before


def noise(*shape: int) -> Tensor:
    """Normal noise, the same each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def convert_checked(
    graph: Graph, what: str, format_: str, tried: Mapping[tuple[int, int], Mapping[str, Tensor]]
) -> tuple[Any, float]:
    """A graph in a format ("openvino", "onnx"), and its largest difference from torch on what is `tried` by size.

    ModelError, which names `what`, where it cannot be converted or differs by more than TOLERANCE.
    """
    model = CONVERTERS[format_](graph, what)
    return model, compare(graph, runner_of(model, format_), tried)


def compare(graph: Graph, run: Run, tried: Mapping[Any, Mapping[str, Tensor]]) -> float:
    """The largest difference between a graph and its module in torch on what is `tried`, as a share of the largest
    value where that is above 1; ModelError where it is above TOLERANCE."""
    largest = 0.0
    for name, inputs in tried.items():
        with as_exported(graph.module):
            made = graph.module(*inputs.values())
        expected = [made] if isinstance(made, Tensor) else list(made)
        found = run({key: value.numpy() for key, value in inputs.items()})
        for want, got in zip(expected, found, strict=True):
            if tuple(want.shape) != got.shape:
                raise ModelError(f"the exported graph gives {got.shape} for {name}, torch {tuple(want.shape)}")
            difference = float((want - torch.from_numpy(got)).abs().max())
            largest = max(largest, difference / max(1.0, float(want.abs().max())))
    if not largest <= TOLERANCE:
        raise ModelError(f"the exported graph differs from torch by {largest:.2g} (at most {TOLERANCE:g}); not written")
    return largest


def runner_of(model: Any, format_: str) -> Run:
    """A function that runs a whole graph: inputs by name to the list of outputs."""
    if format_ == "openvino":
        from .engines import core

        compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda inputs: [np.array(value) for value in compiled(dict(inputs)).to_tuple()]
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda inputs: list(session.run(None, dict(inputs)))


def _to_openvino(graph: Graph, what: str) -> Any:
    from .engines import convert_to_openvino

    return convert_to_openvino(graph, what)


def _to_onnx(graph: Graph, what: str) -> Any:
    from .engines import convert_to_onnx

    return convert_to_onnx(graph, what)


CONVERTERS: dict[str, Callable[[Graph, str], Any]] = {"openvino": _to_openvino, "onnx": _to_onnx}

"""`RuntimeNetwork`: a `SegmentationNetwork` whose halves another runtime computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..importing import AdaptedNetwork
from ..network import SegmentationNetwork
from .engines import Array, Engine
from .operations import PerPixel, counted

_IN_TORCH: ContextVar[bool] = ContextVar("in_torch", default=False)


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What a network declares of itself beside its graph: see `SegmentationNetwork`; `mean`, `std` are RGB, 0..255."""

    classes: tuple[str, ...]
    feature_channels: int
    feature_stride: int
    linear_classifier: bool
    architecture: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, network: SegmentationNetwork) -> Interface:
        """A network's own."""
        return cls(
            classes=tuple(network.classes),
            feature_channels=network.feature_channels,
            feature_stride=network.feature_stride,
            linear_classifier=network.linear_classifier,
            architecture=network.architecture,
            mean=tuple(network.mean.flatten().tolist()),
            std=tuple(network.std.flatten().tolist()),
        )


class RuntimeNetwork(SegmentationNetwork):
    """A network that OpenVINO or ONNX Runtime computes, on the CPU; for inference only.

    It takes and gives torch's tensors, in float32, under whatever autocast. `runtime` ("openvino", "onnx") and
    `precision` ("fp32", "bf16", "int8") say how it runs; `torch_network` is the network that it was converted from,
    None for one from an exported file. Within `in_torch()` that one is run instead, or if there is none, torch's
    counter is told of `operations`.
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(
        self,
        engine: Engine,
        interface: Interface,
        *,
        runtime: str,
        precision: str,
        torch_network: SegmentationNetwork | None = None,
        weights_file: Path | None = None,
        operations: PerPixel | None = None,
    ) -> None:
        super().__init__()
        self.engine, self.runtime, self.precision = engine, runtime, precision
        self.classes, self.architecture = interface.classes, interface.architecture
        self.feature_channels, self.feature_stride = interface.feature_channels, interface.feature_stride
        self.linear_classifier = interface.linear_classifier
        self.weights_file = weights_file
        self.operations = operations or {}
        self._source = (torch_network,)  # in a tuple: no part of this module, which has no parameters
        for name, values in (("image_mean", interface.mean), ("image_std", interface.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def torch_network(self) -> SegmentationNetwork | None:
        """The network that this was converted from."""
        return self._source[0]

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to what is classified, (N, feature_channels, ceil(H / s), ceil(W / s))."""
        source = self._torch_source()
        if source is not None:
            return source.features(images)
        return _told(_run(self.engine.features, images), self.operations, "features", _area(images))

    def classify(self, p: Tensor) -> Tensor:
        """Features to logits (N, classes, h, w)."""
        source = self._torch_source()
        if source is not None:
            return source.classify(p)
        return _told(_run(self.engine.classify, p), self.operations, "classify", _area(p) * self.feature_stride**2)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to logits, in one graph."""
        source = self._torch_source()
        if source is not None:
            logits: Tensor = source(images)
            return logits
        return _told(_run(self.engine.logits, images), self.operations, "logits", _area(images))

    @property
    def mean(self) -> Tensor:
        """Of the network."""
        return self.image_mean

    @property
    def std(self) -> Tensor:
        """Of the network."""
        return self.image_std

    def _torch_source(self) -> SegmentationNetwork | None:
        """The network in torch where that is asked for and there is one."""
        return self.torch_network if _IN_TORCH.get() else None


@contextmanager
def in_torch() -> Iterator[None]:
    """Within it, networks that were converted run in torch, as for counting their operations; exported graphs, which
    torch knows nothing of, run as they always do, and torch's counter is told what their cards say."""
    token = _IN_TORCH.set(True)
    try:
        yield
    finally:
        _IN_TORCH.reset(token)


def runs_in_torch() -> bool:
    """Whether this is within `in_torch()`."""
    return _IN_TORCH.get()


class RuntimeModule(nn.Module):
    """The module of an adapted network on another runtime: pictures as it takes them to logits, as `RuntimeNetwork`."""

    def __init__(
        self,
        engine: Engine,
        *,
        runtime: str,
        precision: str,
        torch_module: nn.Module | None = None,
        operations: PerPixel | None = None,
    ) -> None:
        super().__init__()
        self.engine, self.runtime, self.precision, self.operations = engine, runtime, precision, operations or {}
        self._source = (torch_module,)

    def forward(self, images: Tensor) -> Any:
        """(N, 3, H, W) to logits (N, C, h, w); in torch, whatever the module returns."""
        source = self._source[0] if _IN_TORCH.get() else None
        if source is not None:
            return source(images)
        return _told(_run(self.engine.logits, images), self.operations, "logits", _area(images))


def adapted_on(network: AdaptedNetwork, module: RuntimeModule) -> AdaptedNetwork:
    """An adapted network whose module is computed elsewhere; what is around it stays in torch."""
    made = copy.copy(network)
    made._modules = {**network._modules, "module": module}
    made.__dict__["converted_from"] = network
    return made


def placed(network: SegmentationNetwork) -> tuple[str, str] | None:
    """The runtime and the precision of a network that is not torch's; None of one that is."""
    on = network.module if isinstance(network, AdaptedNetwork) else network
    return (on.runtime, on.precision) if isinstance(on, RuntimeNetwork | RuntimeModule) else None


def torch_network_of(network: SegmentationNetwork) -> SegmentationNetwork:
    """What a network was converted from, or the network itself."""
    if isinstance(network, RuntimeNetwork):
        return network.torch_network or network
    found: SegmentationNetwork = network.__dict__.get("converted_from", network)
    return found


def _run(call: Callable[[Array], Array], values: Tensor) -> Tensor:
    return torch.from_numpy(call(values.detach().float().contiguous().numpy()))


def _told(values: Tensor, operations: PerPixel, part: str, pixels: int) -> Tensor:
    """`values` of a part of a network; within `in_torch()` torch's counter is told of its operations."""
    return counted(values, operations.get(part, 0.0) * pixels) if _IN_TORCH.get() else values


def _area(maps: Tensor) -> int:
    return len(maps) * maps.shape[-2] * maps.shape[-1]

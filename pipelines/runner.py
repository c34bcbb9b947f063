"""`NetworkRunner`: a segmentation network on one device at one precision, from RGB pictures to logits."""

from __future__ import annotations

from . import openmp  # noqa: F401

# isort: split
import copy
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..segnet import SegmentationNetwork
from .devices import find_device, half_of, probe_size, seconds_of
from .errors import StreamUsageError
from .precision import Precision

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)
USUAL_SIZE_HW = (360, 480)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Companion(ABC, Generic[T]):
    """What belongs to a runner's network, such as a branch: a frozen dataclass, equal where what it names is."""

    @abstractmethod
    def make(self, runner: NetworkRunner) -> T:
        """Load or build it; `NetworkRunner.companion` keeps it."""


class NetworkRunner:
    """Runs `network` on pictures, one at a time, under autocast and channels-last.

    `device` is what `find_device` takes: 'auto' (CUDA where there is one), 'cpu', 'cuda:N', 'mps' and others of torch.
    `precision` 'auto' takes the faster of fp32 and the device's half precision, found by timing the network itself,
    with its weights prepared, on a picture of `size_hw` (smaller on a CPU); fp16 is for accelerators only. Raises
    StreamUsageError for a device or a precision that this machine cannot offer.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        size_hw: tuple[int, int] = USUAL_SIZE_HW,
    ) -> None:
        self.device = find_device(device)
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = network.classes
        self.stride = network.feature_stride
        self._companions: dict[Companion[Any], Any] = {}
        self.precision: Precision = self._choose(precision, size_hw)
        self.network = self.prepared(self.network)

    def prepared(self, module: M) -> M:
        """A module whose convolutions hold their weights at this runner's precision, so that autocast need not cast
        them for each picture; the same module at fp32. The results are the same."""
        return _prepared(module, self.precision)

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which networks run at this runner's precision."""
        return self._autocast(self.precision)

    def companion(self, what: Companion[T]) -> T:
        """What belongs to this runner's network; made once."""
        if what not in self._companions:
            self._companions[what] = what.make(self)
        return cast(T, self._companions[what])

    def adopt(self, what: Companion[T], made: T) -> None:
        """Take `made` for what `what` would make."""
        self._companions[what] = made

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB to (ceil(H / s), ceil(W / s), classes) float32 logits at the network's stride s."""
        with torch.inference_mode():
            images = self.network.normalise(torch.from_numpy(image).to(self.device)[None])
            with self.autocast():
                return _channels_last(self.network(images))

    def features_and_logits(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(H, W, 3) uint8 RGB to what the network classifies, (h, w, channels), and its logits (h, w, classes)."""
        with torch.inference_mode(), self.autocast():
            p = self.network.features(self.network.normalise(torch.from_numpy(image).to(self.device)[None]))
            return _channels_last(p), _channels_last(self.network.classify(p))

    def classify(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (h, w, channels) to logits (h, w, classes)."""
        with torch.inference_mode(), self.autocast():
            return _channels_last(
                self.network.classify(torch.from_numpy(features).to(self.device).permute(2, 0, 1)[None])
            )

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """Run once on a black picture, so that one-time preparations are not counted with the first frame."""
        self.logits(np.zeros((*size_hw, 3), np.uint8))

    def _autocast(self, precision: str) -> AbstractContextManager[object]:
        return nullcontext() if precision == "fp32" else torch.autocast(self.device.type, _DTYPES[precision])

    def _choose(self, precision: Precision, size_hw: tuple[int, int]) -> Precision:
        if precision == "fp16" and self.device.type == "cpu":
            raise StreamUsageError("--precision fp16 needs a CUDA device; on a CPU take bf16, fp32 or auto")
        if precision != "auto":
            return precision
        candidates: tuple[Precision, ...] = ("fp32", half_of(self.device))
        networks = {candidate: _prepared(self.network, candidate) for candidate in candidates}
        picture = torch.randint(0, 256, (1, *probe_size(self.device, size_hw), 3), dtype=torch.uint8).to(self.device)

        def run(candidate: Precision) -> None:
            images = networks[candidate].normalise(picture)
            with torch.inference_mode(), self._autocast(candidate):
                networks[candidate](images)

        best = seconds_of(self.device, {candidate: partial(run, candidate) for candidate in candidates})
        return min(candidates, key=best.__getitem__)


def _prepared(module: M, precision: Precision) -> M:
    if precision == "fp32":
        return module
    module = copy.deepcopy(module)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.to(_DTYPES[precision])
    return module


def _channels_last(maps: torch.Tensor) -> NDArray[np.float32]:
    """(1, C, h, w) to (h, w, C) float32."""
    array: NDArray[np.float32] = maps[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
    return array

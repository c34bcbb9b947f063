"""`NetworkRunner`: a segmentation network on one device at one precision, from RGB pictures to logits."""

from __future__ import annotations

from . import openmp  # noqa: F401

# isort: split
import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..segnet import SegmentationNetwork
from .errors import StreamUsageError

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)
Precision = Literal["auto", "fp32", "bf16", "fp16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class NetworkRunner:
    """Runs `network` on pictures, one at a time, under autocast and channels-last.

    `device` is 'auto' (CUDA where there is one), 'cpu', 'cuda' or 'cuda:N'. `precision` 'auto' takes the faster of fp32
    and the device's half precision, found by timing the network itself on a small picture; fp16 is for CUDA only.
    Raises StreamUsageError for a device or a precision that this machine cannot offer.
    """

    def __init__(self, network: SegmentationNetwork, *, device: str = "auto", precision: Precision = "auto") -> None:
        self.device = find_device(device)
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = network.classes
        self.stride = network.feature_stride
        self._companions: dict[str, Any] = {}
        self.precision: Precision = self._choose(precision)
        self.network = self.prepared(self.network)

    def prepared(self, module: M) -> M:
        """A module whose convolutions hold their weights at this runner's precision, so that autocast need not cast
        them for each picture; the same module at fp32. The results are the same."""
        if self.precision == "fp32":
            return module
        module = copy.deepcopy(module)
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.to(_DTYPES[self.precision])
        return module

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which networks run at this runner's precision."""
        return self._autocast(self.precision)

    def companion(self, key: str, make: Callable[[], T]) -> T:
        """What belongs to this runner's network, such as a branch; made once."""
        if key not in self._companions:
            self._companions[key] = make()
        found: T = self._companions[key]
        return found

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB to (ceil(H / s), ceil(W / s), classes) float32 logits at the network's stride s."""
        with torch.inference_mode():
            return _channels_last(self._run(torch.from_numpy(image), self.precision)[None])

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

    def _run(self, image: torch.Tensor, precision: str) -> torch.Tensor:
        """(H, W, 3) uint8 to (classes, h, w) in the dtype of `precision`."""
        images = self.network.normalise(image.to(self.device)[None])
        with self._autocast(precision):
            output: torch.Tensor = self.network(images)[0]
        return output

    def _autocast(self, precision: str) -> AbstractContextManager[object]:
        return nullcontext() if precision == "fp32" else torch.autocast(self.device.type, _DTYPES[precision])

    def _choose(self, precision: Precision) -> Precision:
        half: Precision = "bf16"
        if self.device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            half = "fp16"
        if precision == "fp16" and self.device.type == "cpu":
            raise StreamUsageError("--precision fp16 needs a CUDA device; on a CPU take bf16, fp32 or auto")
        if precision != "auto":
            return precision
        return self._faster("fp32", half)

    def _faster(self, *precisions: Precision) -> Precision:
        """The one whose best of a few runs, taken in turns, is shortest on a noise picture of 192 x 320.

        On a CPU, one thread runs and its own time is counted, so that other programs' load does not decide.
        """
        image = torch.randint(0, 256, (192, 320, 3), dtype=torch.uint8)
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter
        best = dict.fromkeys(precisions, float("inf"))
        with torch.inference_mode(), _single_thread():
            for attempt in range(4):
                for precision in precisions:
                    begin = clock()
                    self._run(image, precision).float().cpu()
                    if attempt:  # the first run warms up
                        best[precision] = min(best[precision], clock() - begin)
        return min(best, key=best.__getitem__)


def _channels_last(maps: torch.Tensor) -> NDArray[np.float32]:
    """(1, C, h, w) to (h, w, C) float32."""
    array: NDArray[np.float32] = maps[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
    return array


@contextmanager
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def find_device(name: str) -> torch.device:
    """'auto', 'cpu', 'cuda' or 'cuda:N' as a device that is there; StreamUsageError otherwise."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise StreamUsageError(f"--device {name}: unknown; take auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise StreamUsageError(f"--device {name}: this machine has {count or 'no'} CUDA devices; take auto or cpu")
    return device

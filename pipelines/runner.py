"""`NetworkRunner`: a segmentation network on one device at one precision, from RGB pictures to logits."""

from __future__ import annotations

from . import openmp  # noqa: F401

# isort: split
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..codec import Frame
from ..segnet import (
    BRANCH,
    ModelError,
    Runtime,
    SegmentationNetwork,
    automatic_precisions,
    can_convert,
    choose_runtime,
    on_runtime,
    placed,
    quantised_beside,
    quantised_graph,
)
from .devices import find_device, half_of, probe_size, seconds_of
from .errors import StreamUsageError
from .on_device import DeviceScores, can_send_planes, sent_picture
from .precision import Precision
from .timing import Clock, image_of

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)
USUAL_SIZE_HW = (360, 480)
WORTH_QUANTISING = 0.9
"""The share of the time of fp32 or bf16 that a quantised graph takes at most where it is chosen by itself."""
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


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

    `runtime` is what computes the network: torch, or OpenVINO or ONNX Runtime on the CPU ('auto': see `Runtime`), in
    whose place `network` may be one from an exported file. What is not the network, such as a fusion, is `converted`.
    ModelError for a runtime that cannot be.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        size_hw: tuple[int, int] = USUAL_SIZE_HW,
        runtime: Runtime = "torch",
    ) -> None:
        self.device = find_device(device)
        self.runtime: Runtime = _runtime_for(network, runtime, self.device)
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = network.classes
        self.stride = network.feature_stride
        self._companions: dict[Companion[Any], Any] = {}
        self._last_picture: tuple[Frame, Tensor] | None = None
        self._warm: set[tuple[int, int]] = set()
        self._fallback = ""
        try:
            self._place(precision, size_hw)
        except ModelError as error:
            if runtime != "auto" or self.runtime == "torch" or precision == "int8":  # which torch has not
                raise
            self.runtime, self._fallback = "torch", f" ({error})"
            self._place(precision, size_hw)

    def _place(self, precision: Precision, size_hw: tuple[int, int]) -> None:
        """Choose the precision, and put the network on the runtime."""
        if self.runtime == "torch":
            self.precision: Precision = self._choose(precision, size_hw)
            self.network = self.prepared(self.network)
        else:
            self.precision, made = self._choose_on_runtime(precision, size_hw)
            self.network = made or on_runtime(self.network, self.runtime, self.precision)

    @property
    def description(self) -> str:
        """What computes the network, for a user: "openvino in fp32 on the CPU, threads: 2"."""
        where = f"the CPU, threads: {torch.get_num_threads()}" if self.device.type == "cpu" else str(self.device)
        return f"{self.runtime} in {self.precision} on {where}{self._fallback}"

    def computed(self, network: SegmentationNetwork) -> SegmentationNetwork:
        """A network as this runner's runtime computes it, at `precision_for` it; in torch, `prepared`."""
        if self.runtime == "torch":
            return self.prepared(network)
        return on_runtime(network, self.runtime, self.precision_for(network))

    def precision_for(self, network: SegmentationNetwork) -> Precision:
        """This runner's precision, or the CPU's own where that is int8 and a branch has no quantised graph."""
        if self.precision != "int8" or placed(network) is not None:
            return self.precision
        return self._int8_or_plain(quantised_graph(network))

    def converted(self, make: Callable[[str, str], T], weights: Path | None) -> T | None:
        """What `make` makes for this runner's runtime and precision of what is not the network, as a fusion, whose
        `weights` a quantised graph may lie beside; None where it stays in torch, because that is the runtime, or it
        cannot be converted."""
        if self.runtime == "torch":
            return None
        precision = self.precision
        if precision == "int8":
            precision = self._int8_or_plain(quantised_beside(weights, BRANCH))
        try:
            return make(self.runtime, precision)
        except ModelError as error:
            self._fallback += f" ({error})"
            return None

    def _int8_or_plain(self, quantised: Path | None) -> Precision:
        plain = cast(Precision, automatic_precisions(self.network, self.runtime)[0])
        return plain if quantised is None else "int8"

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

    @property
    def stays_on_device(self) -> bool:
        """Whether what the network says is left where it is computed, on an accelerator, and only labels come back."""
        return self.device.type != "cpu"

    def needs_image(self, frame: Frame) -> bool:
        """Whether `picture` and `scores` make RGB of a frame on the CPU, and do not send its planes to the device."""
        return not (self.stays_on_device and can_send_planes(frame))

    def picture(self, frame: Frame, clock: Clock) -> Tensor:
        """A frame's picture as it is shown, (1, H, W, 3) uint8 RGB, on the device. The last one is remembered."""
        if self.device.type == "cpu":
            return torch.from_numpy(image_of(frame, clock))[None]
        last = self._last_picture
        if last is None or last[0] is not frame:
            if self.needs_image(frame):
                image_of(frame, clock)
            with clock("upload"):
                last = frame, sent_picture(frame, self.device)
            self._last_picture = last
        return last[1]

    def scores(self, frame: Frame, clock: Clock) -> NDArray[np.float32] | DeviceScores:
        """What the network says of a frame: logits (h, w, classes), or where they stay on the device, those."""
        if self.stays_on_device:
            picture = self.picture(frame, clock)
            with clock("network"):
                return self.kept(self.logit_maps(picture), frame.size_hw)
        image = image_of(frame, clock)
        with clock("network"):
            return self.logits(image)

    def kept(
        self, maps: Tensor, size_hw: tuple[int, int], *, mask: Tensor | None = None
    ) -> NDArray[np.float32] | DeviceScores:
        """Scores (1, classes, h, w) of a picture of `size_hw`, for its labels: as an array (h, w, classes), or where
        they stay on the device, there, with the `mask` that `DeviceScores` may have."""
        return DeviceScores(maps, self.stride, size_hw, mask=mask) if self.stays_on_device else _channels_last(maps)

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB to (ceil(H / s), ceil(W / s), classes) float32 logits at the network's stride s."""
        return _channels_last(self.logit_maps(torch.from_numpy(image)[None]))

    def features_and_logits(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(H, W, 3) uint8 RGB to what the network classifies, (h, w, channels), and its logits (h, w, classes)."""
        features, logits = self.feature_and_logit_maps(torch.from_numpy(image)[None])
        return _channels_last(features), _channels_last(logits)

    def classify(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (h, w, channels) to logits (h, w, classes)."""
        return _channels_last(self.classified(torch.from_numpy(features).to(self.device).permute(2, 0, 1)[None]))

    def logit_maps(self, pictures: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB to logits (N, classes, h, w), on the device."""
        with torch.inference_mode():
            images = self.network.normalise(pictures.to(self.device))
            with self.autocast():
                logits: Tensor = self.network(images)
                return logits

    def feature_and_logit_maps(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W, 3) uint8 RGB to features (N, channels, h, w) and logits (N, classes, h, w), on the device."""
        with torch.inference_mode(), self.autocast():
            p = self.network.features(self.network.normalise(pictures.to(self.device)))
            return p, self.network.classify(p)

    def classified(self, features: Tensor) -> Tensor:
        """Features (N, channels, h, w) on the device to logits (N, classes, h, w)."""
        with torch.inference_mode(), self.autocast():
            logits: Tensor = self.network.classify(features)
            return logits

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """Run on a black picture, so that one-time preparations are not counted with the first frame; once a size."""
        if size_hw not in self._warm:
            self._warm.add(size_hw)
            self.logits(np.zeros((*size_hw, 3), np.uint8))

    def _autocast(self, precision: str) -> AbstractContextManager[object]:
        return nullcontext() if precision not in _HALVES else torch.autocast(self.device.type, _HALVES[precision])

    def _choose(self, precision: Precision, size_hw: tuple[int, int]) -> Precision:
        if precision == "int8":
            raise StreamUsageError("--precision int8 is for --runtime openvino; in torch take fp32, bf16 or auto")
        if precision == "fp16" and self.device.type == "cpu":
            raise StreamUsageError("--precision fp16 needs a CUDA device; on a CPU take bf16, fp32 or auto")
        if precision != "auto":
            return precision
        candidates: tuple[Precision, ...] = ("fp32", half_of(self.device))
        best = self._seconds({candidate: _prepared(self.network, candidate) for candidate in candidates}, size_hw)
        return min(candidates, key=best.__getitem__)

    def _choose_on_runtime(
        self, precision: Precision, size_hw: tuple[int, int]
    ) -> tuple[Precision, SegmentationNetwork | None]:
        """The precision in a runtime that is not torch, and the network there, if it was made for the choice."""
        own = placed(self.network)
        if own is not None:
            if precision not in ("auto", own[1]):
                raise StreamUsageError(f"--precision {precision}: the exported file's is {own[1]}; leave it out")
            return cast(Precision, own[1]), self.network
        if precision == "fp16":
            raise StreamUsageError("--precision fp16 needs a CUDA device; on a CPU take fp32, bf16 or auto")
        if precision != "auto":
            return precision, None
        plain, *others = cast("tuple[Precision, ...]", automatic_precisions(self.network, self.runtime))
        if not others:
            return plain, None
        made = {each: on_runtime(self.network, self.runtime, each) for each in (plain, *others)}
        best = self._seconds(made, size_hw)
        quantised = others[0]
        chosen = quantised if best[quantised] < WORTH_QUANTISING * best[plain] else plain
        return chosen, made[chosen]

    def _seconds(
        self, networks: Mapping[Precision, SegmentationNetwork], size_hw: tuple[int, int]
    ) -> dict[Precision, float]:
        """How long the network takes at each of some precisions."""
        picture = torch.randint(0, 256, (1, *probe_size(self.device, size_hw), 3), dtype=torch.uint8).to(self.device)

        def run(candidate: Precision) -> None:
            images = networks[candidate].normalise(picture)
            with torch.inference_mode(), self._autocast(candidate):
                networks[candidate](images)

        return seconds_of(self.device, {candidate: partial(run, candidate) for candidate in networks})


def _prepared(module: M, precision: Precision) -> M:
    if precision not in _HALVES:
        return module
    module = copy.deepcopy(module)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.to(_HALVES[precision])
    return module


def _runtime_for(network: SegmentationNetwork, runtime: Runtime, device: torch.device) -> Runtime:
    """The runtime to take for a network, which may have been loaded on one."""
    own = placed(network)
    if own is not None:
        if runtime not in ("auto", own[0]):
            raise StreamUsageError(f"--runtime {runtime}: the exported file is for {own[0]}; leave it out")
        return choose_runtime(cast(Runtime, own[0]), device.type)
    if runtime == "auto" and not can_convert(network):
        return "torch"
    return choose_runtime(runtime, device.type)


def _channels_last(maps: torch.Tensor) -> NDArray[np.float32]:
    """(1, C, h, w) to (h, w, C) float32."""
    array: NDArray[np.float32] = maps[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
    return array

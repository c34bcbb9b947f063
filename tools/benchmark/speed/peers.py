"""Rows of what one would write without this package: the network on every frame, and AR-Seg to the letter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....codec import file_url
from ....pipelines import NetworkRunner
from ....segnet import load_network
from .naive_arseg import NaiveARSeg
from .rows import Row, Took

PRESENT = "swiftnet18-camvid"
"""The network whose rate in torch others are held to."""
NETWORK = "network"


@dataclass
class Clock:
    """Milliseconds by stage."""

    stages: dict[str, float]

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """A context whose time counts for a stage."""
        begin = time.perf_counter()
        yield
        self.stages[stage] = self.stages.get(stage, 0.0) + (time.perf_counter() - begin) * 1e3


def loop_name(model: str, runtime: str, threads: int | None = None) -> str:
    """What a plain loop's row is called."""
    return f"plain loop, {model}, {runtime}" + ("" if threads is None else f", {threads} thread")


def peer_rows(video: Path, model: str, device: str, most: int, *, one_thread: bool) -> Iterator[Row]:
    """The rows of a video; with `one_thread`, those of the networks also on one thread."""
    loops = [(PRESENT, "torch"), (model, "torch")]
    loops = list(dict.fromkeys(loops)) + ([(model, "openvino")] if device == "cpu" else [])
    for name, runtime in loops:
        yield Row(loop_name(name, runtime), partial(_loop, video, name, runtime, device, None), 1, most)
    if one_thread:
        for name, runtime in loops:
            yield Row(loop_name(name, runtime, 1), partial(_loop, video, name, runtime, device, 1), 1, most)
    yield Row("naive AR-Seg", partial(_arseg, video, model, device), 2, most)


Classify = Callable[[NDArray[np.uint8]], Tensor]
"""A picture (H, W, 3) to logits (1, classes, h, w)."""


@cache
def classifier(model: str, runtime: str, device: str, threads: int | None) -> Classify:  # noqa: ARG001 - of the cache
    """The network on a runtime: torch in fp32, eager, as it was trained, or OpenVINO as segment-stream takes it (int8
    where there is such a graph). ModelError where it cannot be."""
    network = load_network(model)
    if runtime == "torch":
        plain: Any = network.to(device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return lambda image: plain(plain.normalise(torch.from_numpy(image).to(device)[None]).contiguous())
    runner = NetworkRunner(network, device="cpu", precision="auto", runtime="openvino")
    return lambda image: torch.from_numpy(runner.logits(image)).permute(2, 0, 1)[None]


def _loop(video: Path, model: str, runtime: str, device: str, threads: int | None, frames: int) -> Took:
    """Decode, RGB by swscale, network, logits to the picture's size, classes; the first call is not counted."""
    with _threads(threads), torch.inference_mode():
        classify = classifier(model, runtime, device, threads)
        clock = Clock({})
        with av.open(file_url(video)) as container:
            decoded = container.decode(container.streams.video[0])
            return _timed(clock, partial(_label_each, decoded, classify, clock, frames))


def _label_each(decoded: Iterator[av.VideoFrame], classify: Classify, clock: Clock, frames: int) -> int:
    count = 0
    for count in range(1, frames + 1):
        with clock("decode"):
            picture = next(decoded, None)
        if picture is None:
            return count - 1
        with clock("rgb"):
            image: NDArray[np.uint8] = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
        with clock(NETWORK):
            logits = classify(image)
        with clock("labels"):
            whole = torch.nn.functional.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)
            whole.argmax(1).to(torch.uint8).cpu()
    return count


def _arseg(video: Path, model: str, device: str, frames: int) -> Took:
    """A keyframe and the frames after it, as AR-Seg does them; the network sees them all, most at half the size."""
    clock = Clock({})
    with torch.inference_mode(), av.open(file_url(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"flags2": "+export_mvs"}
        system = _arseg_system(model, device)
        decoded = container.decode(stream)

        def label() -> int:
            system.begin()
            count = 0
            while count < frames:
                with clock("decode"):
                    picture = next(decoded, None)
                if picture is None:
                    break
                system.label(picture, clock)
                count += 1
            return count

        return _timed(clock, label)


@cache
def _arseg_system(model: str, device: str) -> NaiveARSeg:
    return NaiveARSeg(load_network(model), device)


def _timed(clock: Clock, work: Callable[[], int]) -> Took:
    begin, cpu_begin = time.perf_counter(), time.process_time()
    count = work()
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    return Took(count, seconds, cpu_seconds, clock.stages, count)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """So many threads for networks, where a number is given."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

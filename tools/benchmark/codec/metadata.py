"""`benchmark-codec metadata`: how fast the pass over metadata only is, beside full passes and mvextractor's."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ....codec import open_video
from ..printing import report

_FIELDS = ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")
Threads = int | Literal["auto"]


def measure_metadata(source: str, repeat: int) -> None:
    """Measure and report; the arguments are those of `benchmark-codec metadata`."""
    open_video(source).close()
    others = _mvextractor_passes(source)
    results = {}
    settings: tuple[Threads, ...] = (1, "auto")
    for threads in settings:
        passes = _passes(source, threads) | others
        results[str(threads)] = _measure(passes, repeat, f"{threads} threads")
    digests = {name: _digest(_our_vectors(source, pixels)) for name, pixels in (("metadata", False), ("full", True))}
    if others:
        digests["mvextractor"] = _digest(_their_vectors(source))
    with open_video(source, pixels=False) as video:
        report(
            source=video.name,
            codec=video.codec_name,
            size_hw=video.size_hw,
            frames=sum(1 for _ in video),
            rounds=repeat,
            threads=results,
            vectors_identical=len(set(digests.values())) == 1,
            vectors_sha256=digests,
            mvextractor="measured" if others else "not installed: pip install 'gopseg[mvextractor]' (x86-64 Linux)",
        )


def _passes(source: str, threads: Threads) -> dict[str, Callable[[], None]]:
    def run(pixels: bool, with_image: bool = False) -> None:
        with open_video(source, pixels=pixels, threads=threads) as video:
            for frame in video:
                if with_image:
                    _ = frame.image

    return {"metadata": partial(run, False), "full": partial(run, True), "image": partial(run, True, True)}


def _mvextractor_passes(source: str) -> dict[str, Callable[[], None]]:
    try:
        from mvextractor.videocap import VideoCap
    except ImportError:
        return {}

    def run(decode_frames: bool) -> None:
        reader = VideoCap()
        reader.open(source)
        reader.set_decode_frames(decode_frames)
        while reader.read()[0]:
            pass
        reader.release()

    return {"mvextractor read": partial(run, True), "mvextractor vectors": partial(run, False)}


def _measure(passes: Mapping[str, Callable[[], None]], repeat: int, label: str) -> dict[str, Any]:
    """Rounds of all passes, each round starting with another one; after one that only warms up."""
    cpu: dict[str, list[float]] = {name: [] for name in passes}
    wall: dict[str, list[float]] = {name: [] for name in passes}
    names = list(passes)
    for number in tqdm(range(repeat + 1), label, unit="round", disable=not sys.stderr.isatty(), leave=False):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            passes[name]()
            if number:
                cpu[name].append(time.process_time() - cpu_start)
                wall[name].append(time.perf_counter() - wall_start)
    return {
        "cpu_seconds": {name: round(median(values), 4) for name, values in cpu.items()},
        "wall_seconds": {name: round(median(values), 4) for name, values in wall.items()},
        "cpu_ratio_to_metadata": _ratios(cpu),
        "wall_ratio_to_metadata": _ratios(wall),
    }


def _ratios(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    base = seconds["metadata"]
    return {
        name: round(median(a / b for a, b in zip(values, base, strict=True)), 3)
        for name, values in seconds.items()
        if name != "metadata"
    }


def _our_vectors(source: str, pixels: bool) -> Iterator[NDArray[np.int64]]:
    with open_video(source, pixels=pixels) as video:
        for frame in video:
            if frame.motion is not None:
                yield np.stack([frame.motion.array[name].astype(np.int64) for name in _FIELDS], 1)


def _their_vectors(source: str) -> Iterator[NDArray[np.int64]]:
    from mvextractor.videocap import VideoCap

    reader = VideoCap()
    reader.open(source)
    reader.set_decode_frames(False)
    while True:
        success, _, vectors, kind = reader.read()
        if not success:
            return
        if kind != "I":
            yield np.asarray(vectors, np.int64).reshape(-1, len(_FIELDS))


def _digest(arrays: Iterator[NDArray[np.int64]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(len(array).to_bytes(8, "little"))
        digest.update(array.tobytes())
    return digest.hexdigest()

"""`benchmark-segnet threads`: how many threads the network is to have, and how many pictures at a time."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from ...codec import open_video
from ...errors import GopsegError
from ...pipelines import NetworkRunner
from ...segnet import load_network
from ..provenance import hardware

_PICTURES = 4
"""Pictures of a run, times those in flight."""


def compare_alone(
    model: str, runtime: str, image: NDArray[np.uint8], threads: Sequence[int], repeats: int
) -> list[dict[str, float]]:
    """Pictures a second of the network alone: on so many threads, one picture at a time; and as many pictures at a
    time, each on one thread. Nothing of the latter on ONNX Runtime."""
    splits = [(count, 1) for count in threads] + [(1, count) for count in threads if count > 1]
    calls = {split: call for split in splits if (call := _call(model, runtime, image, *split)) is not None}
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {split: [] for split in calls}
    for turn in range(repeats + 1):
        for split, call in calls.items():
            begin, cpu_begin = time.perf_counter(), time.process_time()
            call()
            if turn:
                taken[split].append((time.perf_counter() - begin, time.process_time() - cpu_begin))
    return [
        {
            "threads_a_picture": split[0],
            "in_flight": split[1],
            "pictures_per_second": round(_PICTURES * split[1] / statistics.median(wall for wall, _ in each), 2),
            "cpu_ms_per_picture": round(1e3 * statistics.median(cpu for _, cpu in each) / _PICTURES / split[1], 2),
        }
        for split, each in taken.items()
    ]


def _call(
    model: str, runtime: str, image: NDArray[np.uint8], threads: int, in_flight: int
) -> Callable[[], object] | None:
    """What runs `_PICTURES` for each in flight."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # which other runtimes follow
    try:
        runner: Any = NetworkRunner(load_network(model), device="cpu", precision="fp32", runtime=runtime)  # type: ignore[arg-type]
        runner.logits(image)
    finally:
        torch.set_num_threads(before)
    count = _PICTURES * in_flight
    if runner.runtime == "openvino":
        import openvino as ov

        options = {"INFERENCE_NUM_THREADS": threads * in_flight, "NUM_STREAMS": in_flight, "ENABLE_CPU_PINNING": False}
        queue = ov.AsyncInferQueue(ov.Core().compile_model(runner.network.engine.model, "CPU", options), in_flight)
        images = runner.network.normalise(torch.from_numpy(image)[None]).numpy()

        def infer() -> None:
            for _ in range(count):
                queue.start_async([images])
            queue.wait_all()

        return infer
    if runner.runtime == "onnx" and in_flight > 1:
        return None

    def compute() -> None:
        def one(_: int) -> None:
            torch.set_num_threads(threads)
            runner.logits(image)

        with ThreadPoolExecutor(in_flight) as pool:
            list(pool.map(one, range(count)))
        torch.set_num_threads(before)

    return compute


def compare_threads(
    video: Path, model: str, mode: str, runtime: str, threads: Sequence[int], repeats: int, max_frames: int | None
) -> None:
    """Measure and print; the arguments are those of `benchmark-segnet threads`."""
    with open_video(video, motion=False) as opened:
        image = next(iter(opened)).image
    alone = compare_alone(model, runtime, image, threads, repeats)
    runs: dict[int, list[dict[str, Any]]] = {count: [] for count in threads}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for count in threads:
                runs[count].append(_run(Path(folder), video, model, mode, runtime, count, max_frames))
    figures = {
        count: {
            "fps": round(statistics.median(each["fps"] for each in reports), 2),
            "fps_of_runs": [each["fps"] for each in reports],
            "cpu_ms_per_frame": round(statistics.median(each["cpu_ms_per_frame"] for each in reports), 2),
        }
        for count, reports in runs.items()
    }
    first = runs[threads[0]][0]
    common = {key: first[key] for key in ("source", "size_hw", "model", "mode", "runtime", "precision", "frames")}
    report = {
        **common,
        "cores": os.cpu_count(),
        "hardware": hardware(),
        "repeats": repeats,
        "threads": figures,
        "network_alone": alone,
    }
    click.echo(json.dumps(report, indent=2))


def _run(
    folder: Path, video: Path, model: str, mode: str, runtime: str, threads: int, max_frames: int | None
) -> dict[str, Any]:
    """The statistics of one run of `segment-stream` whose network has so many threads."""
    stats = folder / "stats.json"
    command = [sys.executable, "-m", "gopseg", "segment", str(video), "--model", model, "--mode", mode, "-y", "-q"]
    command += ["--runtime", runtime, "--precision", "fp32", "-o", str(folder / "out.mp4"), "--stats", str(stats)]
    command += [] if max_frames is None else ["--max-frames", str(max_frames)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise GopsegError(f"segment-stream ended with status {done.returncode}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(stats.read_text())
    return report

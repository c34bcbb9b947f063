"""`benchmark-segnet network`: one network on several runtimes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from ...pipelines import NetworkRunner
from ...segnet import ModelError, load_network
from ..provenance import hardware

ROWS = ("torch fp32 eager", "torch as loaded", "openvino fp32", "openvino int8", "onnx fp32")
Call = Callable[[], object]


def compare_networks(models: Sequence[str], size_hw: tuple[int, int], repeats: int, rows: Sequence[str]) -> None:
    """Measure and print; the arguments are those of `benchmark-segnet network`."""
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    calls: dict[str, Call] = {}
    missing: dict[str, str] = {}
    for model in models:
        for row in rows:
            try:
                calls[f"{model}: {row}"] = make_call(model, row, image)
            except ModelError as error:
                missing[f"{model}: {row}"] = str(error)
    timed = interleaved(calls, repeats)
    first = next(iter(timed), None)
    for figures in timed.values():
        assert first is not None
        figures["times_first"] = round(timed[first]["cpu_ms"] / figures["cpu_ms"], 2)
    report = {
        "size_hw": list(size_hw),
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "hardware": hardware(),
        "networks": timed,
        "left_out": missing,
    }
    click.echo(table(timed, missing), err=True)
    click.echo(json.dumps(report, indent=2))


def make_call(model: str, row: str, image: NDArray[np.uint8]) -> Call:
    """What labels the picture in one of ROWS, ready to run; ModelError where it cannot be."""
    network = load_network(model)
    if row == "torch fp32 eager":
        plain = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

        def eager() -> object:
            with torch.inference_mode():
                return plain(plain.normalise(torch.from_numpy(image)[None]).contiguous())

        return eager
    runtime, _, precision = row.partition(" ")
    chosen: Any = "auto" if precision == "as loaded" else precision
    size_hw = image.shape[0], image.shape[1]
    runner = NetworkRunner(network, device="cpu", precision=chosen, size_hw=size_hw, runtime=runtime)  # type: ignore[arg-type]
    return lambda: runner.logits(image)


def interleaved(calls: Mapping[str, Call], repeats: int) -> dict[str, dict[str, float]]:
    """Medians of the time by the clock and of all cores, in milliseconds, of calls made in turns, after one that warms
    up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            begin, cpu_begin = time.perf_counter(), time.process_time()
            call()
            if turn:
                taken[name].append((time.perf_counter() - begin, time.process_time() - cpu_begin))
    return {
        name: {
            "wall_ms": round(1e3 * statistics.median(wall for wall, _ in each), 2),
            "cpu_ms": round(1e3 * statistics.median(cpu for _, cpu in each), 2),
        }
        for name, each in taken.items()
    }


def table(timed: Mapping[str, Mapping[str, float]], missing: Mapping[str, str]) -> str:
    """The figures as text."""
    width = max(map(len, [*timed, *missing]), default=0)
    lines = [f"{'':{width}}  wall ms   cpu ms  times the first"]
    lines += [
        f"{name:{width}} {row['wall_ms']:8.1f} {row['cpu_ms']:8.1f} {row['times_first']:8.2f}"
        for name, row in timed.items()
    ]
    return "\n".join(lines + [f"{name:{width}}  left out: {reason}" for name, reason in missing.items()])

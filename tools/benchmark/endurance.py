"""`benchmark-segnet endurance` and `jobs`: whether a long run stays as fast and as small as it began, and what several
workers gain."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import click

from ...errors import GopsegError
from ...pipelines import StreamRequest, segment_stream
from ..provenance import hardware
from .looping import loop
from .memory import LOOP_FRAMES, encode_pan

_TENTHS = 10
_ALLOWED_GROWTH = 0.10


def measure_endurance(video: Path | None, minutes: float, model: str, mode: str, save: str) -> None:
    """Measure and print; the arguments are those of `benchmark-segnet endurance`. SystemExit 1 for too much growth."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long_video = folder / "long.mp4"
        frames = loop(video or _rendered(folder), long_video, 60 * minutes)
        samples: list[tuple[float, float, float]] = []
        done = 0
        bounds = {round(frames * tenth / _TENTHS) for tenth in range(1, _TENTHS + 1)}

        def on_frame() -> None:
            nonlocal done
            done += 1
            if done in bounds:
                samples.append(_sample())

        begin = _sample()
        request = StreamRequest(
            source=str(long_video),
            output=folder / "out.mp4",
            model=model,
            mode=mode,
            save=tuple(save.split(",")),
            quiet=True,
        )
        segment_stream(request, on_frame)
    tenths = _by_tenth(frames / _TENTHS, [begin, *samples])
    growth = tenths[-1]["rss_mib"] / tenths[1]["rss_mib"] - 1
    report = {"minutes": minutes, "frames": frames, "mode": mode, "tenths": tenths, "growth": round(growth, 4)}
    click.echo(json.dumps({**report, "allowed": _ALLOWED_GROWTH, "hardware": hardware()}, indent=2))
    if growth > _ALLOWED_GROWTH:
        sys.exit(1)


def _sample() -> tuple[float, float, float]:
    """Seconds by the clock and of all cores, and MiB that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return time.monotonic(), time.process_time(), pages * resource.getpagesize() / 2**20


def _by_tenth(frames: float, samples: Sequence[tuple[float, float, float]]) -> list[dict[str, float]]:
    """Rate, processor time and memory of each tenth; the first includes loading the network."""
    return [
        {
            "frames_per_second": round(frames / (wall - wall_before), 1),
            "cpu_ms_per_frame": round(1e3 * (cpu - cpu_before) / frames, 3),
            "rss_mib": round(rss, 1),
        }
        for (wall_before, cpu_before, _), (wall, cpu, rss) in pairwise(samples)
    ]


def _rendered(folder: Path) -> Path:
    """A short pan over noise."""
    file = folder / "short.mp4"
    with av.open(str(file), "w") as container:
        encode_pan(container, LOOP_FRAMES)
    return file


def compare_jobs(video: Path, minutes: float, counts: Sequence[int], repeats: int, common: Sequence[str]) -> None:
    """Measure and print; the arguments are those of `benchmark-segnet jobs`, `common` those of `segment-stream`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = loop(video, folder / "long.mp4", 60 * minutes)
        runs: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
        for _ in range(repeats):
            for count in counts:
                runs[count].append(_timed(folder, ["--jobs", str(count), *common]))
    rates = {count: statistics.median(frames / wall for wall, _ in timed) for count, timed in runs.items()}
    rows = {
        count: {
            "frames_per_second": round(rates[count], 2),
            "seconds_of_runs": [round(wall, 2) for wall, _ in runs[count]],
            "cpu_ms_per_frame": round(statistics.median(1e3 * cpu / frames for _, cpu in runs[count]), 2),
            f"times_{counts[0]}": round(rates[count] / rates[counts[0]], 2),
        }
        for count in counts
    }
    report: dict[str, Any] = {"source": str(video), "frames": frames, "repeats": repeats, "jobs": rows}
    click.echo(json.dumps({**report, "hardware": hardware()}, indent=2))


def _timed(folder: Path, options: Sequence[str]) -> tuple[float, float]:
    """Seconds that a whole run of the command takes, by the clock and of all its processes, loading of networks
    included."""
    command = [sys.executable, "-m", "gopseg", "segment", "long.mp4", "-o", "out.mp4", "-y", "-q", *options]
    begin, cpu_begin = time.monotonic(), _children_seconds()
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        raise GopsegError(f"segment-stream ended with status {run.returncode}: {run.stderr.strip()}")
    return time.monotonic() - begin, _children_seconds() - cpu_begin


def _children_seconds() -> float:
    """Processor time of all processes that this one has started and that have ended, theirs included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

"""`benchmark-segnet modes` and `memory`: speed of the modes side by side, and memory over long runs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import click
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from ...console import Existing
from ...errors import GopsegError, InputError
from ...pipelines import MODES, StreamRequest, segment_stream
from ..provenance import hardware

LOOP_FRAMES = 48
"""Frames of the pan until it begins again."""
_SIZE_HW = (120, 160)
_ALLOWED_GROWTH = 0.10


def compare_modes(
    video: Path, model: str, names: str, repeats: int, max_frames: int | None, device: str, precision: Any
) -> None:
    """Measure and print; the arguments are those of `benchmark-segnet modes`."""
    chosen = names.split(",")
    unknown = [name for name in chosen if name not in MODES]
    if unknown:
        raise InputError(f"--modes: unknown mode '{unknown[0]}'; there are: {', '.join(MODES)}")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name in chosen:
                runs[name].append(_run(Path(folder), video, name, model, max_frames, device, precision))
    figures = {name: _summary(reports) for name, reports in runs.items()}
    for name in chosen[1:]:
        figures[name][f"times_{chosen[0]}"] = round(figures[name]["fps"] / figures[chosen[0]]["fps"], 2)
    first = runs[chosen[0]][0]
    common = {key: first[key] for key in ("source", "size_hw", "model", "device", "precision", "runtime", "frames")}
    click.echo(json.dumps({**common, "hardware": hardware(), "repeats": repeats, "modes": figures}, indent=2))


def _run(
    folder: Path, video: Path, mode: str, model: str, max_frames: int | None, device: str, precision: Any
) -> dict[str, Any]:
    """The statistics of one run of `segment-stream`."""
    stats = folder / "stats.json"
    request = StreamRequest(
        source=str(video),
        output=folder / "out.mp4",
        mode=mode,
        model=model,
        max_frames=max_frames,
        device=device,
        precision=precision,
        stats_file=stats,
        existing=Existing.REPLACE,
        quiet=True,
    )
    segment_stream(request)
    report: dict[str, Any] = json.loads(stats.read_text())
    return report


def _summary(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over runs."""
    stages = {
        stage: round(statistics.median(report["stages_ms"][stage]["median"] for report in reports), 2)
        for stage in reports[0]["stages_ms"]
    }
    return {
        "fps": round(statistics.median(report["fps"] for report in reports), 2),
        "fps_of_runs": [report["fps"] for report in reports],
        "cpu_ms_per_frame": round(statistics.median(report["cpu_ms_per_frame"] for report in reports), 2),
        "network_frames": reports[0]["network_frames"],
        "stages_ms": stages,
    }


def measure_memory(model: str, mode: str, short: int, long_: int) -> None:
    """Measure and print; the arguments are those of `benchmark-segnet memory`. SystemExit 1 for too much growth."""
    if mode not in MODES:
        raise InputError(f"--mode: unknown mode '{mode}'; there are: {', '.join(MODES)}")
    model = str(Path(model).resolve()) if Path(model).is_file() else model  # the process runs in a folder of its own
    peaks = {}
    for frames in (short, long_):
        peaks[frames] = _peak_mebibytes(model, mode, frames)
        click.echo(f"{frames} frames: {peaks[frames]:.0f} MiB", err=True)
    growth = peaks[long_] / peaks[short] - 1
    report = {"mode": mode, "peak_mib": peaks, "growth": round(growth, 4), "allowed": _ALLOWED_GROWTH}
    click.echo(json.dumps({**report, "hardware": hardware()}, indent=2))
    if growth > _ALLOWED_GROWTH:
        sys.exit(1)


def _peak_mebibytes(model: str, mode: str, frames: int) -> float:
    """Peak resident memory of a process that segments a stream of so many frames."""
    command = [str(Path(sys.executable).with_name("segment-stream")), "-", "--mode", mode, "--model", model]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, "--precision", "fp32", "-q", "-o", "out.mp4", "--save", "overlay,rle", "--stats", "s.json"],
            cwd=folder,
            stdin=subprocess.PIPE,
        )
        assert process.stdin is not None
        feeder = threading.Thread(target=_feed, args=(process.stdin, frames), daemon=True)
        feeder.start()
        if process.wait():
            raise GopsegError(f"segment-stream ended with status {process.returncode}")
        report = json.loads((Path(folder) / "s.json").read_text())
    if report["frames"] != frames:
        raise GopsegError(f"segment-stream saw {report['frames']} frames of {frames}")
    if report["peak_memory_mib"] is None:
        raise GopsegError("this system does not tell a process's peak memory; measure on Linux")
    return float(report["peak_memory_mib"])


def _feed(pipe: IO[bytes], frames: int) -> None:
    """Encode a looping pan over noise as an MPEG transport stream into `pipe`."""
    try:
        with pipe, av.open(pipe, "w", format="mpegts") as container:
            encode_pan(container, frames)
    except (BrokenPipeError, av.FFmpegError):
        return  # the process ended early, and its exit status says why


def encode_pan(container: OutputContainer, frames: int) -> None:
    """Encode a looping pan over noise at 25 frames a second, a keyframe every LOOP_FRAMES."""
    pictures = [av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in _pan()]
    options = {"preset": "ultrafast", "bf": "0", "refs": "1", "x264-params": "scenecut=0:weightp=0:open-gop=0"}
    stream = container.add_stream("libx264", rate=25, options=options)
    stream.height, stream.width = _SIZE_HW
    stream.pix_fmt, stream.gop_size = "yuv420p", LOOP_FRAMES
    for i in range(frames):
        picture = pictures[i % LOOP_FRAMES]
        picture.pts, picture.time_base = i, Fraction(1, 25)
        container.mux(stream.encode(picture))
    container.mux(stream.encode(None))


def _pan() -> list[NDArray[np.uint8]]:
    """LOOP_FRAMES pictures that slide over smooth noise."""
    height, width = _SIZE_HW
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, (width + 2 * LOOP_FRAMES) // 8, 3), np.uint8)
    wide = noise.repeat(8, 0).repeat(8, 1)
    return [np.ascontiguousarray(wide[:, 2 * i : 2 * i + width]) for i in range(LOOP_FRAMES)]

"""`benchmark-segnet memory`: memory over long runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import click
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from ...compiled import VARIABLE as LOOPS
from ...errors import GopsegError, InputError
from ...pipelines import MODES
from ..provenance import hardware

LOOP_FRAMES = 48
"""Frames of the pan until it begins again."""
_SIZE_HW = (120, 160)
_ALLOWED_GROWTH = 0.10


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
            env={**os.environ, LOOPS: "now"},  # short runs would do without, and need less for it
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

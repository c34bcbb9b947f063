"""`benchmark-segnet speed`: the default mode beside what decoding and transcoding alone take, in one run."""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import av
import click

from ...codec import MotionChain, MotionField, file_url, filled, open_video
from ...console import Existing
from ...errors import InputError
from ...pipelines import StreamRequest, segment_stream
from ..provenance import hardware

GOALS = {
    "reading / decoding": 0.9,
    "metadata / reading": 1.25,
    "overlay / transcoding": 0.5,
    "labels / decoding": 0.7,
}
"""The least that each ratio of frame rates is to be."""

_DISTANCES = (1, 6, 11, 15, 23, 60, 120, 200)
_CELL = 4


class Took(NamedTuple):
    """What a row took: a number of frames, the seconds for them, and milliseconds of processor time a frame, of all
    threads."""

    frames: int
    seconds: float
    cpu_ms: float


Row = Callable[[], Took]
"""Does the work of a row."""


def measure_speed(video: Path, model: str, frames: int, repeats: int, as_json: bool) -> None:
    """Measure and print; the arguments are those of `benchmark-segnet speed`."""
    with open_video(video) as opened:
        size_hw, absence = opened.size_hw, opened.motion_absence
    if absence is not None:
        raise InputError(f"{video}: {absence.value}; give a video whose vectors all point to the frame before")
    stages: dict[str, dict[str, list[float]]] = {}
    composition: dict[int, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        rows: dict[str, Row] = {
            "decoding": partial(_timed, partial(_decode, video, frames, "SLICE")),
            "decoding, frame threads": partial(_timed, partial(_decode, video, frames, "AUTO")),
            "transcoding": partial(_timed, partial(_transcode, video, frames, Path(folder) / "plain.mp4")),
            "reading": partial(_timed, partial(_read, video, frames)),
            "metadata": partial(_timed, partial(_read, video, frames, pixels=False)),
        }
        for kind in ("overlay", "labels"):
            stages[kind] = defaultdict(list)
            rows[kind] = partial(_segment, video, model, frames, kind, Path(folder), stages[kind])
        rates, cpu = _in_turns(rows, repeats)
    for _ in range(repeats):
        _compose(video, frames, composition)
    report = {
        "source": str(video),
        "size_hw": size_hw,
        "model": model,
        "frames": frames,
        "repeats": repeats,
        "hardware": hardware(),
        "frames_per_second": {name: round(median(found), 1) for name, found in rates.items()},
        "cpu_ms_per_frame": {name: round(median(found), 2) for name, found in cpu.items()},
        "ratios": _ratios(rates),
        "ratios_by_cpu": _ratios({name: [1 / value for value in found] for name, found in cpu.items()}),
        "goals": GOALS,
        "composition_ms": {d: round(median(found), 3) for d, found in sorted(composition.items())},
        "stages_ms": {
            kind: {stage: round(median(found), 3) for stage, found in sorted(each.items())}
            for kind, each in stages.items()
        },
    }
    click.echo(json.dumps(report, indent=2) if as_json else _table(report))


def _in_turns(rows: Mapping[str, Row], repeats: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Frames a second, and milliseconds of processor time a frame, of each row in every round but the first, which
    warms up; each round begins with another row."""
    rates: dict[str, list[float]] = {name: [] for name in rows}
    cpu: dict[str, list[float]] = {name: [] for name in rows}
    names = list(rows)
    for number in range(repeats + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            took = rows[name]()
            if number:
                rates[name].append(took.frames / took.seconds)
                cpu[name].append(took.cpu_ms)
    return rates, cpu


def _ratios(rates: Mapping[str, list[float]]) -> dict[str, float]:
    """Medians over rounds of a row's rate by another's in the same round."""
    return {
        goal: round(median(a / b for a, b in zip(*(rates[name] for name in goal.split(" / ")), strict=True)), 3)
        for goal in GOALS
    }


def _timed(work: Callable[[], int]) -> Took:
    """What `work`, which returns its number of frames, takes."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    count = work()
    return Took(count, time.perf_counter() - begin, (time.process_time() - cpu_begin) * 1e3 / max(1, count))


def _decode(video: Path, frames: int, threads: str) -> int:
    with av.open(file_url(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = threads
        stream.codec_context.thread_count = 0
        return sum(1 for _ in islice(container.decode(stream), frames))


def _transcode(video: Path, frames: int, target: Path) -> int:
    """What a user of PyAV would write: decode, encode by x264's fastest preset, write an MP4."""
    with av.open(file_url(video)) as reader, av.open(file_url(target), "w") as writer:
        stream = reader.streams.video[0]
        rate = Fraction(stream.average_rate or 25)
        encoder = writer.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "22", "bf": "0"})
        encoder.height, encoder.width, encoder.pix_fmt = stream.height, stream.width, "yuv420p"
        encoder.codec_context.time_base = Fraction(stream.time_base or Fraction(1, 90000))
        encoder.codec_context.thread_count = 0
        count = 0
        for picture in islice(reader.decode(stream), frames):
            picture.pict_type = 0
            writer.mux(encoder.encode(picture))
            count += 1
        writer.mux(encoder.encode(None))
    return count


def _read(video: Path, frames: int, *, pixels: bool = True) -> int:
    with open_video(video, pixels=pixels) as opened:
        return sum(1 for _ in islice(opened, frames))


def _segment(video: Path, model: str, frames: int, kind: str, folder: Path, stages: dict[str, list[float]]) -> Took:
    """`segment-stream --mode motion`, the network on keyframes only, and its own time left out with these frames; of
    processor time, all that was spent until the first frame was done is left out."""
    file = folder / f"{kind}.json"
    request = StreamRequest(
        source=str(video),
        output=folder / f"{kind}.mp4",
        mode="motion",
        model=model,
        max_frames=frames,
        save=(kind,),
        options={"refresh_above": 1.0},
        stats_file=file,
        existing=Existing.REPLACE,
        quiet=True,
    )
    cpu: list[float] = []
    segment_stream(request, lambda: cpu.append(time.process_time()))
    cpu.append(time.process_time())
    found: dict[str, Any] = json.loads(file.read_text())
    for stage, summary in found["stages_ms"].items():
        stages[stage].append(summary["median"])
    network = found["stages_ms"]["network"]
    seconds = found["wall_seconds"] - network["mean"] * network["frames"] / 1e3
    cpu_ms = (cpu[-1] - cpu[0]) * 1e3 / max(1, len(cpu) - 2)
    return Took(found["frames"] - found["network_frames"], seconds, cpu_ms)


def _compose(video: Path, frames: int, found: Mapping[int, list[float]]) -> None:
    """Milliseconds of processor time of following and composing a frame's motion, by its distance."""
    with open_video(video, pixels=False) as opened:
        chain = MotionChain(opened.size_hw)
        for frame in islice(opened, frames):
            if frame.motion is None:
                chain.reset()
                continue
            field = filled(MotionField.from_vectors(frame.motion))
            begin = time.thread_time()
            chain.push(field)
            chain.compose(_CELL)
            if frame.distance in _DISTANCES:
                found[frame.distance].append((time.thread_time() - begin) * 1e3)


def _table(report: Mapping[str, Any]) -> str:
    """The report as text."""
    height, width = report["size_hw"]
    lines = [
        f"{report['source']}, {width}x{height}, {report['frames']} frames, {report['repeats']} rounds",
        report["hardware"],
        "",
        *(
            f"{name:26}{rate:9.1f} frames/s{report['cpu_ms_per_frame'][name]:9.2f} ms of processor time"
            for name, rate in report["frames_per_second"].items()
        ),
        "",
    ]
    for name, ratio in report["ratios"].items():
        by_cpu, goal = report["ratios_by_cpu"][name], report["goals"][name]
        lines.append(f"{name:26}{ratio:9.2f}   by processor time {by_cpu:.2f}   at least {goal:.2f}")
    lines += ["", *(f"composing at d = {d:<8}{value:10.2f} ms" for d, value in report["composition_ms"].items())]
    for kind, stages in report["stages_ms"].items():
        lines += [
            "",
            f"{kind}: " + ", ".join(f"{stage} {value:.2f}" for stage, value in stages.items()) + " ms a frame",
        ]
    return "\n".join(lines)

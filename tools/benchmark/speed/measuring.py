"""Measures all rows of a video, at one size after the other."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Any

import click
import torch
from tqdm import tqdm

from ....codec import MotionChain, MotionField, filled, open_video
from ....errors import InputError
from ....files import whole_file
from ....pipelines import Precision, Runners
from ....processes import cores
from ....segnet import Runtime, load_network
from ...provenance import hardware
from .modes import Streams
from .peers import peer_rows
from .reading import DECODING, READING, TRANSCODING, reading_rows
from .report import as_markdown, as_text, goals, packages, row_report
from .rows import Row, in_turns
from .sources import at_size, size_of

DISTANCES = (1, 6, 11, 15, 23, 47, 60, 120, 200)
_CELL = 4


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The options of `benchmark-segnet speed`. No `sizes_hw`: each video as it is."""

    model: str
    device: str
    precision: Precision
    runtime: Runtime
    sizes_hw: tuple[tuple[int, int], ...]
    frames: int
    gop: int
    repeats: int
    seconds: float
    rows: tuple[str, ...]


def measure_speed(videos: Sequence[Path], choices: Choices, file: Path | None, *, markdown: bool) -> None:
    """Measure all videos, print a table of each size, and write JSON to `file`."""
    odd = [size for size in choices.sizes_hw if size[0] % 2 or size[1] % 2]
    if odd:
        raise InputError(f"--size {odd[0][1]}x{odd[0][0]}: H.264 encodes even sizes; give even numbers")
    load_network(choices.model)  # before any work, where there is none
    tables: list[dict[str, Any]] = []
    runners = Runners()

    def measure(source: Path, video: Path, folder: Path, *, is_first: bool) -> None:
        tables.append(_measured(source, video, choices, runners, folder, is_first=is_first))
        click.echo((as_markdown if markdown else as_text)(tables[-1]) + "\n")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for video in videos:
            if choices.sizes_hw:
                for number, size_hw in enumerate(choices.sizes_hw):
                    scaled = at_size(video, size_hw, choices.frames, choices.gop, folder)
                    measure(video, scaled, folder, is_first=number == 0)
                    scaled.unlink()
            else:
                measure(video, video, folder, is_first=True)
    report = {
        "hardware": hardware(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "packages": packages(),
        **{name: value for name, value in asdict(choices).items() if name != "sizes_hw"},
        "tables": tables,
    }
    if file is not None:
        with whole_file(file) as part:
            part.write_text(json.dumps(report, indent=2) + "\n")


def _measured(
    source: Path, video: Path, choices: Choices, runners: Runners, folder: Path, *, is_first: bool
) -> dict[str, Any]:
    """The table of one video at one size."""
    streams = Streams(video, folder, choices.model, choices.device, choices.precision, choices.runtime, runners)
    device = "cpu" if choices.device == "auto" and not torch.cuda.is_available() else choices.device
    device = "cuda" if device == "auto" else device
    one_thread = is_first and device == "cpu" and torch.get_num_threads() > 1
    rows = [
        *reading_rows(video, folder, choices.frames),
        *streams.rows(choices.frames),
        *peer_rows(video, choices.model, device, choices.frames, one_thread=one_thread),
    ]
    rows = _chosen(rows, choices.rows)
    size_hw = size_of(video)
    what = f"{source.name}, {size_hw[1]}x{size_hw[0]}"
    hidden = not sys.stderr.isatty()
    with tqdm(total=len(rows) * (1 + choices.repeats), desc=what, disable=hidden, leave=False) as bar:
        found, missing = in_turns(rows, choices.repeats, choices.seconds, bar.update)
    composition = _composition(video, choices.frames, choices.repeats) if READING in found else {}
    return {
        "source": str(source),
        "size_hw": list(size_hw),
        "is_encoded_anew": video != source,
        "gop": choices.gop if video != source else None,
        "model": choices.model,
        "computed_by": " and ".join(sorted(streams.computed)),
        "hardware": hardware(),
        "rows": {
            row.name: row_report(row, found, (DECODING, TRANSCODING), cores()) for row in rows if row.name in found
        },
        "left_out": missing,
        "composition_ms": composition,
        "goals": goals(found, composition, choices.model),
    }


def _chosen(rows: Sequence[Row], words: Sequence[str]) -> list[Row]:
    """The rows whose names begin with one of the words; all where there are none."""
    unknown = [word for word in words if not any(row.name.startswith(word) for row in rows)]
    if unknown:
        names = "; ".join(row.name for row in rows)
        raise InputError(f"--rows {unknown[0]}: no row begins so; there are: {names}")
    return [row for row in rows if not words or any(row.name.startswith(word) for word in words)]


def _composition(video: Path, frames: int, repeats: int) -> dict[int, float]:
    """Milliseconds of processor time of following and composing a frame's motion, by its distance; nothing of streams
    whose vectors do not all point to the frame before."""
    found: dict[int, list[float]] = defaultdict(list)
    for _ in range(repeats):
        with open_video(video, pixels=False) as opened:
            if opened.motion_absence is not None:
                return {}
            chain = MotionChain(opened.size_hw)
            for frame in islice(opened, frames):
                if frame.motion is None:
                    chain.reset()
                    continue
                field = filled(MotionField.from_vectors(frame.motion))
                begin = thread_time()
                chain.push(field)
                chain.compose(_CELL)
                if frame.distance in DISTANCES:
                    found[frame.distance].append((thread_time() - begin) * 1e3)
    return {distance: round(median(each), 3) for distance, each in sorted(found.items())}

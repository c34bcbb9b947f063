"""What is asked for: `InferenceRequest` of a pipeline, `StreamRequest` of `segment-stream`. Importing this takes no
time."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from ... import __version__
from ...console import Existing
from ...files import hidden_beside
from ...segnet import DEFAULT_MODEL, RUNTIMES, Runtime, default_runtime
from ..errors import StreamUsageError
from ..inputs import is_live, source_stem
from ..modes import AUTO, MODES, Options
from ..precision import Precision

Reencode = Literal["auto", "never", "always"]
Live = Literal["latest", "all"]
LabelsFormat = Literal["palette", "gray"]
KINDS = ("overlay", "labels", "color", "rle")
"""What `--save` can write."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "precision": get_args(Precision),
    "runtime": RUNTIMES,
    "reencode": get_args(Reencode),
    "live": get_args(Live),
    "labels_format": get_args(LabelsFormat),
}
"""What options of words may be."""
WHOLE: Mapping[str, int] = {"gop": 1, "gop_max": 1, "max_frames": 1, "stream": 0, "reconnect": 0}
"""Options that are whole numbers, with the smallest."""
REAL: Mapping[str, tuple[bool, float]] = {
    "fps": (False, math.inf),
    "timeout": (False, math.inf),
    "start": (True, math.inf),
    "end": (True, math.inf),
    "opacity": (True, 1.0),
}
"""Options that are numbers from 0 on: whether they may be 0, and the largest."""

_FREE = {"free": True}
"""Metadata of fields that the outputs do not depend on."""


@dataclass(frozen=True, kw_only=True)
class InferenceRequest:
    """What is to be segmented, and how; times in seconds from the first frame.

    `fps` is for still images (25 where it is None) and for video that stores no times, `stream` the number of the video
    stream, None for the best. `options` are those of the mode that are given, by name. StreamUsageError for what cannot
    be.
    """

    source: str
    mode: str = AUTO
    model: str = DEFAULT_MODEL
    options: Mapping[str, Any] = field(default_factory=dict)
    palette: str | None = None
    device: str = field(default="auto", metadata=_FREE)
    precision: Precision = "auto"
    runtime: Runtime = field(default_factory=default_runtime)
    reencode: Reencode = "auto"
    gop: int = 12
    gop_max: int | None = None
    fps: float | None = None
    stream: int | None = None
    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    live: Live = field(default="all", metadata=_FREE)
    timeout: float = field(default=10.0, metadata=_FREE)
    reconnect: int = field(default=0, metadata=_FREE)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise StreamUsageError(f"--mode {self.mode}: unknown; take one of {', '.join(MODES)}")
        MODES[self.mode].parse(self.options)
        self._check_values()
        if self.live == "latest" and not is_live(self.source):
            raise StreamUsageError(f"--live latest: '{self.source}' is no live source, a file waits; leave it out")
        if self.reconnect and (not is_live(self.source) or self.source == "-"):
            raise StreamUsageError(f"--reconnect: '{self.source}' cannot be connected to again; leave it out")

    def _check_values(self) -> None:
        """StreamUsageError for words and numbers out of range; the command line has refused them before."""
        for each in dataclasses.fields(self):
            name, value = each.name, getattr(self, each.name)
            asked = f"--{name.replace('_', '-')} {value}"
            if name in CHOICES and value not in CHOICES[name]:
                raise StreamUsageError(f"{asked}: unknown; take one of {', '.join(CHOICES[name])}")
            if value is None:
                continue
            if name in WHOLE and not (isinstance(value, int) and value >= WHOLE[name]):
                raise StreamUsageError(f"{asked} is impossible; give a whole number from {WHOLE[name]}")
            if name in REAL:
                zero, most = REAL[name]
                fits = (
                    isinstance(value, (int, float, Fraction))
                    and math.isfinite(value)
                    and 0 <= value <= most
                    and (zero or value > 0)
                )
                if not fits:
                    bounds = "above 0" if not zero else "from 0" if most == math.inf else f"from 0 to {most:g}"
                    raise StreamUsageError(f"{asked} is impossible; give a number {bounds}")


@dataclass(frozen=True, kw_only=True)
class StreamRequest(InferenceRequest):
    """The options of `segment-stream`."""

    output: Path | None = field(default=None, metadata=_FREE)
    save: tuple[str, ...] = ("overlay",)
    labels_format: LabelsFormat = "palette"
    opacity: float = 0.5
    audio: bool = True
    show_occlusion: bool = False
    stats_file: Path | None = field(default=None, metadata=_FREE)
    existing: Existing = field(default=Existing.REFUSE, metadata=_FREE)
    quiet: bool = field(default=False, metadata=_FREE)
    verbose: bool = field(default=False, metadata=_FREE)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [kind for kind in self.save if kind not in KINDS]
        if unknown:
            raise StreamUsageError(f"--save {unknown[0]}: unknown; take some of {', '.join(KINDS)}")
        if self.existing is Existing.RESUME and is_live(self.source):
            raise StreamUsageError(f"--resume: '{self.source}' cannot be read again from its beginning; leave it out")

    @property
    def video(self) -> Path:
        """The overlay video's path; the other outputs lie beside it."""
        return self.output or Path(f"{source_stem(self.source)}_segmented.mp4")

    def targets(self) -> dict[str, Path]:
        """The path of each output that is asked for, statistics included."""
        video = self.video
        paths = {
            "overlay": video,
            "labels": video.with_name(f"{video.stem}_labels"),
            "color": video.with_name(f"{video.stem}_color"),
            "rle": video.with_name(f"{video.stem}.rle.jsonl"),
        }
        chosen = {kind: paths[kind] for kind in KINDS if kind in self.save}
        if chosen.keys() - {"overlay"}:
            chosen["classes"] = video.with_name(f"{video.stem}.classes.json")
        return chosen if self.stats_file is None else {**chosen, "stats": self.stats_file}

    @property
    def notes(self) -> Path:
        """The hidden file beside the outputs that exists while a run is unfinished."""
        return hidden_beside(self.video, ".progress.jsonl")

    @property
    def parts(self) -> Path:
        """The hidden folder beside the outputs that holds those of a file's parts while a run is unfinished."""
        return hidden_beside(self.video, ".parts")

    def asked(self, mode: str, options: Options) -> dict[str, Any]:
        """All that the outputs depend on: the source as it is now, the mode that is run, its options, and the other
        options; JSON can hold it."""
        from ...codec import source_files

        path = Path(self.source)
        fields = {each.name for each in dataclasses.fields(self) if each.metadata != _FREE} - {"options"}
        asked = {name: getattr(self, name) for name in sorted(fields)} | asdict(options)
        stats = [file.stat() for file in source_files(path)]
        stamp = [sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)] if stats else None
        asked |= {"source": str(path.resolve()), "source_stamp": stamp, "mode": mode, "version": __version__}
        return dict(json.loads(json.dumps(asked, default=str)))

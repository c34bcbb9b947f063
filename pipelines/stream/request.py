"""What `segment-stream` was asked for, and doing it: source, network, pipeline and outputs put together."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ... import __version__
from ...codec import Frame, FrameSource
from ...data import Palette, dataset_names, load_palette, voc_colours
from ...segnet import CODEC_MOTION, DEFAULT_MODEL, load_network
from ..errors import StreamUsageError
from ..modes import GUIDED, MODES, Pipeline
from ..outputs import ColourImages, LabelImages, Output, OutputSet, OverlayVideo, Painter, Progress, RunLengths
from ..runner import NetworkRunner, Precision
from .inputs import Patience, is_live, open_source, plan_reencode, reencoded, source_stem, within
from .job import Live, Outcome, run_job
from .live import LiveVideo
from .stats import StreamStats, peak_memory_mib
from .watch import FrameWatch

KINDS = ("overlay", "labels", "color", "rle")


@dataclass(frozen=True, kw_only=True)
class StreamRequest:
    """The command's options; times in seconds from the first frame, `fps` for still images only."""

    source: str
    output: Path | None = None
    mode: str = "auto"
    model: str = DEFAULT_MODEL
    save: tuple[str, ...] = ("overlay",)
    palette: str | None = None
    opacity: float = 0.5
    show_occlusion: bool = False
    device: str = "auto"
    precision: Precision = "auto"
    reencode: str = "auto"
    gop: int = 12
    gop_max: int | None = None
    lr_scale: float = 0.5
    interval: int | None = None
    flow_source: str | None = None
    carry: str | None = None
    references: str | None = None
    guided_weights: Path | None = None
    fps: float = 25.0
    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    stats_file: Path | None = None
    live: Live = "all"
    timeout: float = 10.0
    reconnect: int = 0
    overwrite: bool = False
    keep: bool = False
    resume: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.save if kind not in KINDS]
        if unknown:
            raise StreamUsageError(f"--save {unknown[0]}: unknown; take some of {', '.join(KINDS)}")
        if self.live == "latest" and not is_live(self.source):
            raise StreamUsageError(f"--live latest: '{self.source}' is no live source, a file waits; leave it out")
        if self.reconnect and (not is_live(self.source) or self.source == "-"):
            raise StreamUsageError(f"--reconnect: '{self.source}' cannot be connected to again; leave it out")
        if self.overwrite + self.keep + self.resume > 1:
            raise StreamUsageError("-y, -n and --resume exclude each other; give one of them")
        if self.resume and is_live(self.source):
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
        return chosen if self.stats_file is None else {**chosen, "stats": self.stats_file}

    @property
    def notes(self) -> Path:
        """The hidden file beside the outputs that exists while a run is unfinished."""
        return self.video.with_name(f".{self.video.stem}.progress.jsonl")

    def asked(self) -> dict[str, Any]:
        """All that the outputs depend on: the source as it is now, and the options; JSON can hold it."""
        path = Path(self.source)
        is_file = path.is_file()
        free = {
            "output",
            "overwrite",
            "keep",
            "resume",
            "quiet",
            "stats_file",
            "live",
            "timeout",
            "reconnect",
            "device",
        }
        options = {name: value for name, value in asdict(self).items() if name not in free}
        stamp = [path.stat().st_size, path.stat().st_mtime_ns] if is_file else None
        asked = {**options, "source": str(path.resolve()), "source_stamp": stamp, "version": __version__}
        return dict(json.loads(json.dumps(asked, default=str)))


def segment_stream(request: StreamRequest) -> Outcome:
    """Do what is asked. Raises StreamUsageError, or codec's, data's or segnet's errors, before any work where the
    request or its input cannot work, and StreamError where something fails on the way."""
    targets = request.targets()
    existing = [path for path in targets.values() if path.exists()]
    if existing and request.keep:
        _say(request, f"'{existing[0]}' exists already and is left alone")
        return Outcome(0.0)
    goes_on = request.resume and request.notes.exists()
    if request.resume and not goes_on and existing and len(existing) == len(targets):
        _say(request, f"'{existing[0]}' is finished and is left alone")
        return Outcome(0.0)
    _check_targets(request, list(targets.values()), may_exist=request.overwrite or goes_on)
    needs_motion = request.mode == "auto" or MODES[request.mode].needs_motion
    if request.flow_source is not None:
        needs_motion = request.flow_source == CODEC_MOTION
    source = open_source(
        request.source,
        motion=needs_motion or request.references == GUIDED,
        qp=request.references == GUIDED,
        references=needs_motion and request.reencode != "always",
        gop_max=request.gop_max,
        frame_rate=Fraction(request.fps).limit_denominator(1001),
        patience=Patience(request.timeout, request.reconnect),
    )
    if isinstance(source, LiveVideo):
        source.on_gap = lambda gap: _say(request, f"{source.name}: {gap}")
    try:
        mode = _mode(request, source)
        options = _mode_options(request, MODES[mode])
        runner = NetworkRunner(load_network(request.model), device=request.device, precision=request.precision)
        runner.warm_up(source.size_hw)
        pipeline = MODES[mode](runner, **options)
        reason = plan_reencode(source, needs_motion=pipeline.needs_motion, policy=request.reencode)
        palette = _palette(request, runner.classes)
        stats = StreamStats()
        made = _outputs(targets, request, source, palette, runner, stats)
        watch = FrameWatch(source, source.name, lambda text: _say(request, text))
        frames: Iterable[Frame] = watch
        if reason is not None:
            _say(request, f"{source.name}: re-encoding in memory, GOP {request.gop}: {reason}")
            frames = reencoded(frames, request.gop, source)
        elif pipeline.needs_motion and source.motion_absence is not None:
            _say(request, f"{source.name}: recovering references: {source.motion_absence.value}")
        progress = None if is_live(request.source) else Progress(request.notes, {**request.asked(), "mode": mode})
        if progress is not None and goes_on:
            progress.check()
        outputs = OutputSet(made, progress)
        outputs.start(resume=goes_on)
        if goes_on:
            _say(request, f"{source.name}: going on after {outputs.kept} frames")
    except BaseException:
        source.close()
        raise
    wanted = within(frames, source.frame_rate, request.start, request.end, request.max_frames, outputs.kept)
    with _bar(request, source) as update:
        together = not is_live(request.source)
        outcome = run_job(
            wanted, source, pipeline, outputs, stats, live=request.live, together=together, on_frame=update
        )
    errors = source.decode_errors
    if errors:
        _say(request, f"{source.name}: {errors} packets could not be decoded; their frames are missing")
    whole = request.start is None and request.end is None and request.max_frames is None
    seen = outputs.kept + stats.frames
    if whole and not outcome.interrupted and seen + stats.dropped_frames < (source.frame_count or 0):
        _say(request, f"{source.name}: ends after {seen} of {source.frame_count} frames; it may be cut off")
    if request.stats_file is not None:
        report = {
            "source": source.name,
            "codec": source.codec_name,
            "size_hw": list(source.size_hw),
            "mode": mode,
            "model": request.model,
            "device": str(runner.device),
            "precision": runner.precision,
            "reencoded": reason is not None,
            "reencode_reason": reason,
            "references_recovered": pipeline.needs_motion and reason is None and source.motion_absence is not None,
            "interrupted": outcome.interrupted,
            "resumed_after": outputs.kept,
            "decode_errors": errors,
            "corrupt_frames": watch.corrupt_frames,
            "sizes_hw": [list(size) for size in watch.sizes],
            "gaps": [asdict(gap) for gap in source.gaps] if isinstance(source, LiveVideo) else [],
            "peak_memory_mib": peak_memory_mib(),
            "version": __version__,
            "cpu_ms_per_frame": round(1e3 * outcome.cpu_seconds / max(1, stats.frames), 3),
            **stats.report(outcome.wall_seconds),
        }
        _write_stats(request.stats_file, report)
    fps = stats.frames / outcome.wall_seconds if outcome.wall_seconds else 0.0
    done = "interrupted after" if outcome.interrupted else "done:"
    _say(
        request,
        f"{done} {stats.frames} frames, mode {mode}, {fps:.1f} frames/s -> {', '.join(map(str, targets.values()))}",
    )
    return outcome


def _mode_options(request: StreamRequest, mode: type[Pipeline]) -> dict[str, Any]:
    """The request's options for a mode's constructor; StreamUsageError for one that was given and it does not know."""
    known = inspect.signature(mode).parameters
    names = ("interval", "flow_source", "carry", "guided_weights", "references")
    given = {name: value for name in names if (value := getattr(request, name)) is not None}
    foreign = [name for name in given if name not in known]
    if foreign:
        fitting = [name for name, other in MODES.items() if foreign[0] in inspect.signature(other).parameters]
        flag = foreign[0].replace("_", "-")
        raise StreamUsageError(
            f"--{flag}: mode {mode.mode} has no use for it; leave it out or take --mode {fitting[0]}"
        )
    return given | {name: value for name, value in {"lr_scale": request.lr_scale}.items() if name in known}


def _mode(request: StreamRequest, source: FrameSource) -> str:
    """The mode to run."""
    if request.mode != "auto":
        return request.mode
    absence = source.motion_absence
    is_usable = absence is None or absence.is_recoverable
    return "motion" if is_usable or request.reencode != "never" else "frame"


def _check_targets(request: StreamRequest, targets: list[Path], *, may_exist: bool) -> None:
    for target in targets:
        if target.exists() and Path(request.source).exists() and target.samefile(request.source):
            raise StreamUsageError(f"'{target}' is the input itself; choose another name with -o")
        if target.exists() and not may_exist:
            way_out = "--resume to go on, " if request.notes.exists() else ""
            raise StreamUsageError(f"'{target}' exists already; give {way_out}-y to replace it, or another name by -o")
        parent = target.absolute().parent
        if not parent.is_dir():
            raise StreamUsageError(
                f"'{target}' cannot be written: '{parent}' is no folder; make it or choose another -o"
            )
        if not os.access(parent, os.W_OK):
            raise StreamUsageError(f"'{target}' cannot be written: no permission in '{parent}'; choose another -o")


def _palette(request: StreamRequest, classes: tuple[str, ...]) -> Palette:
    """The palette that is asked for; else the one with the model's class names, else PASCAL VOC's colours for them."""
    if request.palette is not None:
        return load_palette(request.palette)
    palettes = [load_palette(name) for name in dataset_names()]
    same = [palette for palette in palettes if tuple(palette.names) == tuple(classes)]
    return same[0] if same else Palette(classes, voc_colours(len(classes) + 1)[1:])


def _outputs(
    targets: dict[str, Path],
    request: StreamRequest,
    source: FrameSource,
    palette: Palette,
    runner: NetworkRunner,
    stats: StreamStats,
) -> list[Output]:
    painter = Painter(palette.colours, request.opacity)
    made: list[Output] = []
    for kind, path in targets.items():
        if kind == "overlay":
            made.append(
                OverlayVideo(path, painter, source.frame_rate, stats.add, show_occlusion=request.show_occlusion)
            )
        elif kind == "labels":
            made.append(LabelImages(path, palette.colours))
        elif kind == "color":
            made.append(ColourImages(path, painter))
        elif kind == "rle":
            made.append(RunLengths(path, runner.classes))
    return made


def _write_stats(file: Path, report: dict[str, Any]) -> None:
    part = file.with_name(f".{file.name}.part-{os.getpid()}")
    part.write_text(json.dumps(report, indent=2) + "\n")
    part.replace(file)


@contextmanager
def _bar(request: StreamRequest, source: FrameSource) -> Iterator[Any]:
    """A bar over frames on a terminal; yields the function to call after each frame."""
    known = source.frame_count if request.start is None and request.end is None else None
    total = min(known, request.max_frames) if known and request.max_frames else known or request.max_frames
    hidden = True if request.quiet else None
    with tqdm(total=total, unit="frame", disable=hidden, leave=False, dynamic_ncols=True) as bar:
        yield bar.update


def _say(request: StreamRequest, text: str) -> None:
    if not request.quiet:
        sys.stderr.write(f"{text}\n")

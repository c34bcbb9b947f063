"""`segment_stream`: doing what `segment-stream` was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm import tqdm

from ... import __version__
from ...console import Existing, counted
from ...errors import GopsegError
from ...files import discard, refuse_long_names
from ..errors import OutputError
from ..inputs import LiveVideo, is_live
from ..outputs import OutputSet, Progress
from .breaking import broken_off
from .job import Outcome, run_job
from .jobs import SharesNetworks
from .request import StreamRequest
from .session import Session
from .stats import last_line, peak_memory_mib, write_statistics
from .targets import check_targets, make_outputs


@dataclass(frozen=True)
class Report:
    """What became of a request: the outcome, and its statistics as `--stats` writes them, None where nothing was to be
    done."""

    outcome: Outcome
    statistics: dict[str, Any] | None = None


def segment_stream(
    request: StreamRequest, on_frame: Callable[[], object] = lambda: None, runners: SharesNetworks | None = None
) -> Outcome:
    """Do what is asked; `on_frame` is called after each frame. `runners` holds networks that several calls share.

    Raises StreamUsageError, or codec's, data's or segnet's errors, before any work where the request or its input
    cannot work, and StreamError where something fails on the way before there is a frame; else the outcome has that
    as `broken`, or, where it is a fault of ours, that is raised in the end.
    """

    def say(text: str) -> None:
        if not request.quiet:
            sys.stderr.write(f"{text}\n")

    return run_request(request, say, lambda session: _bar(request, session, on_frame), runners).outcome


Watch = Callable[[Session], AbstractContextManager[Callable[[], object]]]
"""A context for the time of the work, which gives what is to be called after each frame."""


def run_request(
    request: StreamRequest,
    say: Callable[[str], None],
    watch: Watch,
    runners: SharesNetworks | None = None,
    turns: AbstractContextManager[object] | None = None,
) -> Report:
    """Do what is asked, as `segment_stream` does, and tell `say` of it; see `Session` for `runners` and `turns`."""
    refuse_long_names(request.targets().values())
    if request.existing is Existing.KEEP:
        request = _without_existing(request, say)
        if not request.save:
            return Report(Outcome(0.0))
    targets = request.targets()
    existing = [path for path in targets.values() if path.exists()]
    goes_on = request.existing is Existing.RESUME and request.notes.exists()
    if request.existing is Existing.RESUME and not goes_on and existing and len(existing) == len(targets):
        say(f"'{existing[0]}' is finished and is left alone")
        return Report(Outcome(0.0))
    check_targets(request, goes_on=goes_on)
    with Session(request, say, runners=runners, turns=turns) as session:
        if request.verbose and session.source.stream_choice:
            say(f"{session.source.name}: {session.source.stream_choice}")
        if request.verbose:
            say(f"{request.model}: computed by {session.runner.description}")
        outputs = _start(request, session, say, goes_on=goes_on)
        if goes_on:
            say(f"{session.source.name}: going on after {outputs.kept} frames")
        expected = session.source.frame_count  # which is known as long as it is open
        with watch(session) as update:
            outcome = run_job(session, outputs, on_frame=update)
    statistics = statistics_of(request, session, outcome, kept=outputs.kept)
    _tell(request, session, outputs.kept, expected, outcome, statistics, say)
    broken = outcome.broken
    if request.stats_file is not None:
        try:
            write_statistics(request.stats_file, statistics)
        except OutputError:
            if broken is None:
                raise
    if broken is not None and not isinstance(broken, GopsegError):
        raise broken_off(broken, goes_on=not is_live(request.source))
    return Report(outcome, statistics)


def _without_existing(request: StreamRequest, say: Callable[[str], None]) -> StreamRequest:
    """The request for what is not there yet."""
    there = {kind: path for kind, path in request.targets().items() if path.exists()}
    for path in there.values():
        say(f"'{path}' exists already and is left alone")
    stats_file = None if "stats" in there else request.stats_file
    return replace(request, save=tuple(kind for kind in request.save if kind not in there), stats_file=stats_file)


def _start(request: StreamRequest, session: Session, say: Callable[[str], None], *, goes_on: bool) -> OutputSet:
    """The outputs, begun or taken up again."""
    made = make_outputs(request, session, say)
    progress = None
    if not is_live(request.source):
        asked = replace(request, runtime=session.runner.runtime).asked(session.mode, session.options)
        progress = Progress(request.notes, asked)
        if goes_on:
            progress.check()
    if not goes_on:
        discard(request.parts)
    outputs = OutputSet(made, progress, replace=goes_on or request.existing is Existing.REPLACE)
    try:
        outputs.start(resume=goes_on)
    except KeyboardInterrupt:
        outputs.save()  # what an earlier run left stays, and nothing else
        raise
    return outputs


def _tell(
    request: StreamRequest,
    session: Session,
    kept: int,
    expected: int | None,
    outcome: Outcome,
    statistics: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    """Say how it went."""
    source, stats = session.source, session.stats
    if source.decode_errors:
        say(f"{source.name}: {counted(source.decode_errors, 'packet')} could not be decoded, so frames are missing")
    whole = request.start is None and request.end is None and request.max_frames is None
    seen = kept + stats.frames
    if whole and not outcome.interrupted and outcome.broken is None and seen + stats.dropped_frames < (expected or 0):
        say(f"{source.name}: ends after {seen} of {expected} frames; it may be cut off")
    done = "interrupted after" if outcome.interrupted else "done:" if outcome.broken is None else "broken off after"
    say(last_line(done, statistics, list(request.targets().values()) if seen else []))


def statistics_of(request: StreamRequest, session: Session, outcome: Outcome, *, kept: int = 0) -> dict[str, Any]:
    """What `--stats` writes, for JSON; `kept` frames are those of an earlier run."""
    source, stats = session.source, session.stats
    return {
        "source": source.name,
        "codec": source.codec_name,
        "size_hw": list(source.size_hw),
        "mode": session.mode,
        "model": request.model,
        "device": str(session.runner.device),
        "precision": session.runner.precision,
        "runtime": session.runner.runtime,
        "reencoded": session.reason is not None,
        "reencode_reason": session.reason,
        "references_recovered": session.pipeline.needs_motion
        and session.reason is None
        and source.motion_absence is not None,
        "interrupted": outcome.interrupted,
        "resumed_after": kept,
        "decode_errors": source.decode_errors,
        "corrupt_frames": session.watch.corrupt_frames,
        "time_jumps": [list(jump) for jump in session.watch.time_jumps],
        "sizes_hw": [list(size) for size in session.watch.sizes],
        "gaps": [asdict(gap) for gap in source.gaps] if isinstance(source, LiveVideo) else [],
        "peak_memory_mib": peak_memory_mib(),
        "version": __version__,
        "cpu_ms_per_frame": round(1e3 * outcome.cpu_seconds / max(1, stats.frames), 3),
        **stats.report(outcome.wall_seconds),
    }


@contextmanager
def _bar(request: StreamRequest, session: Session, on_frame: Callable[[], object]) -> Iterator[Callable[[], object]]:
    """A bar over frames on a terminal; yields the function to call after each frame."""
    known = session.source.frame_count if request.start is None and request.end is None else None
    total = min(known, request.max_frames) if known and request.max_frames else known or request.max_frames
    hidden = True if request.quiet else None
    with tqdm(total=total, unit="frame", disable=hidden, leave=False, dynamic_ncols=True) as bar:

        def update() -> None:
            bar.update()
            on_frame()

        yield update

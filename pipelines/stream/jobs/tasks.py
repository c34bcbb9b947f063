"""The unit of work that any worker does, here or on another machine: a source, or a part of one, to its outputs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ....console import Existing
from ....files import TargetExistsError, discard, part_of, publish
from ....processes import Talk, travelling
from ....segnet import Runtime
from ...errors import OutputError
from ...precision import Precision
from ..request import InferenceRequest, StreamRequest
from .part import Part

if TYPE_CHECKING:
    from ...runner import NetworkRunner
    from ..session import Session
    from .runners import Runners, SharesNetworks

_REPORT_EVERY_SECONDS = 0.2
FRAMES, SAY = "frames", "say"
"""Kinds of messages that a task sends: (FRAMES, number of frames more), (SAY, a line for the user)."""
VIDEO = "part.mp4"
"""What a part's overlay video is called in its folder; other outputs lie beside it under their usual names."""
ACCOUNT = "done.json"


@dataclass(frozen=True)
class Task:
    """A request, the whole of it or one part, whose outputs then go to a folder in `folder`; `source_number` is the
    request's among all."""

    source_number: int
    request: StreamRequest
    part: Part | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Result:
    """What became of a task: its statistics (None where nothing was to be done), whether it was told to stop, and what
    broke the source off. `folder` holds a part's outputs."""

    frames: int = 0
    statistics: dict[str, Any] | None = None
    interrupted: bool = False
    broken: BaseException | None = None
    folder: Path | None = None


_runners: Runners | None = None


def do_task(task: Task, talk: Talk) -> Result:
    """Do a task; networks stay loaded for the next one. Raises what `run_request` raises."""
    return _whole(task, talk) if task.part is None else _part(task, task.part, talk)


def forget_networks() -> None:
    """Let go of the networks that stay loaded."""
    global _runners
    _runners = None


def _whole(task: Task, talk: Talk) -> Result:
    from ..running import run_request

    def say(text: str) -> None:
        talk.send((SAY, text))

    report = run_request(task.request, say, lambda _: _counted(talk), _shared())
    outcome, statistics = report.outcome, report.statistics
    frames = 0 if statistics is None else statistics["frames"]
    broken = None if outcome.broken is None else travelling(outcome.broken)
    return Result(frames, statistics, outcome.interrupted, broken)


def _part(task: Task, part: Part, talk: Talk) -> Result:
    from ...outputs import OutputSet
    from ..job import run_job
    from ..running import statistics_of
    from ..session import Session
    from ..targets import make_outputs

    assert task.folder is not None
    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            talk.send((SAY, text))

    final = task.folder / f"{part.number:06d}"
    working = part_of(final)
    try:
        working.mkdir()
        request = replace(
            task.request,
            output=working / VIDEO,
            audio=False,
            stats_file=None,
            existing=Existing.REPLACE,
            start=None,
            end=None,
            max_frames=None,
        )
        with Session(request, say, runners=Agreed(_shared(), task.folder), part=part) as session:
            outputs = OutputSet(make_outputs(request, session, say))
            outputs.start()
            with _counted(talk) as update:
                outcome = run_job(session, outputs, on_frame=update)
        account = _account(session, part)
        account["statistics"] = statistics_of(task.request, session, outcome)
        account["cpu_seconds"] = outcome.cpu_seconds
        account["is_whole"] = not outcome.interrupted and outcome.broken is None
        (working / ACCOUNT).write_text(json.dumps(account))
        if not account["is_whole"]:
            final = final.with_name(f"{final.name}-some")
        discard(final)
        working.rename(final)
    except OSError as error:  # outputs that cannot be written have said so themselves
        raise OutputError(f"'{final}' cannot be written: {error.strerror}") from error
    finally:
        discard(working)
    broken = None if outcome.broken is None else travelling(outcome.broken)
    return Result(session.stats.frames, None, outcome.interrupted, broken, final)


def _account(session: Session, part: Part) -> dict[str, Any]:
    """What joining needs to know of a part."""
    return {"part": asdict(part), "frames": session.stats.frames, "stats": session.stats.state(), "mode": session.mode}


@contextmanager
def _counted(talk: Talk) -> Iterator[Callable[[], object]]:
    """A function to call after each frame, which reports frames now and then and hears whether to stop."""
    fresh, last = 0, time.monotonic()

    def on_frame() -> None:
        nonlocal fresh, last
        fresh += 1
        talk.check()
        now = time.monotonic()
        if now - last >= _REPORT_EVERY_SECONDS:
            talk.send((FRAMES, fresh))
            fresh, last = 0, now

    yield on_frame
    talk.send((FRAMES, fresh))


def _shared() -> Runners:
    from .runners import Runners

    global _runners
    if _runners is None:
        _runners = Runners()
    return _runners


class Agreed:
    """Networks of one runtime and precision for all parts of a file, however many workers look what is faster: where
    either is "auto", the first one's finding, noted in `folder`."""

    def __init__(self, shared: SharesNetworks, folder: Path) -> None:
        self._shared, self._note = shared, folder / "runtime"

    def of(self, request: InferenceRequest, size_hw: tuple[int, int]) -> NetworkRunner:
        """See `Runners`."""
        if "auto" not in (request.precision, request.runtime):
            return self._shared.of(request, size_hw)
        if not self._note.exists():
            mine = part_of(self._note)
            found = self._shared.of(request, size_hw)
            mine.write_text(f"{found.runtime} {found.precision}")
            with suppress(TargetExistsError):
                publish(mine, self._note, replace=False)
            discard(mine)
        runtime, precision = self._note.read_text().split()
        agreed = replace(request, runtime=cast(Runtime, runtime), precision=cast(Precision, precision))
        return self._shared.of(agreed, size_hw)

"""Many jobs: each one source to one output, run one by one or in several processes, with one bar over all frames."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from tqdm import tqdm

from ...codec import CodecError
from ...processes import Ended, Queue, Talk, run_in_processes
from .sidecar import sha256_of

_REPORT_EVERY_SECONDS = 0.2


class Job(Protocol):
    """One source to one output; picklable, so that it can run in another process or on another machine."""

    @property
    def source_path(self) -> Path:
        """The file or folder that is read."""

    @property
    def output(self) -> Path:
        """The file that appears when the job is done."""

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Every file that the job writes, `output` first."""

    def without_replacing(self) -> Self:
        """The same job, which leaves outputs alone that another run makes meanwhile (TargetExistsError)."""

    def settings_record(self) -> dict[str, Any]:
        """Everything that the output depends on, beside the source and the versions."""

    def source_stamp(self) -> list[int]:
        """Bytes and time of last change (ns) of the source: cheap to get, and other once the source is another."""

    def frame_total(self) -> int | None:
        """Frames that will be reported, by the source's own account; None where it gives none, CodecError where it
        cannot be read."""

    def is_finished(self) -> bool:
        """Whether the output is whole by its own account; OutputError where it is there but was made otherwise."""

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Do it, and give an account of it; on an error nothing is left behind."""


@dataclass(frozen=True)
class Done:
    """What a worker says of a job: its account, the output's SHA-256, how long it took, and who it is."""

    content: dict[str, Any]
    sha256: str
    seconds: float
    worker: str


@dataclass(frozen=True)
class Outcome:
    """How one job ended, after how many attempts: what the worker says, or the error."""

    job: Job
    done: Done | None = None
    error: BaseException | None = None
    attempts: int = 1


OnOutcome = Callable[[Outcome], None]


def run_job(job: Job, on_frame: Callable[[], None] | None = None) -> Done:
    """What every worker does, on this machine or another."""
    begin = time.monotonic()
    content = job.run(on_frame)
    seconds = round(time.monotonic() - begin, 3)
    return Done(content, sha256_of(job.output), seconds, f"{platform.node()}:{os.getpid()}")


def run_jobs(jobs: Sequence[Job], processes: int, on_outcome: OnOutcome) -> None:
    """Run all jobs, at most `processes` at a time; `on_outcome` is told of each as it ends, errors included.

    One bar over all frames is drawn on standard error if that is a terminal. On KeyboardInterrupt jobs under way are
    dropped with nothing left behind, and it is raised again.
    """
    with _bar(jobs) as bar:
        if processes == 1 or len(jobs) <= 1:
            for job in jobs:
                on_outcome(_outcome(job, partial(run_job, job, bar.update)))
        else:
            _run_in_processes(jobs, min(processes, len(jobs)), bar, on_outcome)


def _outcome(job: Job, work: Callable[[], Done]) -> Outcome:
    """How the job ended. Its errors, faults of ours included, end here, so that they cost no other source."""
    try:
        return Outcome(job, done=work())
    except Exception as error:
        return Outcome(job, error=error)


def _run_in_processes(jobs: Sequence[Job], count: int, bar: tqdm[Any], on_outcome: OnOutcome) -> None:
    def on_end(ended: Ended[Job]) -> None:
        if not isinstance(ended.error, KeyboardInterrupt):
            on_outcome(Outcome(ended.task, ended.value, ended.error, ended.attempts))

    run_in_processes(Queue(jobs), do_job, count, lambda _, frames: bar.update(frames), on_end)


def do_job(job: Job, talk: Talk) -> Done:
    """`run_job` in another process, which says how many frames are done and hears when to stop."""
    fresh, last = 0, time.monotonic()

    def on_frame() -> None:
        nonlocal fresh, last
        fresh += 1
        now = time.monotonic()
        if now - last >= _REPORT_EVERY_SECONDS:
            talk.check()
            talk.send(fresh)
            fresh, last = 0, now

    done = run_job(job, on_frame)
    talk.send(fresh)
    return done


@contextmanager
def _bar(jobs: Sequence[Job]) -> Iterator[tqdm[Any]]:
    shown = sys.stderr.isatty()
    total = _total_frames(jobs) if shown else None
    with tqdm(total=total, unit="frame", disable=None if shown else True, file=sys.stderr, dynamic_ncols=True) as bar:
        yield bar


def _total_frames(jobs: Iterable[Job]) -> int | None:
    """Frames of all sources by their containers' account, or None where one gives none."""
    total = 0
    for job in jobs:
        try:
            count = job.frame_total()
        except (CodecError, OSError):
            continue  # its job will say why
        if count is None:
            return None
        total += count
    return total

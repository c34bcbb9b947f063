"""Many encode jobs: which are to be done, in how many processes, with one bar over all their frames."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from tqdm import tqdm

from ..codec.errors import CodecError, EncodeError
from ..codec.pictures import declared_frames
from .encode import EncodeJob, OutputError, is_finished, run_job

_REPORT_EVERY_SECONDS = 0.2


class Existing(Enum):
    """What to do about outputs that are there already."""

    REFUSE = "refuse"
    REPLACE = "replace"
    KEEP = "keep"
    RESUME = "resume"


@dataclass(frozen=True)
class Outcome:
    """How one job ended: the sidecar's content, or the error."""

    job: EncodeJob
    content: dict[str, Any] | None = None
    error: BaseException | None = None


def jobs_to_do(jobs: Iterable[EncodeJob], existing: Existing) -> list[EncodeJob]:
    """The jobs whose outputs are missing, or are to be replaced.

    Raises OutputError, before anything is written, for outputs that exist (REFUSE), that other settings made (RESUME),
    or that are the source itself.
    """
    todo = []
    for job in jobs:
        there = [path for path in (job.video, job.sidecar) if path.exists()]
        if job.video.exists() and job.source.path.exists() and job.video.samefile(job.source.path):
            raise OutputError(f"{job.video}: is the source itself; give another folder")
        if existing is Existing.REFUSE and there:
            raise OutputError(f"{there[0]}: exists; give -y to replace, -n to keep it, or --resume to go on")
        if existing is Existing.KEEP and there:
            continue
        if existing is Existing.RESUME and is_finished(job):
            continue
        todo.append(job)
    return todo


def run_jobs(jobs: list[EncodeJob], processes: int, on_outcome: Callable[[Outcome], None]) -> None:
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


def _outcome(job: EncodeJob, work: Callable[[], dict[str, Any]]) -> Outcome:
    try:
        return Outcome(job, content=work())
    except BrokenProcessPool:
        error = EncodeError(f"{job.source.path}: its process was killed (out of memory?); give fewer --jobs")
        return Outcome(job, error=error)
    except Exception as error:
        return Outcome(job, error=error)


def _run_in_processes(
    jobs: list[EncodeJob], processes: int, bar: tqdm[Any], on_outcome: Callable[[Outcome], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    stop, frames = context.Event(), context.Value("q", 0)
    executor = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=(stop, frames))
    try:
        pending: dict[Future[dict[str, Any]], EncodeJob] = {executor.submit(_work, job): job for job in jobs}
        while pending:
            done, _ = wait(pending, timeout=_REPORT_EVERY_SECONDS, return_when=FIRST_COMPLETED)
            bar.update(frames.value - bar.n)
            for future in done:
                on_outcome(_outcome(pending.pop(future), future.result))
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)


_stop: Any = None
_frames: Any = None


def _start_worker(stop: Any, frames: Any) -> None:
    """Workers end when told to by the event: Ctrl-C goes to the parent, which tells them."""
    global _stop, _frames
    _stop, _frames = stop, frames
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(job: EncodeJob) -> dict[str, Any]:
    fresh, last = 0, time.monotonic()

    def on_frame() -> None:
        nonlocal fresh, last
        fresh += 1
        now = time.monotonic()
        if now - last >= _REPORT_EVERY_SECONDS:
            report()
            last = now
            if _stop.is_set():
                raise EncodeError(f"{job.source.path}: interrupted; --resume goes on")

    def report() -> None:
        nonlocal fresh
        with _frames.get_lock():
            _frames.value += fresh
        fresh = 0

    content = run_job(job, on_frame)
    report()
    return content


@contextmanager
def _bar(jobs: list[EncodeJob]) -> Iterator[tqdm[Any]]:
    shown = sys.stderr.isatty()
    total = _total_frames(jobs) if shown else None
    with tqdm(total=total, unit="frame", disable=None if shown else True, file=sys.stderr, dynamic_ncols=True) as bar:
        yield bar


def _total_frames(jobs: Iterable[EncodeJob]) -> int | None:
    """Frames of all sources by their containers' account, or None where one gives none."""
    total = 0
    for job in jobs:
        if job.source.files is not None:
            total += len(job.source.files)
            continue
        try:
            count = declared_frames(job.source.path, job.frame_rate)
        except (CodecError, OSError):
            continue  # its job will say why
        if count is None:
            return None
        total += count
    return total

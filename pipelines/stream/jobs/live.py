"""`segment_live`: several live sources in one process, which share one network."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ....errors import GopsegError
from ..breaking import broken_off
from ..request import StreamRequest
from ..running import Report, run_request
from ..session import Session
from ..stats import write_statistics
from ..targets import check_targets
from .batch import Failure, Summary
from .runners import Runners

_POLL_SECONDS = 0.2


class Turns:
    """A context that one thread at a time is in, in the order in which they came: a source with many frames does not
    keep the others waiting."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        mine = threading.Event()
        with self._guard:
            self._waiting.append(mine)
            if len(self._waiting) == 1:
                mine.set()
        mine.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            self._waiting.popleft()
            if self._waiting:
                self._waiting[0].set()


def segment_live(requests: Sequence[StreamRequest], *, stats_file: Path | None = None) -> Summary:
    """Do what all requests ask for, at the same time, each in a thread; the network sees their frames in turn.

    A source that fails costs itself only. On KeyboardInterrupt all of them end as one does, with outputs that hold what
    was done. Raises StreamUsageError, before any work, where an output exists or cannot be written.
    """
    for request in requests:
        check_targets(request, goes_on=False)
    runs = _Runs(requests)
    try:
        runs.wait()
    except KeyboardInterrupt:
        runs.interrupt()
        runs.wait()
    if stats_file is not None:
        write_statistics(stats_file, {"sources": runs.entries()})
    failures = tuple(Failure(requests[number].source, error) for number, error in sorted(runs.errors.items()))
    return Summary(len(requests), failures, runs.is_interrupted)


class _Runs:
    """The threads, and what becomes of them."""

    def __init__(self, requests: Sequence[StreamRequest]) -> None:
        self._requests = requests
        self._runners, self._turns = Runners(), Turns()
        self._sessions: list[Session] = []
        self._guard = threading.Lock()
        self.is_interrupted = False
        self.reports: dict[int, Report] = {}
        self.errors: dict[int, BaseException] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(number, request), daemon=True, name=request.source)
            for number, request in enumerate(requests)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Until all have ended; KeyboardInterrupt comes in between."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_POLL_SECONDS)

    def interrupt(self) -> None:
        """Have all end."""
        with self._guard:
            self.is_interrupted = True
            for session in self._sessions:
                session.interrupt()

    def entries(self) -> list[dict[str, Any]]:
        """The sources' statistics, or their errors."""
        entries: list[dict[str, Any]] = []
        for number, request in enumerate(self._requests):
            error = self.errors.get(number)
            report = self.reports.get(number)
            entry = {"source": request.source} if report is None or report.statistics is None else report.statistics
            entries.append({**entry, "output": str(request.video), "error": None if error is None else str(error)})
        return entries

    def _run(self, number: int, request: StreamRequest) -> None:
        def say(text: str) -> None:
            if not request.quiet:
                sys.stderr.write(text + "\n")

        try:
            report = run_request(request, say, self._watched, self._runners, self._turns)
            self.reports[number] = report
            if report.outcome.broken is not None:
                self.errors[number] = broken_off(report.outcome.broken, goes_on=False)
        except (Exception, KeyboardInterrupt) as error:  # of one source: the others go on
            self.errors[number] = error if isinstance(error, Exception) else GopsegError("interrupted")

    @contextmanager
    def _watched(self, session: Session) -> Iterator[Callable[[], object]]:
        with self._guard:
            self._sessions.append(session)
            if self.is_interrupted:
                session.interrupt()
        yield lambda: None

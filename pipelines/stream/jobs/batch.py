"""`segment_many`: the requests of one call, whole or in parts, done by several workers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
from tqdm import tqdm

from ....console import Existing, describe
from ....errors import GopsegError, InputError
from ....packages import known_error
from ....processes import Ended, LostError, Queue, cores, run_here, run_in_processes
from ...errors import OutputError, StreamError, StreamUsageError
from ..breaking import broken_off
from ..request import StreamRequest
from ..stats import last_line, write_statistics
from ..targets import check_targets
from .cut_source import CutSource
from .planning import NotCut, frames_of, plan, workers_that_pay
from .tasks import FRAMES, Result, Task, do_task, forget_networks


@dataclass(frozen=True)
class Places:
    """Where tasks are done: in up to so many processes of this machine, or on the Ray cluster at `ray`, with so many
    workers (None: one a GPU, or a core, of the cluster)."""

    jobs: int | None = None
    ray: str | None = None

    @property
    def workers(self) -> int:
        """How many tasks run at a time, as far as it is known beforehand."""
        return self.jobs or (4 if self.ray is not None else 1)

    def run(
        self, tasks: Queue[Task], on_message: Callable[[Task, Any], None], on_end: Callable[[Ended[Task]], None]
    ) -> None:
        """Do the tasks."""
        if self.ray is not None:
            from ....cluster import run_on_ray

            run_on_ray(tasks, do_task, self.ray, self.jobs, on_message, on_end)
        elif self.workers > 1 and len(tasks) > 1:
            run_in_processes(tasks, do_task, min(self.workers, len(tasks)), on_message, on_end)
        else:
            try:
                run_here(tasks, do_task, on_message, on_end)
            finally:
                forget_networks()


@dataclass(frozen=True)
class Failure:
    """A source that failed, and by what."""

    source: str
    error: BaseException


@dataclass(frozen=True)
class Summary:
    """How a call ended."""

    sources: int
    failures: tuple[Failure, ...] = ()
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """0; 130 where it was interrupted; 2 where all sources failed, and by themselves; 1 where any failed."""
        if self.interrupted:
            return 130
        is_input = all(isinstance(known_error(failure.error), InputError) for failure in self.failures)
        return 0 if not self.failures else 2 if is_input and len(self.failures) == self.sources else 1

    def lines(self) -> Iterator[str]:
        """The sources that failed, a line each, and how many they are."""
        for failure in self.failures:
            line = describe(known_error(failure.error))
            yield f"Error: {line if failure.source in line else f'{failure.source}: {line}'}"
        if self.failures:
            yield f"{len(self.failures)} of {self.sources} sources failed."


def segment_many(
    requests: Sequence[StreamRequest], places: Places = Places(), *, stats_file: Path | None = None
) -> Summary:
    """Do what all requests ask for. A source that fails costs itself only: it is told of at the end.

    Networks are loaded once a worker. Long files are cut at keyframes where that changes no label (`planning`), so that
    all workers have something to do. Raises StreamUsageError, before any work, where an output exists or cannot be
    written; `stats_file` gets the statistics of all.
    """
    batch = _Batch(requests, places, stats_file)
    batch.prepare()
    return batch.run()


@dataclass
class _Batch:
    requests: Sequence[StreamRequest]
    places: Places
    stats_file: Path | None
    failures: list[Failure] = field(default_factory=list)
    statistics: dict[int, dict[str, Any]] = field(default_factory=dict)
    cut: dict[int, CutSource] = field(default_factory=dict)
    whole: list[Task] = field(default_factory=list)
    is_interrupted: bool = False
    _said: set[tuple[int, str]] = field(default_factory=set)

    def say(self, text: str) -> None:
        if not self.requests[0].quiet:
            tqdm.write(text, file=sys.stderr)

    def prepare(self) -> None:
        """Check everything, and decide what is cut."""
        existing = self.requests[0].existing
        self._check_stats_file(existing)
        todo = [(number, each) for number, each in enumerate(self.requests) if not self._is_left(each)]
        for _, request in todo:
            goes_on = existing is Existing.RESUME and request.notes.exists()
            check_targets(request, goes_on=goes_on or existing is Existing.KEEP)
        counts = {number: frames_of(request) or 0 for number, request in todo}
        self._limit_workers([(request, counts[number]) for number, request in todo])
        share = max(1, sum(counts.values()) // self.places.workers)
        self.total = sum(counts.values())
        try:
            for number, request in todo:
                cut = self._cut(number, request, share)
                if cut is None:
                    self.whole.append(Task(number, request))
                else:
                    self.cut[number] = cut
        except BaseException:
            for one in self.cut.values():
                one.progress.close()
            raise

    def _limit_workers(self, work: Sequence[tuple[StreamRequest, int]]) -> None:
        """Start no more processes than pay; on a cluster they are there already."""
        asked = self.places.workers
        if self.places.ray is None and asked > 1 and work:
            self.places = replace(self.places, jobs=workers_that_pay(work, asked, cores()))
            if self.places.workers < asked:
                self.say(f"--jobs {asked}: for so few frames {self.places.workers} is as fast, and is taken")

    def _check_stats_file(self, existing: Existing) -> None:
        """As `check_targets`, of the file for all; it is left alone where that is asked for."""
        file = self.stats_file
        if file is None:
            return
        if file.exists() and existing is Existing.REFUSE:
            raise StreamUsageError(f"'{file}' exists already; give -y to replace it, or another name")
        if not file.absolute().parent.is_dir():
            raise StreamUsageError(f"'{file}' cannot be written: its folder is not there; make it or choose another")
        if file.exists() and existing is Existing.KEEP:
            self.say(f"'{file}' exists already and is left alone")
            self.stats_file = None

    def _is_left(self, request: StreamRequest) -> bool:
        """Whether nothing is to be done for a source, as its outputs are there; says so."""
        is_unfinished = request.existing is Existing.RESUME and request.notes.exists()
        if request.existing not in (Existing.KEEP, Existing.RESUME) or is_unfinished:
            return False
        targets = list(request.targets().values())
        if not all(path.exists() for path in targets):
            return False
        self.say(f"'{targets[0]}' is finished and is left alone")
        return True

    def _cut(self, number: int, request: StreamRequest, share: int) -> CutSource | None:
        """The parts of a source, or None where it is left to one worker."""
        try:
            if request.existing is Existing.RESUME and request.notes.exists():
                return CutSource.go_on(number, request)
            is_kept = request.existing is Existing.KEEP and any(path.exists() for path in request.targets().values())
            if self.places.workers < 2 or is_kept:
                return None
            return CutSource.begin(number, request, plan(request, self.places.workers, share))
        except NotCut as reason:
            if len(self.requests) == 1 or request.verbose:
                self.say(f"{request.source}: is labelled by one worker: {reason}")
            return None
        except StreamUsageError:
            raise
        except GopsegError:
            return None  # its own run will say why

    def run(self) -> Summary:
        """Do it."""
        self._begin = time.monotonic()
        tasks = [task for cut in self.cut.values() for task in cut.tasks()] + self.whole
        self._queue: Queue[Task] = Queue(tasks)
        for cut in [cut for cut in self.cut.values() if not cut.left]:
            self._finish(cut)
        hidden = True if self.requests[0].quiet or not sys.stderr.isatty() else None
        with tqdm(total=self.total or None, unit="frame", disable=hidden, leave=False, dynamic_ncols=True) as self._bar:
            self._bar.update(sum(cut.kept_frames for cut in self.cut.values()))
            try:
                self.places.run(self._queue, self._hear, self._end)
            except KeyboardInterrupt:
                self.is_interrupted = True
            finally:
                for cut in list(self.cut.values()):
                    self._finish(cut)
        self._write_statistics()
        return Summary(len(self.requests), tuple(self.failures), self.is_interrupted)

    def _hear(self, task: Task, message: tuple[str, Any]) -> None:
        kind, content = message
        if kind == FRAMES:
            self._bar.update(content)
        elif (task.source_number, content) not in self._said:  # other parts say the same
            self._said.add((task.source_number, content))
            self.say(content)

    def _end(self, ended: Ended[Task]) -> None:
        number, request = ended.task.source_number, ended.task.request
        if ended.attempts > 1 and ended.error is None:
            self.say(f"{request.source}: a worker was killed; what it had in hand was done again")
        result: Result | None = ended.value
        error = ended.error or (None if result is None else result.broken)
        cut = self.cut.get(number)
        if isinstance(error, KeyboardInterrupt) or (result is not None and result.interrupted):
            self.is_interrupted = True
            self._queue.drop(lambda _: True)
        elif error is not None:
            if isinstance(error, LostError):
                error = StreamError(f"{request.source}: {error}")
            if cut is None:
                self._fail(request, error if result is None else broken_off(error))
            else:
                cut.error = cut.error or error
            self._queue.drop(lambda task: task.source_number == number)
        if cut is None:
            if result is not None and result.statistics is not None:
                self.statistics[number] = result.statistics
            return
        cut.left -= 1
        if not cut.left:
            self._finish(cut)

    def _fail(self, request: StreamRequest, error: BaseException) -> None:
        self.failures.append(Failure(request.source, error))

    def _finish(self, cut: CutSource) -> None:
        """Make the outputs of a source of which nothing more is done."""
        del self.cut[cut.number]
        request, seconds = cut.request, time.monotonic() - self._begin
        try:
            report = cut.finish(seconds, self.say, workers=self.places.workers)
        except (GopsegError, OSError, av.FFmpegError) as error:
            cut.progress.close()
            cause = str(error) if isinstance(error, GopsegError) else error.strerror
            failed = OutputError(f"'{request.video}' cannot be written: {cause}")
            self._fail(request, broken_off(cut.error or failed, "what is done is kept"))
            return
        if cut.error is not None and report is not None:
            self._fail(request, broken_off(cut.error))
        elif cut.error is not None:
            self._fail(request, broken_off(cut.error, "what is done is kept") if cut.folder.is_dir() else cut.error)
        if report is None:
            return
        self.statistics[cut.number] = report
        how = "interrupted after" if report["interrupted"] else "done:"
        files = list(request.targets().values())
        if self.stats_file is not None and len(self.requests) == 1:
            files.append(self.stats_file)
        self.say(last_line(how, report, files))

    def _write_statistics(self) -> None:
        """All sources' in one file; of one source, as `segment_stream` writes them."""
        if self.stats_file is None:
            return
        entries = list(self._entries())
        if len(self.requests) == 1:
            report = entries[0] if entries else None
        else:
            seconds = time.monotonic() - self._begin
            frames = sum(entry["frames"] for entry in self.statistics.values())
            report = {
                "frames": frames,
                "wall_seconds": round(seconds, 3),
                "fps": round(frames / seconds, 3),
                "workers": self.places.workers,
                "failed": len(self.failures),
                "interrupted": self.is_interrupted,
                "sources": entries,
            }
        if report is not None:
            write_statistics(self.stats_file, report)

    def _entries(self) -> Iterator[dict[str, Any]]:
        """A source's statistics, those of an earlier run where this one had nothing to do, and its error."""
        errors = {failure.source: str(failure.error) for failure in self.failures}
        before = _entries_in(self.stats_file)
        for number, request in enumerate(self.requests):
            output, error = str(request.video), errors.get(request.source)
            entry = self.statistics.get(number) or before.get(output)
            if entry is not None:
                yield {**entry, "output": output, "error": error}
            elif error is not None:
                yield {"source": request.source, "output": output, "error": error}


def _entries_in(file: Path | None) -> dict[str, dict[str, Any]]:
    """The sources' statistics that an earlier run wrote, by their outputs."""
    if file is None or not file.exists():
        return {}
    try:
        return {entry["output"]: entry for entry in json.loads(file.read_text())["sources"]}
    except (ValueError, KeyError, TypeError):
        return {}

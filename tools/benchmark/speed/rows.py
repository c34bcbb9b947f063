"""Rows of the table: work that is done in turns, and what it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from ....errors import GopsegError

READER, MAIN, LABELS, WRITER = "reader", "main", "labels", "writer"
_THREADS = {"read": READER, "rgb": READER, "labels": LABELS, "write": WRITER, "overlay": WRITER, "encode": WRITER}
_PARTS = {"overlay", "encode"}
"""Stages whose time is also that of another."""
_ALL_BUSY, _BUSY = 0.9, 0.8
SLOW = 4
"""How many times as long as a run is to take it may take, to be repeated."""


@dataclass(frozen=True)
class Took:
    """What a row took: a number of frames, seconds by the clock and of processor time of all threads, the milliseconds
    of each stage, and the frames that the network saw, None where there is no network."""

    frames: int
    seconds: float
    cpu_seconds: float
    stages: Mapping[str, float] = field(default_factory=dict)
    network_frames: int | None = None

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Frames a second of processor time."""
        return self.frames / max(1e-9, self.cpu_seconds)

    @property
    def busy(self) -> float:
        """Cores that were busy, on average."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True)
class Row:
    """A line of the table: `run` does so many frames. It is given as many as it does in the time for a run, `least` of
    them at least and `most` at most. `threads` says whether its stages run beside each other, as in `segment-stream`;
    `bound` is what bounds it where it has no stages."""

    name: str
    run: Callable[[int], Took]
    least: int
    most: int
    bound: str = ""
    are_threads: bool = False


def timed(work: Callable[[], int]) -> Took:
    """What `work`, which returns its number of frames, takes."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    frames = work()
    return Took(frames, time.perf_counter() - begin, time.process_time() - cpu_begin)


def filling(row: Row, seconds: float) -> tuple[int, float]:
    """How many frames fill about `seconds`, and how long its least take.

    The first run warms up. The others grow until one is long enough to tell: short ones are mostly a pipeline's
    filling.
    """
    frames = row.least
    least = row.run(frames).seconds
    if least > SLOW * seconds:
        return frames, least
    while True:
        took = row.run(frames).seconds
        fitting = max(row.least, min(row.most, int(frames * seconds / took)))
        if took > seconds / 2 or fitting <= 2 * frames:
            return fitting, least
        frames = fitting


def in_turns(
    rows: Sequence[Row], repeats: int, seconds: float, on_run: Callable[[], object] = lambda: None
) -> tuple[dict[str, list[Took]], dict[str, str]]:
    """What each row took in every round, and why some cannot be run here.

    A first round warms up and finds how many frames fill `seconds`, from each row's `least` to its `most`; rows that
    take more than SLOW times that for their least take part in one round only. Every round begins with another row.
    `on_run` is called after each run, and for each that is left out.
    """
    missing: dict[str, str] = {}
    frames: dict[str, int] = {}
    slow: set[str] = set()
    for row in rows:
        try:
            frames[row.name], took = filling(row, seconds)
        except GopsegError as error:
            missing[row.name] = str(error)
        else:
            slow |= {row.name} if took > SLOW * seconds else set()
        on_run()
    left = [row for row in rows if row.name in frames]
    found: dict[str, list[Took]] = {row.name: [] for row in left}
    for number in range(repeats):
        first = number % max(1, len(left))
        for row in left[first:] + left[:first]:
            if not number or row.name not in slow:
                found[row.name].append(row.run(frames[row.name]))
            on_run()
    return found, missing


def stage_ms(runs: Sequence[Took]) -> dict[str, float]:
    """Milliseconds a frame of each stage, the median of the runs."""
    names = {name: None for run in runs for name in run.stages}
    return {name: median(run.stages.get(name, 0.0) / run.frames for run in runs) for name in names}


def bound_by(row: Row, runs: Sequence[Took], cores: int) -> str:
    """What bounds a row: the busiest of its threads and the longest of that one's stages, and whether all cores were
    busy."""
    stages = {
        name: sum(run.stages.get(name, 0.0) for run in runs) / 1e3 for name in {n for run in runs for n in run.stages}
    }
    seconds = sum(run.seconds for run in runs)
    busy = sum(run.cpu_seconds for run in runs) / seconds
    everything = "all cores; " if cores > 1 and busy >= _ALL_BUSY * cores else ""
    if not stages:
        return f"{everything}{row.bound}"
    if not row.are_threads:
        return f"{everything}{max(stages, key=stages.__getitem__)}"
    threads: dict[str, dict[str, float]] = {}
    for name, value in stages.items():
        threads.setdefault(_THREADS.get(name, MAIN), {})[name] = value
    totals = {thread: sum(v for name, v in own.items() if name not in _PARTS) for thread, own in threads.items()}
    busiest = max(totals, key=totals.__getitem__)
    own = {name: value for name, value in threads[busiest].items() if name != "write" or len(threads[busiest]) == 1}
    share = totals[busiest] / seconds
    waits = "" if share >= _BUSY else ", waiting for others"
    return f"{everything}{busiest} thread, {share:.0%} busy{waits}: {max(own, key=own.__getitem__)}"

"""`CutSource`: one file whose parts are labelled by several workers and then joined."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from ....codec import StartPoint
from ....console import Existing
from ....files import discard
from ...errors import StreamUsageError
from ...outputs import Progress
from ..request import StreamRequest
from ..stats import StreamStats
from ..targets import sound_for
from .joining import Joined, join
from .part import Part
from .planning import Plan, resolved
from .tasks import Task

PARTS, UNIT = "parts", "time_base"


class CutSource:
    """A request whose source is cut: the tasks that are left, and what becomes of them.

    Parts that are done stay in the folder `request.parts` until all are, with notes of what was asked for beside it,
    so that a later run can go on whatever happens; meanwhile the notes are locked.
    """

    def __init__(
        self, number: int, request: StreamRequest, plan: Plan, progress: Progress, *, goes_on: bool = False
    ) -> None:
        self.number, self.request, self.plan, self.progress, self.goes_on = number, request, plan, progress, goes_on
        self.folder = request.parts
        self.kept_frames = sum(part.frames for part in plan.parts if self._is_done(part))
        """Frames of the parts that an earlier run did."""
        self.left = 0
        """Tasks that have not ended."""
        self.error: BaseException | None = None
        """What the first task raised that failed, or was broken off by."""

    @classmethod
    def begin(cls, number: int, request: StreamRequest, plan: Plan) -> CutSource:
        """Start anew. StreamUsageError where another run is at it, or the folder cannot be written to."""
        asked = request.asked(plan.mode, plan.options)
        asked |= {PARTS: [asdict(part) for part in plan.parts], UNIT: str(plan.time_base)}
        progress = Progress(request.notes, asked)
        folder = request.parts
        try:
            discard(folder)
            folder.mkdir()
        except OSError as error:
            progress.remove()
            raise StreamUsageError(f"'{folder}' cannot be made: {error.strerror}; choose another -o") from error
        progress.begin(None)
        return cls(number, request, plan, progress)

    @classmethod
    def go_on(cls, number: int, request: StreamRequest) -> CutSource | None:
        """Take up a run whose notes are there; None where it had cut nothing.

        StreamUsageError where something else was asked for, or another run is at it.
        """
        if not request.parts.is_dir() or not request.notes.exists():
            return None
        mode, options = resolved(request)
        progress = Progress(request.notes, request.asked(mode, options))
        progress.check()
        before = progress.before or {}
        if PARTS not in before:
            progress.close()
            return None
        parts = tuple(_part(entry) for entry in before[PARTS])
        return cls(number, request, Plan(parts, Fraction(before[UNIT]), mode, options), progress, goes_on=True)

    def tasks(self) -> list[Task]:
        """What is left to be done."""
        for stray in self.folder.glob(".*"):
            discard(stray)
        todo = [part for part in self.plan.parts if not self._is_done(part)]
        self.left = len(todo)
        return [Task(self.number, self.request, part, self.folder) for part in todo]

    @property
    def frames(self) -> int:
        """Frames of all parts, by the container's account."""
        return sum(part.frames for part in self.plan.parts)

    def finish(self, wall_seconds: float, say: Callable[[str], None], *, workers: int) -> dict[str, Any] | None:
        """Join what is done, from the beginning on without a hole, into the outputs; its statistics, None of nothing.

        Where all is there, the parts and the notes go. Raises StreamError, OSError or FFmpegError where that fails.
        """
        joined = list(self._without_hole())
        is_whole = len(joined) == len(self.plan.parts) and all(part.account["is_whole"] for part in joined)
        joined = [part for part in joined if part.frames]
        statistics = None
        if joined:
            begins = [part.account["part"]["begin"] for part in joined]
            replaces = self.request.existing is Existing.REPLACE
            sound = sound_for(self.request, say) if "overlay" in self.request.save else None
            try:
                join(self.request, joined, begins, self.plan.time_base, sound, replaces=self.goes_on or replaces)
            finally:
                if sound is not None:
                    sound.close()
            statistics = self._statistics(joined, wall_seconds, workers=workers, is_whole=is_whole)
        if is_whole or not any(self.folder.glob("[0-9]*")):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.progress.remove()
            return statistics
        if joined:
            self.progress.published()
        self.progress.close()
        return statistics

    def _without_hole(self) -> Iterator[Joined]:
        """Parts up to the first that is not whole; of that one what there is."""
        for part in self.plan.parts:
            if self._is_done(part):
                yield Joined.read(self._place(part))
                continue
            some = self.folder / f"{part.number:06d}-some"
            if some.is_dir():
                yield Joined.read(some)
            return

    def _place(self, part: Part) -> Path:
        return self.folder / f"{part.number:06d}"

    def _is_done(self, part: Part) -> bool:
        return self._place(part).is_dir()

    def _statistics(self, joined: list[Joined], wall_seconds: float, *, workers: int, is_whole: bool) -> dict[str, Any]:
        """Those of one run, summed up over its parts."""
        stats = StreamStats()
        for part in joined:
            stats.merge(part.account["stats"])
        each = [part.account["statistics"] for part in joined]
        sizes: list[list[int]] = []
        for size in (size for one in each for size in one["sizes_hw"]):
            if not sizes or sizes[-1] != size:
                sizes.append(size)
        peaks = [one["peak_memory_mib"] for one in each if one["peak_memory_mib"] is not None]
        cpu_seconds = sum(part.account["cpu_seconds"] for part in joined)
        report = stats.report(wall_seconds)
        return {
            **each[0],
            "interrupted": not is_whole,
            "resumed_after": self.kept_frames,
            "decode_errors": sum(one["decode_errors"] for one in each),
            "corrupt_frames": sum(one["corrupt_frames"] for one in each),
            "time_jumps": [],
            "sizes_hw": sizes,
            "peak_memory_mib": max(peaks, default=None),
            "cpu_ms_per_frame": round(1e3 * cpu_seconds / max(1, stats.frames), 3),
            **report,
            "fps": round(max(0, stats.frames - self.kept_frames) / wall_seconds, 3),
            "parts": len(joined),
            "workers": workers,
        }


def _part(entry: dict[str, Any]) -> Part:
    lead = entry["lead"]
    return Part(**{**entry, "lead": None if lead is None else StartPoint(**lead)})

"""`Progress`: the notes beside a run's outputs from which `--resume` continues."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...codec import Frame
from ..errors import StreamUsageError

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True)
class Point:
    """A frame from which a run can be continued: how many frames were written before it, and its timestamp."""

    written: int
    pts: int | None
    time_base: Fraction


class Progress:
    """JSON lines in a hidden file that exists while a run is unfinished: what was asked for, then every keyframe.

    A line is written before the outputs of its keyframe. While a run has the file open it is locked (not on Windows);
    StreamUsageError if another run holds the lock. `is_published` says that an interrupted run has already given its
    outputs their final names.
    """

    def __init__(self, file: Path, asked: Mapping[str, Any]) -> None:
        self.file, self.asked = file, dict(asked)
        try:
            self._file = file.open("a+", encoding="utf-8")
        except OSError as error:
            raise StreamUsageError(
                f"'{file}' cannot be written: {error.strerror}; choose another place with -o"
            ) from error
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._file.close()
                raise StreamUsageError(
                    f"'{file}' is in use: another segment-stream writes these outputs; wait, or choose another -o"
                ) from error
        self._file.seek(0)
        self.before: dict[str, Any] | None = None
        self.points: list[Point] = []
        self.is_published = False
        for line in self._file.read().splitlines():
            self._read(line)

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # cut off by a crash
        if "asked" in entry:
            self.before = entry["asked"]
        elif "published" in entry:
            self.is_published = True
        else:
            self.points.append(Point(entry["written"], entry["pts"], Fraction(entry["time_base"])))

    def check(self) -> None:
        """Close the notes and raise StreamUsageError if the interrupted run had other options."""
        before = self.before or {}
        for name, value in self.asked.items():
            if before.get(name) != value:
                self.close()
                raise StreamUsageError(
                    f"--resume: {name} was {before.get(name)!r} and is {value!r}; give the same options again, or -y "
                    "to start over"
                )

    def last_point(self, written: int) -> Point | None:
        """The last keyframe among the first `written` frames; None if everything must be done again."""
        return max((p for p in self.points if 0 < p.written <= written), key=lambda p: p.written, default=None)

    @property
    def origin(self) -> Point | None:
        """The first frame of all."""
        return next((point for point in self.points if point.written == 0), None)

    def begin(self, point: Point | None) -> None:
        """Start new notes, or continue those up to `point`."""
        points = [] if point is None else [p for p in self.points if p.written < point.written]
        self._file.truncate(0)
        self._add({"asked": self.asked})
        if point is not None and self.is_published:
            self._add({"published": True})
        for earlier in points:
            self._note(earlier)

    def note(self, frame: Frame, written: int) -> None:
        """Note the frame that is written next, if it is a keyframe or the first of all."""
        if frame.is_keyframe or not written:
            self._note(Point(written, frame.pts, frame.time_base))

    def _note(self, point: Point) -> None:
        self._add({"written": point.written, "pts": point.pts, "time_base": str(point.time_base)})

    def published(self) -> None:
        """Note that an interrupted run has given its outputs their final names."""
        self._add({"published": True})

    def _add(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Keep the notes for the run that continues."""
        with suppress(OSError):  # a full disk: a line that is cut off counts for nothing
            self._file.close()

    def remove(self) -> None:
        """The run is finished, or left nothing."""
        self.file.unlink(missing_ok=True)
        self.close()

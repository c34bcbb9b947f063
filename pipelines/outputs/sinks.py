"""Output files and folders that appear under their final names only when they are whole."""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from ...codec import Frame
from ...errors import GopsegError
from ...files import abandoned_parts, discard, part_of, publish_together
from ..errors import OutputError, StreamUsageError
from ..prediction import Prediction
from .overlay import Painter
from .png import png_of
from .progress import Point, Progress
from .reserve import Reserve
from .rle import encode_labels


class Output(ABC):
    """Something written beside `target`, as `part`, which is renamed to it once `finish` has made it whole."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = part_of(target)
        self.written = 0
        self.reserve: Reserve | None = None
        """Room for what `save` has to write."""

    def leftovers(self) -> list[Path]:
        """Parts of earlier runs that were killed, the newest last; never of one that goes on. Whoever asks holds the
        lock on the run's notes (`Progress`), and runs without notes, of live sources, are told by their process."""
        return [path for path in abandoned_parts(self.target, is_alone=True) if path != self.part]

    def recover(self, is_published: bool) -> int:  # noqa: ARG002
        """How many whole frames an earlier run left, in a part or (`is_published`) in the target; what `start` keeps
        of them is as if this run had written it."""
        return 0

    @abstractmethod
    def start(self, keep: int = 0, origin: Point | None = None) -> None:
        """Create the part, with the first `keep` frames of those that `recover` found; `origin` is the first of all.
        OSError where that cannot be done."""

    @abstractmethod
    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Add one frame; `prediction` is that frame's."""

    @abstractmethod
    def finish(self) -> None:
        """Complete the part."""

    def save(self) -> int:
        """Complete the part after `write` or `finish` failed, with the frames that are whole, and tell their number."""
        self.finish()
        return self.written

    def release(self) -> None:  # noqa: B027 - most have nothing open
        """Let the part go as it is, for a later run to recover."""

    def discard(self) -> None:
        """Remove the part, whatever state it is in."""
        self.release()
        discard(self.part)


class ImageFolder(Output):
    """A folder of PNG files 000000.png, 000001.png, ..., one a frame."""

    @abstractmethod
    def encode(self, labels: NDArray[np.uint8]) -> bytes:
        """The file to save for (H, W) uint8 labels."""

    def recover(self, is_published: bool) -> int:
        """Pictures numbered without a hole; the last one of a killed run may be torn, so it does not count."""
        folders = self.leftovers()
        self._old = folders[-1] if folders else self.target
        if not folders and not (is_published and self.target.is_dir()):
            return 0
        names = {path.name for path in self._old.iterdir()}
        count = next(i for i in itertools.count() if f"{i:06d}.png" not in names)
        return max(0, count - 1) if folders else count

    def start(self, keep: int = 0, origin: Point | None = None) -> None:  # noqa: ARG002
        """Create the folder, or take over the one that was left."""
        self.written = keep
        if not keep:
            self.part.mkdir()
            return
        self._old.rename(self.part)
        for path in self.part.iterdir():
            if path.stem >= f"{keep:06d}":
                path.unlink()

    def write(self, frame: Frame, prediction: Prediction) -> None:  # noqa: ARG002
        """Save the frame's picture."""
        path = self.part / f"{self.written:06d}.png"
        try:
            path.write_bytes(self.encode(prediction.labels))
        except BaseException:
            discard(path)  # which may be there in part
            raise
        self.written += 1

    def finish(self) -> None:
        """Nothing is left to complete."""


class LabelImages(ImageFolder):
    """8-bit pictures: the value of a pixel is its class, shown in the colours (n, 3) uint8 RGB, or None: in grey."""

    def __init__(self, target: Path, colours: NDArray[np.uint8] | None) -> None:
        super().__init__(target)
        self._table: NDArray[np.uint8] | None = None
        if colours is not None:
            self._table = np.zeros((256, 3), np.uint8)
            self._table[: len(colours)] = colours

    def encode(self, labels: NDArray[np.uint8]) -> bytes:
        """The labels as they are, with the palette if there is one."""
        return png_of(labels, self._table)


class ColourImages(ImageFolder):
    """RGB pictures: each class in its colour."""

    def __init__(self, target: Path, painter: Painter) -> None:
        super().__init__(target)
        self._painter = painter

    def encode(self, labels: NDArray[np.uint8]) -> bytes:
        """The labels in colour."""
        return png_of(self._painter.colour(labels))


class RunLengths(Output):
    """One JSON line a frame: its number, time, size, and the COCO run-length encoding of each class that it shows."""

    def __init__(self, target: Path, classes: Sequence[str]) -> None:
        super().__init__(target)
        self._classes = classes

    def recover(self, is_published: bool) -> int:
        """Whole lines."""
        files = self.leftovers() + ([self.target] if is_published and self.target.is_file() else [])
        self._old = max(files, key=_whole_lines, default=None)
        return 0 if self._old is None else _whole_lines(self._old)

    def start(self, keep: int = 0, origin: Point | None = None) -> None:  # noqa: ARG002
        """Create the file, with the first lines of the one that was left."""
        self._file = self.part.open("wb", buffering=0)
        self.written = keep
        if keep and self._old is not None:
            with self._old.open("rb") as file:
                for line in itertools.islice(file, keep):
                    self._add(line)

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Write the frame's line."""
        size = list(prediction.labels.shape)
        segments = [
            {
                "category_id": value,
                "category": self._classes[value] if value < len(self._classes) else None,
                "segmentation": {"size": size, "counts": counts},
            }
            for value, counts in encode_labels(prediction.labels)
        ]
        line = {
            "frame": self.written,
            "source_frame": frame.index,
            "pts_seconds": frame.pts_seconds,
            "size": size,
            "segments": segments,
        }
        self._add(f"{json.dumps(line, separators=(',', ':'))}\n".encode())
        self.written += 1

    def _add(self, line: bytes) -> None:
        """Write a line, or nothing of it."""
        begin, rest = self._file.tell(), line
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(begin)
            raise

    def finish(self) -> None:
        """Close the file."""
        self._file.close()

    def release(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            with suppress(OSError):  # a full disk: what was to be written yet is lost, and does not matter
                self._file.close()


def _whole_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


class OutputSet:
    """Several outputs that come and go together, with notes of their `progress` where the source can be read again.

    Without `replace`, what another run has put in a target's place meanwhile is left alone.
    """

    def __init__(self, outputs: Sequence[Output], progress: Progress | None = None, *, replace: bool = True) -> None:
        self.outputs, self.progress, self.replace = outputs, progress, replace
        self.kept = 0
        self._reserve: Reserve | None = None

    def start(self, *, resume: bool = False) -> None:
        """Create every part; StreamUsageError, and nothing left behind, where one cannot be written.

        With `resume`, what an earlier run left is taken over up to the last keyframe that all outputs reach: `kept`
        frames, none if an output has to be made anew.
        """
        progress, point = self.progress, None
        if progress is not None and resume:
            written = min((output.recover(progress.is_published) for output in self.outputs), default=0)
            point = progress.last_point(written)
        self.kept = 0 if point is None else point.written
        target = progress.file if progress is not None else None
        try:
            for output in self.outputs:
                target = output.target
                self._reserve = output.reserve = self._reserve or Reserve(target.parent)
                output.start(self.kept, None if point is None or progress is None else progress.origin)
            if progress is not None:
                target = progress.file
                progress.begin(point)
        except OSError as error:
            way_out = "make room, and --resume goes on" if self.kept else "choose another place with -o"
            self.save()
            raise StreamUsageError(f"'{target}' cannot be written: {error.strerror or error}; {way_out}") from error
        if progress is not None:
            for path in (path for output in self.outputs for path in output.leftovers()):
                discard(path)

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Write one frame to each; OutputError where a disk fails."""
        if self.progress is not None and self.outputs:
            with _disk_errors(self.progress.file):
                self.progress.note(frame, self.outputs[0].written)
        for output in self.outputs:
            with _disk_errors(output.target):
                output.write(frame, prediction)

    def publish(self, *, is_whole: bool = True) -> None:
        """Finish all, then rename all; without `is_whole` a later run may go on from there. OutputError where a disk
        fails, and TargetExistsError where a target is there that is not to be replaced; none is renamed then."""
        for output in self.outputs:
            with _disk_errors(output.target):
                output.finish()
        self._release()
        self._put_in_place(self.outputs)
        if self.progress is not None and is_whole:
            self.progress.remove()
        elif self.progress is not None:
            with _disk_errors(self.progress.file):
                self.progress.published()
            self.progress.close()

    def save(self) -> bool:
        """After `write` or `publish` failed, put in place what there is, with notes for a later run to go on from;
        whether that could be done. Nothing is left behind where there are no frames."""
        self._release()
        frames = [_saved(output) for output in self.outputs]
        if not (self.kept or min(frames, default=0)):
            self.discard()
            return False
        there = [output for output, count in zip(self.outputs, frames, strict=True) if count >= max(1, self.kept)]
        for output in self.outputs:
            if output not in there:  # what it was to replace has more of them
                output.discard()
        try:
            self._put_in_place(there)
            if self.progress is not None:
                self.progress.published()
        except (OSError, OutputError):  # still no room for a word, or another run's outputs there
            return False
        finally:
            if self.progress is not None:
                self.progress.close()
        return True

    def _put_in_place(self, outputs: Sequence[Output]) -> None:
        if outputs:
            with _disk_errors(outputs[0].target):
                publish_together([(output.part, output.target) for output in outputs], replace=self.replace)

    def _release(self) -> None:
        if self._reserve is not None:
            self._reserve.release()

    def discard(self) -> None:
        """Remove every part; those that hold frames of an earlier run are left for a later one."""
        self._release()
        for output in self.outputs:
            output.release() if self.kept else output.discard()
        if self.progress is not None:
            self.progress.close() if self.kept else self.progress.remove()


def _saved(output: Output) -> int:
    """How many frames of it are whole and completed; 0 where that fails, as what has failed before may do again."""
    try:
        return output.save()
    except Exception:
        return 0


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """The disk's errors as OutputError about `target`; errors of ours pass."""
    try:
        yield
    except GopsegError:
        raise
    except (OSError, av.FFmpegError) as error:
        raise OutputError(f"'{target}' cannot be written: {error.strerror or error}") from error

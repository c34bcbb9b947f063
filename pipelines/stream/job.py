"""One run of `segment-stream`: a source through a pipeline into outputs, on three threads."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import av

from ...codec import CodecError, Frame, FrameSource, SourceError
from ..errors import StreamError, StreamUsageError
from ..modes import Pipeline
from ..outputs import OutputSet
from ..prediction import Prediction
from .live_queue import LatestAhead
from .stats import StreamStats
from .workers import ReadAhead, WriteBehind

Live = Literal["latest", "all"]
READ_AHEAD = 8
WRITE_BEHIND = 8


@dataclass(frozen=True)
class Outcome:
    """How a run ended: seconds it took, by the clock and of all cores together, whether it was interrupted, and what
    broke the source off, if anything did."""

    wall_seconds: float
    cpu_seconds: float = 0.0
    interrupted: bool = False
    broken: Exception | None = None


def run_job(
    frames: Iterable[tuple[Frame, bool]],
    source: FrameSource,
    pipeline: Pipeline,
    outputs: OutputSet,
    stats: StreamStats,
    *,
    live: Live = "all",
    together: bool = True,
    on_frame: Callable[[], None] = lambda: None,
) -> Outcome:
    """Read, segment and write side by side, until `frames` end; then publish the outputs.

    `frames` come with whether their labels are wanted (see `sources.within`); they are read in a thread of their own,
    and written in another, with bounded queues between. Where the source breaks off or Ctrl-C is pressed, what was done
    is finished and published. Raises StreamUsageError if no frame is wanted and StreamError where an output cannot be
    written; nothing is published then. `together` lets a mode wait for more frames to look at several at once.
    """
    begin, cpu_begin = time.perf_counter(), time.process_time()
    interrupted, broken = False, None
    writer: WriteBehind[tuple[Frame, Prediction]] = WriteBehind(lambda item: outputs.write(*item), WRITE_BEHIND)
    reader = _reader(frames, stats, live)
    try:
        try:
            with reader:
                for frame, prediction in _segmented(
                    _wanted(reader, pipeline, stats, live), pipeline, together=together
                ):
                    writer.put((frame, prediction))
                    stats.count(prediction)
                    on_frame()
        except KeyboardInterrupt:
            interrupted = True
        except SourceError as error:
            if not stats.frames:
                raise
            broken = error
        if not stats.frames and not interrupted:
            raise StreamUsageError(f"{source.name}: has no frame between --start and --end; choose other times")
        with _without_interrupts():
            writer.close()
            if stats.frames:
                outputs.publish(is_whole=not interrupted)
            else:
                outputs.discard()
    except BaseException as error:
        writer.abandon()
        outputs.discard()
        if isinstance(error, OSError | av.FFmpegError) and not isinstance(error, CodecError):
            raise StreamError(
                f"'{outputs.outputs[0].target}' cannot be written: {error.strerror or error}; "
                "make room or choose another place with -o"
            ) from error
        raise
    finally:
        if isinstance(reader, LatestAhead):
            stats.dropped_frames += reader.lost_frames
        if reader.is_stopped:
            source.close()
    return Outcome(time.perf_counter() - begin, time.process_time() - cpu_begin, interrupted, broken)


def _reader(frames: Iterable[tuple[Frame, bool]], stats: StreamStats, live: Live) -> ReadAhead[tuple[Frame, bool]]:
    def on_read(milliseconds: float) -> None:
        stats.add("read", milliseconds)

    return ReadAhead(frames, READ_AHEAD, on_read) if live == "all" else LatestAhead(frames, on_read=on_read)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C does nothing for the moment that finishing the outputs takes (in the main thread; no effect elsewhere)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _segmented(frames: Iterable[Frame], pipeline: Pipeline, *, together: bool) -> Iterator[tuple[Frame, Prediction]]:
    """Frames with their labels: each at once, or several `together` where the mode gains by it."""
    if not together:
        for frame in frames:
            yield frame, pipeline.step(frame)
        return
    waiting: deque[Frame] = deque()
    for frame in frames:
        waiting.append(frame)
        for prediction in pipeline.push(frame):
            yield waiting.popleft(), prediction
    for prediction in pipeline.flush():
        yield waiting.popleft(), prediction


def _wanted(
    reader: ReadAhead[tuple[Frame, bool]], pipeline: Pipeline, stats: StreamStats, live: Live
) -> Iterator[Frame]:
    """The frames to segment; the others are shown to the pipeline in passing."""
    if live == "all":
        for frame, wanted in reader:
            if wanted:
                yield frame
            else:
                pipeline.skip(frame)
        return
    for (frame, wanted), passed in reader.latest():
        for older, was_wanted in passed:
            pipeline.skip(older)
            stats.dropped_frames += was_wanted
        if wanted:
            yield frame
        else:
            pipeline.skip(frame)

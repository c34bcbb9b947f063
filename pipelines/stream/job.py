"""One run of `segment-stream`: a session's predictions into outputs, on three threads."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import av

from ...codec import CodecError, InvalidDataError, SourceError
from ..errors import StreamError, StreamUsageError
from ..outputs import OutputSet
from ..prediction import Prediction
from .session import Session
from .workers import WriteBehind

WRITE_BEHIND = 8


@dataclass(frozen=True)
class Outcome:
    """How a run ended: seconds it took, by the clock and of all cores together, whether it was interrupted, and what
    broke the source off, if anything did."""

    wall_seconds: float
    cpu_seconds: float = 0.0
    interrupted: bool = False
    broken: Exception | None = None


def run_job(session: Session, outputs: OutputSet, *, on_frame: Callable[[], object] = lambda: None) -> Outcome:
    """Read, segment and write side by side, until the frames end; then publish the outputs.

    Frames are read in a thread of their own, and written in another, with bounded queues between. Where the source
    breaks off, as at a damaged picture of a folder, or Ctrl-C is pressed, what was done is published, and `--resume`
    can go on from there. Raises StreamUsageError if no frame is wanted and StreamError where an output cannot
    be written; nothing is published then.
    """
    begin, cpu_begin = time.perf_counter(), time.process_time()
    interrupted, broken = False, None
    stats = session.stats
    writer: WriteBehind[Prediction] = WriteBehind(lambda item: outputs.write(item.frame, item), WRITE_BEHIND)
    try:
        try:
            with closing(session.predictions(outputs.kept)) as predictions:
                for prediction in predictions:
                    writer.put(prediction)
                    on_frame()
        except KeyboardInterrupt:
            interrupted = True
        except (SourceError, InvalidDataError) as error:
            if not stats.frames:
                raise
            broken = error
        if not stats.frames and not interrupted:
            raise StreamUsageError(f"{session.source.name}: has no frame between --start and --end; choose other times")
        with _without_interrupts():
            writer.close()
            if stats.frames:
                outputs.publish(is_whole=not interrupted and broken is None)
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
    return Outcome(time.perf_counter() - begin, time.process_time() - cpu_begin, interrupted, broken)


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

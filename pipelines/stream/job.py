"""One run of `segment-stream`: a session's predictions into outputs, on three threads."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from ...files import TargetExistsError
from ..errors import OutputError, StreamError, StreamUsageError
from ..outputs import OutputSet
from ..prediction import Prediction
from .session import Session
from .workers import WriteBehind

WRITE_BEHIND = 8


@dataclass(frozen=True)
class Outcome:
    """How a run ended: seconds it took, by the clock and of all cores together, whether it was interrupted, and what
    broke it off, if anything did: an error of the source, of an output, or any other."""

    wall_seconds: float
    cpu_seconds: float = 0.0
    interrupted: bool = False
    broken: Exception | None = None


def run_job(session: Session, outputs: OutputSet, *, on_frame: Callable[[], object] = lambda: None) -> Outcome:
    """Read, segment and write side by side, until the frames end; then publish the outputs.

    Frames are read in a thread of their own, and written in another, with bounded queues between. Whatever breaks it
    off (a damaged picture of a folder, Ctrl-C, a full disk, a fault of ours), what was done is published, and
    `--resume` can go on from there. Raises StreamUsageError if no frame is wanted, TargetExistsError where another run
    made the outputs meanwhile, and what broke it off before any frame was written; nothing is published then.
    """
    begin, cpu_begin = time.perf_counter(), time.process_time()
    interrupted = False
    broken: Exception | None = None
    stats = session.stats

    def write(item: Prediction) -> None:
        write_begin = time.perf_counter()
        outputs.write(item.frame, item)
        stats.add("write", (time.perf_counter() - write_begin) * 1e3)

    writer: WriteBehind[Prediction] = WriteBehind(write, WRITE_BEHIND)
    try:
        try:
            with closing(session.predictions(outputs.kept)) as predictions:
                for prediction in predictions:
                    writer.put(prediction)
                    on_frame()
        except KeyboardInterrupt:
            interrupted = True
        except Exception as error:
            broken = error
        if not stats.frames and not interrupted and broken is None:
            raise StreamUsageError(f"{session.source.name}: has no frame between --start and --end; choose other times")
        with _without_interrupts():
            try:
                writer.close()
                if stats.frames:
                    outputs.publish(is_whole=not interrupted and broken is None)
                    is_kept = True
                else:
                    is_kept = outputs.save()
            except TargetExistsError:
                raise
            except Exception as error:
                broken = broken or error
                is_kept = outputs.save()
            if broken is not None and not is_kept:
                raise broken
    except BaseException as error:
        writer.abandon()
        outputs.discard()
        if isinstance(error, OutputError):
            raise StreamError(f"{error}; make room or choose another place with -o") from error
        raise
    return Outcome(time.perf_counter() - begin, time.process_time() - cpu_begin, interrupted, broken)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C and SIGTERM do nothing for the moment that finishing the outputs takes (in the main thread; no effect
    elsewhere)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Reading ahead and writing behind: worker threads with bounded queues, whose exceptions reach the main thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.1
_JOIN_SECONDS = 3.0


class End:
    """Marks the end of a queue; carries the exception that ended it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class ReadAhead(Generic[T]):
    """Iterates `source` in a thread, at most `depth` items ahead of whoever iterates this.

    An exception of `source` is raised to the consumer after the items before it. `on_read` is called in the reader's
    thread with the milliseconds each item took. Use as a context manager; leaving it stops the thread, and
    `is_stopped` tells whether it went (a read that blocks cannot be broken off).
    """

    def __init__(self, source: Iterable[T], depth: int = 8, on_read: Callable[[float], None] | None = None) -> None:
        if depth < 1:
            raise ValueError(f"depth={depth} leaves no room in the queue; give 1 or more")
        self._source = source
        self._queue: queue.Queue[T | End] = queue.Queue(depth)
        self._on_read = on_read
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reader", daemon=True)

    def __enter__(self) -> ReadAhead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def interrupt(self) -> None:
        """Have the consumer, which is in another thread, get KeyboardInterrupt after the items that are there."""
        with suppress(queue.Full):  # then nobody waits
            self._queue.put_nowait(End(KeyboardInterrupt()))

    @property
    def is_stopped(self) -> bool:
        """Whether the reader's thread has ended, so that the source may be closed."""
        return not self._thread.is_alive()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def latest(self) -> Iterator[tuple[T, list[T]]]:
        """The newest item that is there, each time with the list of older ones passed over since the last."""
        ended = False
        while not ended:
            items = [self._queue.get()]
            while not self._queue.empty() and not isinstance(items[-1], End):
                items.append(self._queue.get())
            end = items.pop() if isinstance(items[-1], End) else None
            if items:
                yield items[-1], items[:-1]  # type: ignore[misc]
            if isinstance(end, End):
                if end.error is not None:
                    raise end.error
                ended = True

    def _work(self) -> None:
        try:
            items = iter(self._source)
            while not self._stop.is_set():
                begin = time.perf_counter()
                try:
                    item = next(items)
                except StopIteration:
                    break
                if self._on_read is not None:
                    self._on_read((time.perf_counter() - begin) * 1e3)
                self._put(item)
            self._put(End())
        except BaseException as error:
            self._put(End(error))

    def _put(self, item: T | End) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
        return None


class WriteBehind(Generic[T]):
    """Calls `write(item)` in a thread for every item put, at most `depth` items behind.

    After a failure nothing more is written, and the exception is raised by the next `put` or by `close`.
    """

    def __init__(self, write: Callable[[T], None], depth: int = 8) -> None:
        if depth < 1:
            raise ValueError(f"depth={depth} leaves no room in the queue; give 1 or more")
        self._write = write
        self._queue: queue.Queue[T | End] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over the next item, waiting while the queue is full; raises the writer's exception if it failed."""
        while True:
            self._raise()
            try:
                return self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue

    def close(self) -> None:
        """Wait until everything is written and end the thread; raises the writer's exception if it failed."""
        if self._thread.is_alive():
            self._queue.put(End())
            self._thread.join()
        self._raise()

    def abandon(self) -> None:
        """Drop what is not written yet and wait for the write under way to end."""
        self._error = self._error or RuntimeError("the writer was abandoned")
        if self._thread.is_alive():
            self._queue.put(End())
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, End):
                return
            if self._error is None:
                try:
                    self._write(item)
                except BaseException as error:
                    self._error = error

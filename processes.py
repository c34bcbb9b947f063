"""Many tasks in several processes of this machine: each task is done once, whatever becomes of the processes.

A process that is killed costs the task that it had in hand, which another one begins anew; those that are done stay
done. A task talks to the parent while it runs: it sends messages, and is told when to stop.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, Protocol, TypeVar

from .errors import GopsegError

T = TypeVar("T")
RETRIES = 2
"""How often a task is begun again whose process was killed."""
_GRACE_SECONDS = 30.0
_STOP = "stop"
_MESSAGE, _VALUE, _ERROR = "message", "value", "error"
_share: int | None = None


class Talk(Protocol):
    """What a task says while it runs, and hears."""

    def send(self, message: object) -> None:
        """Say something to whoever gave the task."""

    def check(self) -> None:
        """KeyboardInterrupt where the task is to stop."""


Work = Callable[[Any, Talk], Any]
"""Does a task; a function of a module, so that another process can find it."""


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How a task ended, after how many attempts: with a value, or with an error."""

    task: T
    value: Any = None
    error: BaseException | None = None
    attempts: int = 1


class LostError(GopsegError):
    """The process that had a task was killed, each time it was begun."""


class UntravelledError(RuntimeError):
    """An error of no kind of ours that cannot be sent from one process to another, told by one that can."""


class Queue(Generic[T]):
    """The tasks that wait, in order, with the number of the attempt that is next; `drop` takes out some."""

    def __init__(self, tasks: Iterable[T]) -> None:
        self._waiting = deque((task, 1) for task in tasks)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> tuple[T, int]:
        """The next task."""
        return self._waiting.popleft()

    def again(self, task: T, attempt: int) -> bool:
        """Put a task first again whose worker was lost in an attempt; False where it had enough of them."""
        if attempt > RETRIES:
            return False
        self._waiting.appendleft((task, attempt + 1))
        return True

    def drop(self, unwanted: Callable[[T], bool]) -> None:
        """Forget tasks that need not be done any more."""
        self._waiting = deque(each for each in self._waiting if not unwanted(each[0]))


def lost(task: T, attempts: int) -> Ended[T]:
    """The end of a task whose worker was lost too often."""
    text = f"its worker was killed {attempts} times (out of memory?); give fewer --jobs"
    return Ended(task, error=LostError(text), attempts=attempts)


def run_here(
    tasks: Queue[T], work: Work, on_message: Callable[[T, Any], None], on_end: Callable[[Ended[T]], None]
) -> None:
    """Do the tasks one after the other in this process; Ctrl-C comes to the task itself."""
    while tasks:
        task, attempt = tasks.take()
        try:
            value = work(task, _Here(task, on_message))
        except Exception as error:  # of one task, faults of ours included: the others go on
            on_end(Ended(task, error=error, attempts=attempt))
        else:
            on_end(Ended(task, value, attempts=attempt))


@dataclass
class _Here(Generic[T]):
    task: T
    on_message: Callable[[T, Any], None]

    def send(self, message: object) -> None:
        self.on_message(self.task, message)

    def check(self) -> None:
        pass


def run_in_processes(
    tasks: Queue[T],
    work: Work,
    count: int,
    on_message: Callable[[T, Any], None],
    on_end: Callable[[Ended[T]], None],
) -> None:
    """Do the tasks in `count` processes, each with its share of the cores for NumPy's and torch's threads.

    `on_message` gets what tasks send, `on_end` each task as it ends. On KeyboardInterrupt the tasks that run are told
    to stop, `on_end` gets what they made of it, and it is raised again; at a second one the processes are ended.
    """
    crew = _Crew(tasks, work, count, on_message, on_end)
    try:
        crew.run()
    except KeyboardInterrupt:
        crew.stop()
        raise
    finally:
        crew.end()


class _Worker(Generic[T]):
    """One process, and the task that it has in hand."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.task: tuple[T, int] | None = None

    def give(self, work: Work, task: T, attempt: int) -> bool:
        self.task = task, attempt
        try:
            self.connection.send((work, task))
        except OSError:
            return False
        return True


class _Crew(Generic[T]):
    """The processes and what they do."""

    def __init__(
        self,
        tasks: Queue[T],
        work: Work,
        count: int,
        on_message: Callable[[T, Any], None],
        on_end: Callable[[Ended[T]], None],
    ) -> None:
        self._tasks, self._work, self._count = tasks, work, count
        self._on_message, self._on_end = on_message, on_end
        self._threads = max(1, cores() // count)
        self._workers: list[_Worker[T]] = []

    def run(self) -> None:
        while self._tasks or self._busy:
            self._hand_out()
            self._listen()

    def stop(self) -> None:
        """Have the tasks in hand stop, and hear them out."""
        self._tasks.drop(lambda _: True)
        for worker in self._busy:
            try:
                worker.connection.send(_STOP)
            except OSError:
                continue
        while self._busy:
            self._listen(_GRACE_SECONDS)

    def end(self) -> None:
        for worker in self._workers:
            worker.connection.close()
            if worker.task is not None:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_GRACE_SECONDS)

    @property
    def _busy(self) -> list[_Worker[T]]:
        return [worker for worker in self._workers if worker.task is not None]

    def _hand_out(self) -> None:
        while self._tasks and len(self._busy) < self._count:
            idle = next((worker for worker in self._workers if worker.task is None), None)
            if idle is None:
                idle = _Worker(self._threads)
                self._workers.append(idle)
            task, attempt = self._tasks.take()
            if not idle.give(self._work, task, attempt):
                self._lose(idle)

    def _listen(self, timeout: float | None = None) -> None:
        by_connection = {worker.connection: worker for worker in self._busy}
        ready = wait(list(by_connection), timeout)
        if not ready:
            raise KeyboardInterrupt  # nobody answered: they are ended
        for connection in ready:
            worker = by_connection[connection]  # type: ignore[index]
            try:
                kind, content = worker.connection.recv()
            except (EOFError, OSError):
                self._lose(worker)
                continue
            assert worker.task is not None
            task, attempt = worker.task
            if kind == _MESSAGE:
                self._on_message(task, content)
                continue
            worker.task = None
            ended = Ended(task, content) if kind == _VALUE else Ended(task, error=content)
            self._on_end(Ended(task, ended.value, ended.error, attempt))

    def _lose(self, worker: _Worker[T]) -> None:
        """A process was killed: its task is begun again."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join(_GRACE_SECONDS)
        assert worker.task is not None
        task, attempt = worker.task
        if not self._tasks.again(task, attempt):
            self._on_end(lost(task, attempt))


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared_cores() -> int | None:
    """The cores that are this process's where others work beside it; None where it has all to itself."""
    return _share


def limit_threads(count: int) -> None:
    """Have this process keep to so many of the cores, as others work beside it: `shared_cores`, and numerical libraries
    that are loaded from now on use so many threads, unless the user's settings say else."""
    global _share
    _share = count
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(count))


def travelling(error: BaseException) -> BaseException:
    """The error, or one that says the same where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its own methods raise
        return UntravelledError(f"{type(error).__name__}: {error}")
    return error


class _There:
    """A task's end of the pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, message: object) -> None:
        self._connection.send((_MESSAGE, message))

    def check(self) -> None:
        if self._connection.poll():
            raise KeyboardInterrupt  # told to stop, or the parent is gone


def _serve(connection: Connection, threads: int) -> None:
    """What a process does: tasks until the parent closes the pipe. Ctrl-C is the parent's, who says so in its turn."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_threads(threads)
    while True:
        try:
            received = connection.recv()
            if received == _STOP:  # came when the task had ended by itself
                continue
            work, task = received
            try:
                answer = _VALUE, work(task, _There(connection))
            except BaseException as error:
                answer = _ERROR, travelling(error)
            connection.send(answer)
        except (EOFError, OSError):
            return

"""Many tasks on a Ray cluster, as `processes` does them on this machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import GopsegError, InputError
from .processes import Ended, Queue, Work, limit_threads, lost, travelling

T = TypeVar("T")
_GRACE_SECONDS = 10.0
_ANSWER_SECONDS = 5.0


class ClusterError(InputError):
    """Ray, or the cluster that was named, is not there."""


def import_ray() -> Any:
    """Ray; ClusterError where it is not installed."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ClusterError(
            "--ray: the package ray is missing; pip install 'gopseg[ray]', or take --jobs on this machine"
        ) from error
    return ray


@contextmanager
def connected(ray: Any, address: str, at_once: int | None) -> Iterator[None]:
    """A connection to the cluster at `address`: `local` (of this machine's processes, `at_once` of them, for as long as
    the connection), `auto` (the one that this machine belongs to), `HOST:PORT`, or `ray://HOST:PORT`."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    _check_that_it_answers(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    if address == "local":
        options |= {"num_cpus": at_once or os.cpu_count() or 1, "include_dashboard": False}
    try:
        ray.init(address=address, **options)
    except Exception as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClusterError(f"--ray {address}: no cluster there ({cause}); start one with `ray start --head`") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_that_it_answers(address: str) -> None:
    """ClusterError where nobody listens at HOST:PORT or ray://HOST:PORT, for which Ray itself waits a quarter of an
    hour."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("local", "auto") or "/" in host:  # the last: another scheme, which Ray may know
        return
    if not (host and colon and port.isdecimal()):
        raise ClusterError(f"--ray '{address}': is no address; give auto, local, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        cause = getattr(error, "strerror", None) or error
        raise ClusterError(
            f"--ray {address}: nobody answers there ({cause}); start a cluster with `ray start --head`, or take --jobs "
            "on this machine"
        ) from error


def run_on_ray(
    tasks: Queue[T],
    work: Work,
    address: str,
    count: int | None,
    on_message: Callable[[T, Any], None],
    on_end: Callable[[Ended[T]], None],
) -> None:
    """Do the tasks on a cluster, in `count` workers (None: one a GPU, or a core, of the cluster) that live until all is
    done, so that what one has loaded serves its next task.

    All machines must see files under the same paths as this one. A task whose worker dies is begun again in another.
    `on_message` gets what a task sent when it ends, `on_end` each task as it ends. On KeyboardInterrupt the tasks that
    run are told to stop, `on_end` gets what they made of it, and it is raised again. ClusterError where Ray or the
    cluster is not there.
    """
    ray = import_ray()
    with connected(ray, address, count):
        crew = _Crew(ray, tasks, work, count, on_message, on_end)
        try:
            crew.run()
        except KeyboardInterrupt:
            crew.stop()
            raise


class _Crew(Generic[T]):
    """The workers of a cluster, and what they do."""

    def __init__(
        self,
        ray: Any,
        tasks: Queue[T],
        work: Work,
        count: int | None,
        on_message: Callable[[T, Any], None],
        on_end: Callable[[Ended[T]], None],
    ) -> None:
        self._ray, self._tasks, self._work = ray, tasks, work
        self._on_message, self._on_end = on_message, on_end
        there = ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), max(1, int(there.get("CPU", 1)))
        self._count = count or gpus or cpus
        self._threads = max(1, cpus // self._count)
        environment = {"env_vars": {"OMP_NUM_THREADS": str(self._threads)}} if self._threads > 1 else None
        self._actor = ray.remote(_Actor).options(
            num_cpus=min(1.0, cpus / self._count),
            num_gpus=min(1.0, gpus / self._count),
            max_concurrency=2,  # one does the task, the other hears of its end
            runtime_env=environment,
        )
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, T, int]] = {}

    def run(self) -> None:
        while self._tasks or self._busy:
            while self._tasks and len(self._busy) < self._count:
                task, attempt = self._tasks.take()
                actor = self._idle.pop() if self._idle else self._actor.remote(str(Path.cwd()), self._threads)
                self._busy[actor.do.remote(self._work, task)] = actor, task, attempt
            ready, _ = self._ray.wait(list(self._busy), num_returns=1)
            self._take_in(ready[0])

    def stop(self) -> None:
        """Have the tasks in hand stop, and hear them out."""
        for actor, _, _ in self._busy.values():
            actor.stop.remote()
        while self._busy:
            ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=_GRACE_SECONDS)
            if not ready:
                return
            self._take_in(ready[0])

    def _take_in(self, reference: Any) -> None:
        """What became of a task."""
        actor, task, attempt = self._busy.pop(reference)
        try:
            value, error, messages = self._ray.get(reference)
        except self._ray.exceptions.RayError:
            if not self._tasks.again(task, attempt):
                self._on_end(lost(task, attempt))
            return
        self._idle.append(actor)
        for message in messages:
            self._on_message(task, message)
        self._on_end(Ended(task, value, error, attempt))


class _Actor:
    """A worker of the cluster; one task at a time, where relative paths mean what they mean to the caller."""

    def __init__(self, folder: str, threads: int) -> None:
        self._folder = folder
        self._stop = threading.Event()
        limit_threads(threads)

    def do(self, work: Work, task: Any) -> tuple[Any, BaseException | None, list[object]]:
        """Value, error and messages of a task."""
        talk = _Talk(self._stop)
        try:
            try:
                os.chdir(self._folder)
            except OSError as error:
                raise GopsegError(
                    f"{self._folder}: is not there on a worker ({error.strerror}); share it among the machines"
                ) from error
            return work(task, talk), None, talk.messages
        except BaseException as error:
            return None, travelling(error), talk.messages

    def stop(self) -> None:
        """Have the task end."""
        self._stop.set()


class _Talk:
    """Gathers what a task says."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.messages: list[object] = []

    def send(self, message: object) -> None:
        self.messages.append(message)

    def check(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

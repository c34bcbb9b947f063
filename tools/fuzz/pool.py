"""The processes of `fuzz-codec`: they may die, hang or grow, and are replaced."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

from .worker import FuzzResult, work

_INPUTS_A_PROCESS = 2000


class Pool:
    """Processes that each read one input at a time, replaced when they die, hang or have grown old."""

    def __init__(self, seed: int, jobs: int, timeout: float) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._seed, self._timeout = seed, timeout
        self._workers = [_Worker(*self._start()) for _ in range(jobs)]

    def run(self, numbers: range) -> Iterator[FuzzResult]:
        """Yield the FuzzResult of every input, as they come."""
        todo = iter(numbers)
        for worker in self._workers:
            worker.give(next(todo, None))
        while busy := [worker for worker in self._workers if worker.number is not None]:
            ready = wait([worker.connection for worker in busy], timeout=0.5)
            for worker in busy:
                result = self._result(worker, worker.connection in ready)
                if result is not None:
                    yield result
                    worker.give(next(todo, None))

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.end()

    def _result(self, worker: _Worker, is_ready: bool) -> FuzzResult | None:
        assert worker.number is not None
        result = None
        if is_ready:
            try:
                result = cast(FuzzResult, worker.connection.recv())
            except (EOFError, OSError):
                worker.process.join(self._timeout)
                result = FuzzResult(worker.number, "crash", text=f"exit status {worker.process.exitcode}")
        elif time.monotonic() - worker.since > self._timeout:
            result = FuzzResult(worker.number, "hang", text=f"no end after {self._timeout:g} s")
        if result is not None:
            worker.served += 1
            if result.status in ("crash", "hang", "memory") or worker.served >= _INPUTS_A_PROCESS:
                worker.end()
                worker.process, worker.connection = self._start()
                worker.served = 0
        return result

    def _start(self) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._seed), daemon=True)
        process.start()
        theirs.close()
        with suppress(EOFError, OSError):  # which its first input will show, too
            ours.recv()  # it is ready: how long a busy machine takes to start it says nothing about an input
        return process, ours


class _Worker:
    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process, self.connection = process, connection
        self.number: int | None = None
        self.since, self.served = 0.0, 0

    def give(self, number: int | None) -> None:
        self.number, self.since = number, time.monotonic()
        if number is not None:
            self.connection.send(number)

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()

"""`fuzz-codec`: damaged videos by the thousand through the codec front end, in processes that may die."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import click
from tqdm import tqdm

from .inputs import fuzz_input
from .worker import FuzzResult, work

FINDINGS = ("exception", "crash", "hang", "memory")
"""What must not happen."""

_INPUTS_A_PROCESS = 2000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--count", type=click.IntRange(1), default=20_000, show_default=True, help="Number of inputs.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="Number of the first input.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--timeout", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Seconds for an input.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(count: int, seed: int, first: int, jobs: int, timeout: float, output: Path) -> None:
    """Read COUNT damaged H.264 videos (raw, MP4, MPEG-TS, Matroska) in every way, and keep what goes wrong.

    Bits flip, packets are cut, lost, doubled, swapped or continued by another video's, headers and MP4 boxes change.
    Input I of a seed is always the same. Frames are read, composed to keyframes, and matched with their references.
    What may happen: frames, or an error of ours. What may not: another exception, the end of the interpreter, more than
    --timeout seconds, more than 1 GiB of memory. Each such input is kept in the output folder, with its report; the
    exit status is then 1. A summary is printed and kept in summary.json.
    """
    output.mkdir(parents=True, exist_ok=True)
    results = Counter[tuple[str, str]]()
    frames = corrupt = 0
    begin = time.perf_counter()
    found = []
    pool = _Pool(seed, jobs, timeout)
    try:
        for result in tqdm(pool.run(range(first, first + count)), total=count, unit="input", disable=None, leave=False):
            made = fuzz_input(seed, result.number)
            results.update((operation, result.status) for operation in (*set(made.operations), "all"))
            frames, corrupt = frames + result.frames, corrupt + result.corrupt
            if result.status in FINDINGS:
                found.append(result.number)
                name = output / f"{seed}-{result.number}"
                name.with_suffix(".bin").write_bytes(made.data)
                about = f"{result.status}: {made.clip}, {made.container}, {', '.join(made.operations)}\n{result.text}\n"
                name.with_suffix(".txt").write_text(about)
    finally:
        pool.close()
    seconds = time.perf_counter() - begin
    report = {
        "seed": seed,
        "first": first,
        "count": count,
        "seconds": round(seconds, 1),
        "frames": frames,
        "corrupt_frames": corrupt,
        "findings": sorted(found),
        "outcomes": {f"{operation}/{status}": number for (operation, status), number in sorted(results.items())},
    }
    (output / "summary.json").write_text(json.dumps(report, indent=2) + "\n")
    click.echo(_table(results))
    click.echo(
        f"{count} inputs of seed {seed} in {seconds:.0f} s: {frames} frames, {corrupt} marked as corrupt, "
        f"{len(found)} findings{f' in {output}' if found else ''}"
    )
    if found:
        raise SystemExit(1)


def _table(results: Counter[tuple[str, str]]) -> str:
    columns = ("decoded", "refused", *FINDINGS)
    lines = ["operation " + "".join(f"{name:>10}" for name in columns)]
    for operation in [*sorted({operation for operation, _ in results} - {"all"}), "all"]:
        lines.append(f"{operation:10}" + "".join(f"{results[operation, name]:10}" for name in columns))
    return "\n".join(lines)


class _Pool:
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

"""Many jobs on a Ray cluster: the same job in the same worker function, tried again where a worker dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...cluster import connected, import_ray
from ...codec import CodecError, EncodeError
from .batch import Done, Job, OnOutcome, Outcome, run_job

_GRACE_SECONDS = 10


def run_jobs_on_ray(
    jobs: Sequence[Job], address: str, at_once: int | None, retries: int, on_outcome: OnOutcome
) -> None:
    """Run all jobs on the cluster at `address`, at most `at_once` at a time (None: one a CPU of the cluster).

    `address` is that of `cluster.connected`. Every machine must see the sources and the output folder under the same
    paths. A job whose worker dies is tried up to `retries` times more, and the
    others never notice; one that fails by itself is not tried again. Raises ClusterError where Ray or the cluster is
    not there; on KeyboardInterrupt the jobs under way are told to stop, which leaves nothing of them behind.
    """
    if not jobs:
        return
    ray = import_ray()
    with connected(ray, address, at_once), _bar(len(jobs)) as bar:
        places = at_once or max(1, int(ray.cluster_resources().get("CPU", 1)))
        remote = ray.remote(num_cpus=1, max_retries=0)(_work)
        waiting = [(job, 1) for job in reversed(jobs)]
        running: dict[Any, tuple[Job, int]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < places:
                    job, attempt = waiting.pop()
                    running[remote.remote(job, str(Path.cwd()))] = job, attempt
                ready, _ = ray.wait(list(running), num_returns=1)
                job, attempt = running.pop(ready[0])
                outcome = _outcome(ray, ready[0], job, attempt)
                if outcome is None and attempt <= retries:
                    waiting.append((job, attempt + 1))
                    continue
                on_outcome(outcome or _gave_up(job, attempt))
                bar.update()
        except BaseException:
            for reference in running:
                ray.cancel(reference)
            ray.wait(list(running), num_returns=len(running), timeout=_GRACE_SECONDS) if running else None
            raise


@contextmanager
def _bar(total: int) -> Iterator[tqdm[Any]]:
    hidden = None if sys.stderr.isatty() else True
    with tqdm(total=total, unit="source", disable=hidden, file=sys.stderr, dynamic_ncols=True) as bar:
        yield bar


def _work(job: Job, folder: str) -> Done:
    """Run one job where relative paths mean what they mean to the caller."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise CodecError(
            f"{folder}: is not there on a worker ({error.strerror}); share it among the machines"
        ) from error
    return run_job(job, lambda: None)


def _outcome(ray: Any, reference: Any, job: Job, attempt: int) -> Outcome | None:
    """How the job ended; None where its worker did not live to say."""
    try:
        return Outcome(job, done=ray.get(reference), attempts=attempt)
    except ray.exceptions.RayTaskError as error:
        return Outcome(job, error=error.cause if isinstance(error.cause, Exception) else error, attempts=attempt)
    except ray.exceptions.RayError:
        return None


def _gave_up(job: Job, attempts: int) -> Outcome:
    text = f"{job.source_path}: its worker died {attempts} times (out of memory?); give fewer --jobs or more --retries"
    return Outcome(job, error=EncodeError(text), attempts=attempts)

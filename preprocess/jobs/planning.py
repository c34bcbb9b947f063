"""Which of many jobs are to be done, where outputs are there already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ..encode import OutputError
from .batch import Existing, Job
from .manifest import Manifest

J = TypeVar("J", bound=Job)


def jobs_to_do(jobs: Iterable[J], existing: Existing, manifest: Manifest | None = None) -> list[J]:
    """The jobs whose outputs are missing, or are to be replaced.

    Raises OutputError, before anything is written, for outputs that exist (REFUSE), that other settings made (RESUME),
    or that are the source itself. With RESUME, what the manifest or the output's own account calls finished is kept.
    """
    todo = []
    for job in jobs:
        there = [path for path in job.outputs if path.exists()]
        if job.output.exists() and job.source_path.exists() and job.output.samefile(job.source_path):
            raise OutputError(f"{job.output}: is the source itself; give another folder")
        if existing is Existing.REFUSE and there:
            raise OutputError(f"{there[0]}: exists; give -y to replace, -n to keep it, or --resume to go on")
        if existing is Existing.KEEP and there:
            continue
        if existing is Existing.RESUME and ((manifest is not None and manifest.is_finished(job)) or job.is_finished()):
            continue
        todo.append(job)
    return todo

"""Which of many jobs are to be done, where outputs are there already, and the doing of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from ...console import Existing
from ..errors import OutputError
from .batch import Job, Outcome
from .checks import make_folder
from .execution import Execution
from .manifest import Manifest
from .outcomes import Outcomes

J = TypeVar("J", bound=Job)


def jobs_to_do(jobs: Iterable[J], existing: Existing, manifest: Manifest | None = None) -> list[J]:
    """The jobs whose outputs are missing, or are to be replaced.

    Raises OutputError, before anything is written, for outputs that exist (REFUSE), that other settings made (RESUME),
    or that are the source itself. With RESUME, what the manifest or the output's own account calls finished is kept.
    Unless REPLACE is asked for, jobs without outputs leave those alone that another run makes meanwhile.
    """
    todo = []
    for job in jobs:
        there = [path for path in job.outputs if path.exists()]
        if job.output.exists() and job.source_path.exists() and job.output.samefile(job.source_path):
            raise OutputError(f"{job.output}: is the source itself; give another folder")
        if existing is Existing.REFUSE and there:
            raise OutputError(f"{there[0]}: exists; give -y to replace it, -n to keep it, or --resume to continue")
        if existing is Existing.KEEP and there:
            continue
        if existing is Existing.RESUME and ((manifest is not None and manifest.is_finished(job)) or job.is_finished()):
            continue
        todo.append(job if there or existing is Existing.REPLACE else job.without_replacing())
    return todo


def run_planned(
    planned: Sequence[Job],
    folder: Path,
    execution: Execution,
    existing: Existing,
    describe: Callable[[Outcome], str],
    *,
    noun: str = "outputs",
) -> Outcomes:
    """Do those of the jobs that are to be done, with outputs in `folder`, and tell of each; `noun` names the outputs.

    Raises what `make_folder` and `jobs_to_do` raise. Failures of jobs are told, and end the command by `finish`.
    """
    make_folder(folder)
    account = execution.manifest_in(folder)
    todo = jobs_to_do(planned, existing, account)
    if len(todo) < len(planned):
        click.echo(f"{len(planned) - len(todo)} of {len(planned)} {noun} are there already and are kept.", err=True)
    outcomes = Outcomes(len(todo), describe, keeps=existing in (Existing.KEEP, Existing.RESUME))
    execution.run(todo, account, outcomes)
    return outcomes

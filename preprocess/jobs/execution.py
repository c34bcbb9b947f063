"""Where many jobs run, and how many at a time: the options of `preprocess encode` and `preprocess extract`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from .batch import Existing, Job, OnOutcome, Outcome, run_jobs
from .manifest import Manifest
from .ray_batch import run_jobs_on_ray

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Execution:
    """On this machine, or on the Ray cluster at `ray`; `jobs` None is one here, and one a CPU there."""

    jobs: int | None = None
    ray: str | None = None
    retries: int = 2
    manifest: Path | None = None

    def manifest_in(self, folder: Path) -> Manifest | None:
        """The manifest asked for; `manifest.jsonl` in the folder of outputs on a cluster, else none."""
        file = self.manifest or (folder / "manifest.jsonl" if self.ray is not None else None)
        return None if file is None else Manifest(file)

    def run(self, jobs: Sequence[Job], manifest: Manifest | None, on_outcome: OnOutcome) -> None:
        """Run the jobs; each outcome goes into the manifest first, and then to `on_outcome`."""

        def note(outcome: Outcome) -> None:
            if manifest is not None:
                manifest.add(outcome)
            on_outcome(outcome)

        if self.ray is None:
            run_jobs(jobs, self.jobs or 1, note)
        else:
            run_jobs_on_ray(jobs, self.ray, self.jobs, self.retries, note)


def execution_options(command: F) -> F:
    """Give a command the options --jobs, --ray, --retries and --manifest, named like Execution's fields."""
    options = (
        click.option(
            "--jobs", type=click.IntRange(1), help="Sources at a time. Default: 1; with --ray one a CPU of the cluster."
        ),
        click.option("--ray", metavar="ADDRESS", help="Use a Ray cluster: local, auto, HOST:PORT or ray://HOST:PORT."),
        click.option(
            "--retries",
            type=click.IntRange(0),
            default=2,
            show_default=True,
            help="With --ray: how often a source whose worker died is tried again.",
        ),
        click.option(
            "--manifest",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Append a JSON line a source: status, attempts, output, sha256, seconds, worker. --resume reads it. "
            "Default with --ray: manifest.jsonl beside the outputs.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def existing_options(command: F) -> F:
    """Give a command the options -y, -n and --resume, as `existing`, and --debug."""
    options = (
        click.option("-y", "existing", flag_value=Existing.REPLACE, help="Replace outputs that exist."),
        click.option("-n", "existing", flag_value=Existing.KEEP, help="Keep outputs that exist, make the others."),
        click.option(
            "--resume", "existing", flag_value=Existing.RESUME, help="Keep outputs that are whole, make the others."
        ),
        click.option("--debug", is_flag=True, help="Show tracebacks."),
    )
    for option in reversed(options):
        command = option(command)
    return command

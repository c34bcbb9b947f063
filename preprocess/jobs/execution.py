"""Where many jobs run, and how many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .batch import Job, OnOutcome, Outcome, run_jobs
from .manifest import Manifest
from .ray_batch import run_jobs_on_ray


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

"""What the user is told of many jobs as they end, and the exit status that follows."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import click
from tqdm import tqdm

from ...console import describe, is_debugging
from ...errors import InputError
from ...files import TargetExistsError
from ...packages import known_error
from .batch import Outcome


class Outcomes:
    """Tells of each outcome on standard error: `describe(outcome)` for success, one line for an error.

    Exit status: 2 where all failed, and by their input, else 1 where any failed. With `keeps` an output that another
    run made meanwhile is as good as one of ours.
    """

    def __init__(self, total: int, describe: Callable[[Outcome], str], *, keeps: bool = False) -> None:
        self._total, self._describe, self._keeps = total, describe, keeps
        self._failed, self._is_input = 0, True

    def __call__(self, outcome: Outcome) -> None:
        """One job has ended."""
        if outcome.error is None:
            text = self._describe(outcome)
            again = f" (attempt {outcome.attempts}: a worker had died)" if outcome.attempts > 1 else ""
            tqdm.write(text + again, file=sys.stderr)
            return
        if self._keeps and isinstance(outcome.error, TargetExistsError):
            tqdm.write(f"{outcome.job.output}: was made by another run meanwhile, and is kept.", file=sys.stderr)
            return
        error = known_error(outcome.error)
        self._failed += 1
        self._is_input &= isinstance(error, InputError)
        if is_debugging():
            traceback.print_exception(outcome.error)
        tqdm.write(f"Error: {_named(outcome, error)}", file=sys.stderr)

    def finish(self) -> None:
        """End the command where anything failed."""
        if not self._failed:
            return
        if self._total > 1:
            click.echo(f"{self._failed} of {self._total} sources failed, the others are done.", err=True)
        sys.exit(2 if self._failed == self._total and self._is_input else 1)


def _named(outcome: Outcome, error: BaseException) -> str:
    line, source = describe(error), str(outcome.job.source_path)
    known = (source, str(outcome.job.output.parent))
    return line if any(name in line for name in known) else f"{source}: {line}"

"""What the user is told of many jobs as they end, and the exit status that follows."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import click
from tqdm import tqdm

from ...codec import CodecError
from .batch import Outcome
from .options import BAD_INPUT, one_line


class Outcomes:
    """Tells of each outcome on standard error: `describe(outcome)` for success, one line for an error.

    Exit status: 2 where all failed, and by their input, else 1 where any failed.
    """

    def __init__(self, total: int, describe: Callable[[Outcome], str], debug: bool) -> None:
        self._total, self._describe, self._debug = total, describe, debug
        self._failures: list[Outcome] = []

    def __call__(self, outcome: Outcome) -> None:
        """One job has ended."""
        if outcome.error is None:
            text = self._describe(outcome)
            again = f" (attempt {outcome.attempts}: a worker had died)" if outcome.attempts > 1 else ""
            tqdm.write(text + again, file=sys.stderr)
            return
        self._failures.append(outcome)
        if self._debug:
            traceback.print_exception(outcome.error)
        tqdm.write(f"Error: {_named(outcome, outcome.error)}", file=sys.stderr)

    def finish(self) -> None:
        """End the command where anything failed."""
        failed = len(self._failures)
        if not failed:
            return
        is_input = failed == self._total and all(isinstance(failure.error, BAD_INPUT) for failure in self._failures)
        if self._total > 1:
            click.echo(f"{failed} of {self._total} sources failed, the others are done.", err=True)
        sys.exit(2 if is_input else 1)


def _named(outcome: Outcome, error: BaseException) -> str:
    line, source = one_line(error), str(outcome.job.source_path)
    if not isinstance(error, CodecError):
        line = f"{type(error).__name__}: {line}; --debug shows where"
    known = (source, str(outcome.job.output.parent))
    return line if any(name in line for name in known) else f"{source}: {line}"

"""Errors of one source among many: a line of the right kind, and no harm to the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from gopseg.codec import EncodeError, SourceError
from gopseg.preprocess.jobs import Outcome, Outcomes
from gopseg.preprocess.jobs.batch import run_jobs


class UnpicklableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


@dataclass(frozen=True)
class Failing:
    """A job that fails as its name says, or writes its output."""

    name: str
    output: Path

    @property
    def source_path(self) -> Path:
        return Path(f"{self.name}.src")

    @property
    def outputs(self) -> tuple[Path, ...]:
        return (self.output,)

    def without_replacing(self) -> Self:
        return self

    def settings_record(self) -> dict[str, Any]:
        return {}

    def source_stamp(self) -> list[int]:
        return [0, 0]

    def frame_total(self) -> int | None:
        return None

    def is_finished(self) -> bool:
        return False

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        if self.name == "input":
            raise SourceError("input.src: cannot be read;\n  check it")
        if self.name == "failure":
            raise EncodeError("failure.src: the disk is full")
        if self.name == "fault":
            raise KeyError("slot")
        if self.name == "odd":
            raise UnpicklableError("two", "words")
        self.output.write_text("done")
        return {}


LINES = {
    "input": "Error: input.src: cannot be read; check it",
    "failure": "Error: failure.src: the disk is full",
    "fault": "Error: fault.src: KeyError: 'slot'; this is a bug in gopseg: --debug shows where, please report it",
}


@pytest.mark.parametrize("processes", [1, 2])
def test_each_error_is_a_line_and_costs_one_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processes: int
) -> None:
    jobs = [Failing(name, tmp_path / name) for name in ("input", "good", "failure", "fault", "odd", "last")]
    ended: list[Outcome] = []
    outcomes = Outcomes(len(jobs), lambda outcome: f"{outcome.job.output}: done")
    run_jobs(jobs, processes, lambda outcome: (ended.append(outcome), outcomes(outcome))[0])
    said = capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "last"]
    assert len(ended) == len(jobs)
    assert len(said.splitlines()) == len(jobs)
    for line in LINES.values():
        assert line in said.splitlines()
    assert "UnpicklableError: two words; this is a bug" in said
    with pytest.raises(SystemExit) as end:
        outcomes.finish()
    assert end.value.code == 1

"""Tasks in several processes: each is done once, whatever becomes of the processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gopseg.processes import Ended, LostError, Queue, cores, run_here, run_in_processes
from tests.light_work import doubled, until_stopped


def collect(numbers: list[int], count: int | None) -> tuple[dict[int, Ended[int]], list[int]]:
    """How each task ended, and what was said."""
    ended: dict[int, Ended[int]] = {}
    said: list[Any] = []

    def on_end(one: Ended[int]) -> None:
        ended[one.task] = one

    def on_message(_: int, message: int) -> None:
        said.append(message)

    if count is None:
        run_here(Queue(numbers), doubled, on_message, on_end)
    else:
        run_in_processes(Queue(numbers), doubled, count, on_message, on_end)
    return ended, said


def test_killed_processes_cost_their_task_in_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ended, said = collect([1, 77, 13, 99, 2, 3], 2)
    share = max(1, cores() // 2)
    assert all(ended[n].value == (2 * n, str(share), share) for n in (1, 2, 3, 77))
    assert ended[77].attempts == 2
    assert isinstance(ended[13].error, ValueError)
    assert isinstance(ended[99].error, LostError)
    assert ended[99].attempts == 3
    assert sorted(said) == [1, 2, 3, 13, 77, 77, 99, 99, 99]
    assert "OMP_NUM_THREADS" not in os.environ


def test_in_this_process() -> None:
    ended, said = collect([1, 13, 2], None)
    assert [ended[number].value and ended[number].value[0] for number in (1, 13, 2)] == [2, None, 4]
    assert said == [1, 13, 2]


def test_ctrl_c_hears_the_tasks_out() -> None:
    ended = []
    begun = []

    def on_message(task: int, message: object) -> None:
        begun.append(task)
        if len(begun) == 1:  # a second Ctrl-C would not wait for the tasks
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_processes(Queue([5, 6, 7]), until_stopped, 2, on_message, ended.append)
    assert {one.task for one in ended} == {5, 6}
    assert all(one.value == "stopped" for one in ended)

"""What all pipelines share: predictions by one, by several, and while labels are made in another thread."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gopseg.pipelines.pipeline import LABELS_BEHIND, Pipeline, Scored


class Numbered:
    """Scores whose labels are a frame's number, made slowly; they note the thread that made them."""

    def __init__(self, number: int, threads: list[str]) -> None:
        self.number, self.threads = number, threads

    def full(self) -> NDArray[np.float32]:
        raise AssertionError

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        time.sleep(0.002)
        if self.number < 0:
            raise ZeroDivisionError
        self.threads.append(threading.current_thread().name)
        return np.full(size_hw, self.number, np.uint8)


class Counting(Pipeline):
    """Frames by number; None is one that cannot be segmented."""

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(classes=("a",), stride=4))  # type: ignore[arg-type]
        self.threads: list[str] = []
        self.observed = 0

    def _observe(self, frame: Any) -> None:
        self.observed += 1

    def _segment(self, frame: Any) -> Scored:
        if frame.number is None:
            raise ValueError("no")
        return Scored(Numbered(frame.number, self.threads))


def frames_of(numbers: Any) -> Any:
    return [SimpleNamespace(number=number, size_hw=(2, 3)) for number in numbers]


def test_labels_are_made_in_order_in_a_thread_of_their_own() -> None:
    made, alone = Counting(), Counting()
    found = list(made.run(frames_of(range(20))))
    assert [int(each.labels[0, 0]) for each in found] == list(range(20))
    assert len(set(made.threads)) == 1
    assert made.threads[0].startswith("labels")
    assert all(each.timings["labels"] > 1 for each in found)
    assert [int(alone.step(frame).labels[0, 0]) for frame in frames_of(range(3))] == [0, 1, 2]
    assert set(alone.threads) == {threading.current_thread().name}


def test_few_frames_wait_for_their_labels() -> None:
    made = Counting()
    for number, _ in enumerate(made.run(frames_of(range(30))), 1):
        assert made.observed <= number + LABELS_BEHIND + 1


def test_what_fails_is_raised_after_the_frames_before() -> None:
    for numbers, error in (([0, 1, 2, None, 4], ValueError), ([0, 1, 2, -1, 4], ZeroDivisionError)):
        found: list[int] = []
        with pytest.raises(error):
            found.extend(int(each.labels[0, 0]) for each in Counting().run(frames_of(numbers)))
        assert found == [0, 1, 2]


def test_leaving_off_ends_the_thread() -> None:
    predictions = Counting().run(frames_of(range(30)))
    next(predictions)
    predictions.close()  # type: ignore[attr-defined]
    assert not [each for each in threading.enumerate() if each.name.startswith("labels")]

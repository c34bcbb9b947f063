"""Cells without a way of their own, and those whose way is costly, take the motion of a neighbour that costs less."""

from __future__ import annotations

import numpy as np
import pytest

from gopseg.codec.motion.matching.holes import best_neighbours
from gopseg.codec.motion.matching.prediction import SubpixelPlanes

COLS = 4


def neighbours(own_cost: float, ahead: float) -> tuple[int, float]:
    """What cell 1 of a row of four takes, and its cost: picture 3 shows all 4 pixels further right, which the others
    know, and picture 2 shows something else."""
    rng = np.random.default_rng(0)
    luma = rng.integers(0, 256, (8, 8 * COLS), np.uint8)
    references = {3: SubpixelPlanes(np.roll(luma, 4, 1)), 2: SubpixelPlanes(255 - luma)}
    known = np.array([[True, False, True, True]])
    cost = np.array([7, own_cost, 7, 7], np.float32)
    shift = np.array([[16, 0], [0, 0], [16, 0], [16, 0]])
    picture = np.array([2, 2, 3, 3])
    like, total = best_neighbours(
        known, cost, shift, picture, luma, references, lambda cells, *_: np.full(len(cells), ahead, np.float32)
    )
    assert like[[0, 2, 3]].tolist() == [0, 2, 3]
    assert total[[0, 2, 3]].tolist() == [7, 7, 7]
    return int(like[1]), float(total[1])


@pytest.mark.parametrize(
    ("own_cost", "ahead", "takes", "cost"),
    [
        (np.inf, 5, 2, 5),  # the neighbour that predicts it best, not the nearest in order
        (5.5, 5, 2, 5),
        (4.5, 5, 1, 4.5),  # its own way costs less than theirs from there on
        (np.inf, np.inf, 0, np.inf),  # nothing to compare by: the nearest
    ],
)
def test_the_whole_way_counts(own_cost: float, ahead: float, takes: int, cost: float) -> None:
    assert neighbours(own_cost, ahead) == (takes, cost)

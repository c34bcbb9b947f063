"""Ways through pictures that refer to several others: against a plain loop over positions, and bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gopseg.codec.motion import composition
from gopseg.codec.motion.chain import SEGMENT
from gopseg.codec.motion.composition import Ways
from gopseg.codec.motion.field import LOOPS
from gopseg.codec.motion.matching import TracedPicture
from gopseg.compiled import Loops

pytestmark = pytest.mark.usefixtures("each_way")


def picture(number: int, size_hw: tuple[int, int], table: np.ndarray | None) -> TracedPicture:
    """The reference picture `number`; every other place in decoding order is one to which no other refers."""
    return TracedPicture(2 * number, 2 * number, size_hw, 0, None if table is None else table.astype(np.int16))


def pictures_of(
    rng: np.random.Generator, count: int, size_hw: tuple[int, int], reach: int, farthest: int, lost: float
) -> list[TracedPicture]:
    """A keyframe and `count` pictures whose cells refer to one of the `farthest` before."""
    cells = -(-size_hw[0] // 8) * -(-size_hw[1] // 8)
    made = [picture(0, size_hw, None)]
    for number in range(1, count + 1):
        table = np.zeros((cells, 4))
        table[:, :2] = rng.integers(-reach, reach + 1, (cells, 2))
        table[:, 2] = 2 * rng.integers(1, min(number, farthest) + 1, cells)
        table[:, 3] = rng.random(cells) < lost
        made.append(picture(number, size_hw, table))
    return made


def plain(pictures: list[TracedPicture], to: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Each position by itself: to the picture that its cell refers to, until it is at `to` or before it."""
    height, width = pictures[0].size_hw
    places = {each.decode_index: each for each in pictures}
    grid_hw = -(-height // side), -(-width // side)
    displacement, lost = np.zeros((*grid_hw, 2), np.float32), np.zeros(grid_hw, bool)
    for i in range(grid_hw[0]):
        for j in range(grid_hw[1]):
            start = x, y = min((2 * j + 1) * side * 2, 4 * width - 2), min((2 * i + 1) * side * 2, 4 * height - 2)
            here = pictures[-1].decode_index
            while here > to and places[here].table is not None:
                dx, dy, back, is_lost = (int(v) for v in places[here].table[y // 32 * -(-width // 8) + x // 32])
                x, y = min(max(x + dx, 2), 4 * width - 2), min(max(y + dy, 2), 4 * height - 2)
                here, lost[i, j] = here - back, lost[i, j] or is_lost
            displacement[i, j] = (x - start[0]) / 4, (y - start[1]) / 4
            lost[i, j] |= here != to
    return displacement, lost


@pytest.mark.parametrize("size_hw", [(1, 1), (30, 52), (16, 9000)])
@pytest.mark.parametrize("to", [0, 3])
def test_ways_are_those_of_a_plain_loop(size_hw: tuple[int, int], to: int) -> None:
    rng = np.random.default_rng(1)
    pictures = pictures_of(rng, 12, size_hw, 60, 4, 0.05)
    side = 4 if size_hw[1] < 1000 else 16
    got = Ways().compose(pictures, pictures[to], side)
    displacement, lost = plain(pictures, 2 * to, side)
    assert np.array_equal(got.unreferenced, lost)
    known = ~lost
    assert np.array_equal(got.displacement[known], displacement[known])


@pytest.mark.parametrize("farthest", [1, 3, 60])
def test_up_to_two_segments_every_field_is_followed(farthest: int) -> None:
    pictures = pictures_of(np.random.default_rng(2), 2 * SEGMENT + 1, (42, 70), 30, farthest, 0.02)
    bounded, unbounded = Ways(), Ways(bounded=False)
    for count in range(2, 2 * SEGMENT + 2):
        got, expected = (ways.compose(pictures[:count], pictures[0], 4) for ways in (bounded, unbounded))
        assert np.array_equal(got.displacement, expected.displacement)
        assert np.array_equal(got.unreferenced, expected.unreferenced)


@pytest.mark.parametrize("farthest", [1, 3, 60])
def test_what_was_composed_before_does_not_matter(farthest: int) -> None:
    pictures = pictures_of(np.random.default_rng(3), 5 * SEGMENT, (42, 70), 12, farthest, 0.01)
    every, some = Ways(), Ways()
    for count in range(2, len(pictures) + 1):
        for to in (0, 5) if count > 6 else (0,):
            got = every.compose(pictures[:count], pictures[to], 4)
            if count % 11 == 7:
                others = [ways.compose(pictures[:count], pictures[to], 4) for ways in (some, Ways())]
                assert all(np.array_equal(got.displacement, other.displacement) for other in others)
                assert all(np.array_equal(got.unreferenced, other.unreferenced) for other in others)


@pytest.mark.parametrize("pixels", [0, 1_000_000])
def test_checkpoints_lead_where_fields_lead(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each picture moves as a whole: inside, ways over checkpoints are those through all fields."""
    monkeypatch.setattr(composition, "_FEW_PIXELS", pixels)
    rng, size_hw = np.random.default_rng(4), (160, 240)
    pictures = [picture(0, size_hw, None)]
    for number in range(1, 6 * SEGMENT):
        table = np.tile([*rng.integers(-5, 6, 2), 2 * rng.integers(1, min(number, 3) + 1), 0], (20 * 30, 1))
        pictures.append(picture(number, size_hw, table))
    ways, unbounded = Ways(), Ways(bounded=False)
    for count in range(2, len(pictures) + 1):
        got, expected = (each.compose(pictures[:count], pictures[0], 4) for each in (ways, unbounded))
        inner = (slice(15, -15), slice(15, -15))
        assert np.array_equal(got.displacement[inner], expected.displacement[inner])
        assert not got.unreferenced.any()


def test_a_way_takes_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = pictures_of(np.random.default_rng(5), 12 * SEGMENT, (42, 70), 8, 2, 0)
    steps: list[int] = []
    walk = composition._walk

    def counting(at: np.ndarray, after: Any, number: int, *others: Any) -> None:
        steps[-1] += len(at)
        walk(at, after, number, *others)

    monkeypatch.setattr(composition, "_walk", counting)
    monkeypatch.setattr(composition, "_FEW_PIXELS", 0)
    ways = Ways()
    for count in range(2, len(pictures) + 1):
        steps.append(0)
        ways.compose(pictures[:count], pictures[0], 4)
    grid, checkpoint = 11 * 18, 21 * 35
    assert max(steps) <= 2 * grid + 2 * checkpoint // SEGMENT + 2
    assert len(next(iter(ways._targets.values())).checkpoints) <= 6


@pytest.mark.parametrize(("size_hw", "reach"), [((90, 130), 200), ((720, 1280), 32767)])
def test_compiled_loops_lead_to_the_same(size_hw: tuple[int, int], reach: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, through checkpoints and past them."""
    if not LOOPS.wait():
        pytest.skip("numba is not installed (extra fast)")
    pictures = pictures_of(np.random.default_rng(6), 3 * SEGMENT, size_hw, reach, 5, 0.1)
    found = []
    for when in ("never", "now"):
        monkeypatch.setattr(Loops, "when", when)
        ways = Ways()
        found.append([ways.compose(pictures[:count], pictures[1], 4) for count in range(2, len(pictures) + 1)])
    for plain, compiled in zip(*found, strict=True):
        assert np.array_equal(plain.displacement, compiled.displacement)
        assert np.array_equal(plain.unreferenced, compiled.unreferenced)

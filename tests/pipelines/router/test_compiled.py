"""Compiled loops of the router and of its motion give what NumPy and OpenCV give, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gopseg.codec import Frame, MotionField, MotionVectors, grid_positions
from gopseg.codec.reading.sidedata import VECTOR_DTYPE
from gopseg.compiled import Loops
from gopseg.pipelines.motion import codec_sources, later
from gopseg.pipelines.motion.later import joined, merged, spread, turned_round, ways_to_later
from gopseg.pipelines.router import evidence
from gopseg.pipelines.router.evidence import Look, RouterGrid, Sight, Way, cell_features, news_share
from gopseg.pipelines.scores import softmax

T = TypeVar("T")
SIZES = st.sampled_from([(8, 8), (37, 61), (96, 128), (64, 2600)])


@pytest.fixture(scope="module", autouse=True)
def are_there() -> None:
    if not (later.LOOPS.wait() and evidence.LOOPS.wait() and softmax.LOOPS.wait()):
        pytest.skip("numba is not installed (extra fast)")


def both_ways(work: Callable[[], T]) -> tuple[T, T]:
    found = []
    for when in ("never", "now"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loops, "when", when)
            codec_sources._STEPS.clear()
            found.append(work())
    return found[0], found[1]


def same(one: Any, other: Any) -> None:
    if isinstance(one, MotionField):
        assert (one.size_hw, one.cell) == (other.size_hw, other.cell)
        same(one.displacement, other.displacement)
        same(one.unreferenced, other.unreferenced)
        return
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert one.tobytes() == other.tobytes()


def field(rng: np.random.Generator, size_hw: tuple[int, int], lost: float, cell: int = 4) -> MotionField:
    """Quarter pixels, as vectors have them: many a cell lands between two."""
    grid_hw = grid_positions(size_hw, cell).grid_hw
    moved = (rng.integers(-90, 91, (*grid_hw, 2)) / 4).astype(np.float32) * rng.integers(0, 2, (*grid_hw, 1))
    return MotionField(moved.astype(np.float32), rng.random(grid_hw) < lost, size_hw, (cell, cell))


@given(st.integers(0, 2**32 - 1), SIZES, st.sampled_from([0.0, 0.4, 1.0]), st.sampled_from([4, 8]))
@settings(max_examples=25, deadline=None)
def test_fields(seed: int, size_hw: tuple[int, int], lost: float, cell: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = field(rng, size_hw, lost, cell), field(rng, size_hw, lost, cell)
    same(*both_ways(lambda: turned_round(first)))
    same(*both_ways(lambda: joined(first, second)))
    same(*both_ways(lambda: merged([first, second, first], 0.0)))
    same(*both_ways(lambda: spread(first, 12)))


def test_ways_to_a_later_frame() -> None:
    """Along vectors, some of which lead out of the picture, and cells without one."""
    rng, size_hw = np.random.default_rng(0), (72, 104)
    frames = []
    for index in range(6):
        blocks = [
            (-1, 8, 8, 0, 0, x + 4, y + 4, 0, *rng.integers(-60, 61, 2), 4)
            for y in range(0, 72, 8)
            for x in range(0, 104, 8)
            if rng.random() < 0.9
        ]
        motion = MotionVectors(np.array(blocks, VECTOR_DTYPE), size_hw)
        frames.append(Frame(index, index, Fraction(1), "P", False, index, size_hw, motion=motion))
    plain, compiled = both_ways(lambda: list(ways_to_later(frames, 4)))
    assert [frame.index for frame, _ in plain] == [4, 3, 2, 1, 0]
    for (frame, one), (other_frame, other) in zip(plain, compiled, strict=True):
        assert frame is other_frame
        same(one, other)


@given(st.integers(0, 2**32 - 1), SIZES, st.sampled_from([0.0, 0.3]), st.sampled_from([1, 4]))
@settings(max_examples=25, deadline=None)
def test_features(seed: int, size_hw: tuple[int, int], lost: float, stride: int) -> None:
    rng = np.random.default_rng(seed)
    grid = RouterGrid.of(size_hw, stride)
    motion = field(rng, size_hw, lost, stride)
    shape = grid.of_network(motion.unreferenced).shape
    before, now = (
        Sight(index, rng.integers(0, 256, shape).astype(np.float32), 700, 900 * index)
        for index in (3, int(rng.integers(9)))
    )
    logits = (rng.random((*motion.unreferenced.shape, 5)) * 9).astype(np.float32)

    def work() -> tuple[Way, Any, float]:
        way = Way.of(motion, grid)
        features = cell_features(now, Look.of(before, logits, grid), way)
        return way, features, news_share(features)

    (way, features, news), (other_way, other_features, other_news) = both_ways(work)
    for name in ("x", "y", "lost", "displacement", "outside"):
        same(getattr(way, name), getattr(other_way, name))
    same(features, other_features)
    assert news == other_news


def test_a_step_is_made_once() -> None:
    motion = MotionVectors(np.array([(-1, 16, 16, 0, 0, 8, 8, 0, 4, 8, 4)], VECTOR_DTYPE), (16, 16))
    frame = Frame(1, 1, Fraction(1), "P", False, 1, (16, 16), motion=motion)
    step = codec_sources.last_step(frame)
    assert step.displacement[0, 0].tolist() == [1, 2]
    assert codec_sources.last_step(frame) is step
    known = len(codec_sources._STEPS)
    del frame
    assert len(codec_sources._STEPS) == known - 1

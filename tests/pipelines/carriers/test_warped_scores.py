"""Scores at boundaries only: the labels are those of all scores."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gopseg.codec import MotionField
from gopseg.compiled import Loops
from gopseg.pipelines import NetworkRunner, upsample_labels, warp_map
from gopseg.pipelines.carriers.maps import Probabilities
from gopseg.pipelines.carriers.warped_scores import ScoreMap, WarpedScores
from gopseg.pipelines.labels import LOOPS, argmax_of_planes


@pytest.fixture(scope="module", params=["never", "now"], autouse=True)
def compiled(request: pytest.FixtureRequest) -> Iterator[str]:
    """Everything by NumPy and OpenCV, and by compiled loops."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "now" and not LOOPS.wait():
            pytest.skip("numba is not installed (extra fast)")
        patch.setattr(Loops, "when", request.param)
        yield request.param


def scores_of(rng: np.random.Generator, hw: tuple[int, int], classes: int, coarse: int) -> np.ndarray:
    small = rng.normal(0, 4, (coarse, coarse, classes)).astype(np.float32)
    powers = np.exp(np.stack([cv2.resize(small[..., k], hw[::-1]) for k in range(classes)], 2))
    return powers / powers.sum(2, keepdims=True)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, 2, 5, 11]),
    st.sampled_from([2, 4, 6, 8, 16]),
    st.sampled_from([1, 3, 9]),
    st.sampled_from([0, 3, 60, 4000]),
    st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_labels_are_those_of_all_scores(
    seed: int, rows: int, columns: int, classes: int, stride: int, coarse: int, reach: int, lost: float, mixes: bool
) -> None:
    rng = np.random.default_rng(seed)
    scores = scores_of(rng, (rows, columns), classes, coarse)
    displacement = (rng.integers(-reach, reach + 1, (rows, columns, 2)) / 4).astype(np.float32)
    size_hw = rows * stride - rng.integers(0, stride), columns * stride - rng.integers(0, stride)
    field = MotionField(displacement, rng.random((rows, columns)) < lost, size_hw, (stride, stride))
    warped = WarpedScores(ScoreMap(scores), field, stride, mix_lost=mixes)
    assert np.array_equal(warped.labels(size_hw), upsample_labels(warped.full(), stride, size_hw))


def test_a_reference_serves_one_frame_after_the_other() -> None:
    rng = np.random.default_rng(0)
    carried = ScoreMap(scores_of(rng, (23, 31), 7, 6))
    for _ in range(4):
        displacement = (rng.integers(-40, 40, (23, 31, 2)) / 4).astype(np.float32)
        field = MotionField(displacement, rng.random((23, 31)) < 0.2, (92, 124), (4, 4))
        warped = WarpedScores(carried, field, 4, mix_lost=True)
        assert np.array_equal(warped.labels((92, 124)), upsample_labels(warped.full(), 4, (92, 124)))


def test_a_reference_remembers_what_does_not_move() -> None:
    """Frames that differ in a few cells, in what is lost, in nothing, or in everything; two strides in turn."""
    rng = np.random.default_rng(2)
    carried = ScoreMap(scores_of(rng, (23, 31), 7, 9))
    displacement = (rng.integers(-40, 40, (23, 31, 2)) / 4).astype(np.float32)
    lost = rng.random((23, 31)) < 0.2
    for number in range(40):
        displacement, lost = displacement.copy(), lost.copy()
        part = (slice(3, 9), slice(number % 20, number % 20 + 9))
        if number % 4 == 1:
            displacement[part] += rng.integers(-4, 5, (6, 9, 2)) / np.float32(4)
        elif number % 4 == 2:
            lost[part] ^= rng.random((6, 9)) < 0.5
        elif number % 8 == 7:
            displacement, lost = -displacement, np.zeros_like(lost) if number < 16 else ~lost
        stride = 4 if number < 30 else 8
        field = MotionField(displacement, lost, (23 * stride, 31 * stride), (stride, stride))
        warped = WarpedScores(carried, field, stride, mix_lost=number % 16 < 14)
        labels = warped.labels(field.size_hw)
        assert np.array_equal(labels, upsample_labels(warped.full(), stride, field.size_hw))


@pytest.mark.parametrize(("classes", "stride"), [(3, 1), (150, 4), (256, 4)])
def test_what_is_worked_out_in_full(classes: int, stride: int) -> None:
    rng = np.random.default_rng(1)
    displacement = (rng.integers(-8, 9, (6, 7, 2)) / 4).astype(np.float32)
    field = MotionField(displacement, np.zeros((6, 7), np.bool_), (6 * stride, 7 * stride), (stride, stride))
    warped = WarpedScores(ScoreMap(scores_of(rng, (6, 7), classes, 4)), field, stride, mix_lost=True)
    size_hw = 6 * stride, 7 * stride
    assert np.array_equal(warped.labels(size_hw), upsample_labels(warped.full(), stride, size_hw))


@pytest.mark.parametrize(("classes", "stride", "mixes"), [(11, 4, True), (3, 16, False), (19, 6, True), (150, 4, True)])
def test_two_looks_are_mixed(classes: int, stride: int, mixes: bool) -> None:
    """A part of the later look's scores, everywhere another."""
    rng = np.random.default_rng(8)
    size_hw = 13 * stride, 17 * stride

    def field() -> MotionField:
        moved = (rng.integers(-90, 91, (13, 17, 2)) / 4).astype(np.float32)
        return MotionField(moved, rng.random((13, 17)) < 0.3, size_hw, (stride, stride))

    earlier, later = (scores_of(rng, (13, 17), classes, 5) for _ in range(2))
    ways, part = [field(), field()], rng.random((13, 17)).astype(np.float32)
    carrier = Probabilities(cast(NetworkRunner, SimpleNamespace(stride=stride)), mix_lost=mixes)
    passenger = cast(Any, SimpleNamespace(payload=earlier, motion=ways[0]))
    mixed = carrier.carry_mixed(passenger, ways[1], later, part)
    own = WarpedScores(ScoreMap(earlier), ways[0], stride, mix_lost=mixes).full()
    other = warp_map(later, ways[1].displacement, stride)
    assert mixed.shape == earlier.shape
    assert np.allclose(mixed, (1 - part[..., None]) * own + part[..., None] * other, atol=1e-6)


@pytest.mark.parametrize(("stride", "is_taken"), [(4, True), (16, True), (6, False), (1, False)])
def test_which_strides_are_compiled(stride: int, is_taken: bool, compiled: str) -> None:
    carried = ScoreMap(scores_of(np.random.default_rng(3), (6, 7), 5, 4))
    size_hw = 6 * stride, 7 * stride
    still = MotionField(np.zeros((6, 7, 2), np.float32), np.zeros((6, 7), np.bool_), size_hw, (stride, stride))
    WarpedScores(carried, still, stride, mix_lost=True).labels(size_hw)
    assert (carried._compiled is not None) == (is_taken and compiled == "now")


def test_only_boundaries_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves of a picture: of 400 cells a few columns are looked up."""
    monkeypatch.setattr(Loops, "when", "never")
    scores = np.zeros((20, 20, 2), np.float32)
    scores[:, :10, 0], scores[:, 10:, 1] = 0.9, 0.9
    sampled = []
    remap = cv2.remap

    def counting(source: np.ndarray, places: np.ndarray, *others: object) -> np.ndarray:
        if source.dtype == np.float32:
            sampled.append(len(np.unique(places.reshape(-1, 2), axis=0)))
        return remap(source, places, *others)

    field = MotionField(np.full((20, 20, 2), 2, np.float32), np.zeros((20, 20), np.bool_), (80, 80), (4, 4))
    warped = WarpedScores(ScoreMap(scores), field, 4, mix_lost=True)
    monkeypatch.setattr(cv2, "remap", counting)
    labels = warped.labels((80, 80))
    assert sum(sampled) <= 80
    assert (labels == np.repeat([0, 1], [38, 42])).all()


def test_the_first_of_equal_planes_is_the_best() -> None:
    planes = np.array([[1, 2, 3], [2, 2, 1], [2, 1, 3]], np.float32)
    assert argmax_of_planes(planes).tolist() == [1, 0, 0]


@pytest.mark.parametrize(("stride", "size_hw"), [(4, (21, 8)), (3, (8, 8))])
def test_refuses_what_the_scores_do_not_cover(stride: int, size_hw: tuple[int, int]) -> None:
    field = MotionField(np.zeros((5, 6, 2), np.float32), np.zeros((5, 6), np.bool_), size_hw, (stride, stride))
    warped = WarpedScores(ScoreMap(np.ones((5, 6, 3), np.float32)), field, stride, mix_lost=False)
    with pytest.raises(ValueError, match="cannot give"):
        warped.labels(size_hw)

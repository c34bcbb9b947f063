"""Compiled loops of motion give what NumPy gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gopseg.codec import MotionChain, MotionField, nearest_known
from gopseg.codec.motion.chain import grid_positions
from gopseg.codec.motion.field import LOOPS
from gopseg.codec.motion.following import PackedFollower, Step
from gopseg.compiled import Loops


@pytest.fixture(scope="module", autouse=True)
def are_there() -> None:
    if not LOOPS.wait():
        pytest.skip("numba is not installed (extra fast)")


def composed(
    when: str, fields: list[MotionField | None], size_hw: tuple[int, int]
) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loops, "when", when)
        chain = MotionChain(size_hw)
        found = []
        for field in fields:
            chain.push(field)
            found += [chain.compose(4), chain.compose((5, 7))]
    return [(each.displacement, each.unreferenced) for each in found]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1), (37, 61), (64, 96), (122, 2600), (8, 8191), (4095, 24)]),
    st.sampled_from([3, 90, 40000]),
    st.sampled_from([0.0, 0.7, 0.97]),
)
@settings(max_examples=25, deadline=None)
def test_chains_through_checkpoints(seed: int, size_hw: tuple[int, int], reach: int, still: float) -> None:
    rng = np.random.default_rng(seed)
    shape = -(-size_hw[0] // 8), -(-size_hw[1] // 8)
    fields: list[MotionField | None] = []
    for _ in range(27):
        moved = (rng.integers(-reach, reach + 1, (*shape, 2)) / 4).astype(np.float32)
        moved[rng.random(shape) < still] = 0
        fields.append(MotionField(moved, rng.random(shape) < 0.1, size_hw))
    fields[int(rng.integers(27))] = None
    plain, compiled = composed("never", fields, size_hw), composed("now", fields, size_hw)
    for (displacement, lost), (other, other_lost) in zip(plain, compiled, strict=True):
        assert np.array_equal(displacement, other)
        assert np.array_equal(lost, other_lost)


def test_more_positions_than_are_followed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a large picture, and only some of them."""
    size_hw, rng = (1080, 1920), np.random.default_rng(0)
    moved = (rng.integers(-200, 200, (135, 240, 2)) / 4).astype(np.float32)
    lost = rng.random((135, 240)) < 0.1
    start = grid_positions(size_hw, 2)
    some = np.flatnonzero(rng.random(start.x.size) < 0.4)
    found = {}
    for when in ("never", "now"):
        monkeypatch.setattr(Loops, "when", when)
        follower = PackedFollower(size_hw)
        step = follower.step(moved, lost, 8)
        steps: list[Step | None] = [step, step, step]
        whole = np.empty((*start.grid_hw, 2), np.float32), np.empty(start.grid_hw, np.bool_)
        follower.follow(start, steps, *whole)
        part = np.zeros_like(whole[0]), np.zeros_like(whole[1])
        follower.follow_some(start, some, steps, *part)
        found[when] = step.table, *whole, *part
    for plain, compiled in zip(found["never"], found["now"], strict=True):
        assert plain.tobytes() == compiled.tobytes()


@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 50), st.sampled_from([0.02, 0.5, 0.9, 0.995]))
@settings(max_examples=80, deadline=None)
def test_the_nearest_known_cells(seed: int, rows: int, columns: int, share: float) -> None:
    """Which of several that are as near, too; of cells by themselves, and of patches."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(1, 9))
    patches = np.kron(rng.random((-(-rows // side), -(-columns // side))) < share, np.ones((side, side), np.bool_))
    unknown = patches[:rows, :columns]
    unknown[rng.integers(rows), rng.integers(columns)] = False
    unknown.flags.writeable = False
    found = []
    for when in ("never", "now"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loops, "when", when)
            found.append(nearest_known(unknown))
    assert np.array_equal(found[0], found[1])
    assert not unknown.reshape(-1)[found[1]].any()


def test_fields_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they come from files."""
    moved, lost = np.full((4, 5, 2), 1.25, np.float32)[:, ::-1], np.zeros((4, 5), np.bool_)
    moved.flags.writeable = lost.flags.writeable = False
    monkeypatch.setattr(Loops, "when", "now")
    chain = MotionChain((32, 40))
    chain.push(MotionField(moved, lost, (32, 40)))
    assert (chain.compose(8).displacement[1, 1] == 1.25).all()

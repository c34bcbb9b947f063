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


@given(st.integers(0, 2**32 - 1), st.sampled_from([(130, 150), (64, 600)]), st.sampled_from([0.5, 0.9, 1.0]))
@settings(max_examples=15, deadline=None)
def test_what_does_not_move_stays(seed: int, size_hw: tuple[int, int], still: float) -> None:
    """Patches of cells, also over checkpoints, and cells that do not move and are lost all the same."""
    rng = np.random.default_rng(seed)
    rows, columns = -(-size_hw[0] // 8), -(-size_hw[1] // 8)
    fields: list[MotionField | None] = []
    for _ in range(20):
        moved = (rng.integers(-30, 31, (rows, columns, 2)) / 4).astype(np.float32)
        patches = np.kron(rng.random((-(-rows // 5), -(-columns // 7))) < still, np.ones((5, 7), np.bool_))
        moved[patches[:rows, :columns]] = 0
        fields.append(MotionField(moved, rng.random((rows, columns)) < 0.02, size_hw))
    plain, compiled = composed("never", fields, size_hw), composed("now", fields, size_hw)
    for (displacement, lost), (other, other_lost) in zip(plain, compiled, strict=True):
        assert np.array_equal(displacement, other)
        assert np.array_equal(lost, other_lost)


def as_cells(step: Step) -> NDArray[np.float32]:
    """A step's table, without the rows that are there twice."""
    table: NDArray[np.float32] = step.table
    return np.ascontiguousarray(table[::2] if step.has_rows_twice else table)


def test_more_positions_than_are_followed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a large picture, those of them that move, and a table of all."""
    size_hw, rng = (1080, 1920), np.random.default_rng(0)
    moved = (rng.integers(-200, 200, (135, 240, 2)) / 4).astype(np.float32)
    moved[20:110] = 0
    lost = rng.random((135, 240)) < 0.1
    field, start = MotionField(moved, lost, size_hw), grid_positions(size_hw, 2)
    found = {}
    for when in ("never", "now"):
        monkeypatch.setattr(Loops, "when", when)
        follower = PackedFollower(size_hw)
        step = follower.step(moved, lost, 8)
        steps: list[Step | None] = [step, step, step]
        trail, checkpoint = follower.trail(start), follower.checkpoint(start, 2, steps)
        whole, further = trail.follow(steps, None), trail.follow([step, *steps], field)
        for rows in (slice(0, 77), slice(77, 540)):
            checkpoint.compose(rows)
        found[when] = *whole, *further, as_cells(checkpoint.step())
    for plain, compiled in zip(found["never"], found["now"], strict=True):
        assert plain.tobytes() == compiled.tobytes()


def test_loops_that_come_and_go_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are loaded while frames are followed without them."""
    rng, size_hw = np.random.default_rng(4), (42, 70)
    always, changing = MotionChain(size_hw), MotionChain(size_hw)
    for number in range(60):
        moved = (rng.integers(-20, 21, (6, 9, 2)) / 4).astype(np.float32)
        moved[rng.random((6, 9)) < 0.8] = 0
        field = MotionField(moved, rng.random((6, 9)) < 0.05, size_hw)
        found = []
        for chain, when in ((always, "never"), (changing, "now" if number % 13 > 5 else "never")):
            monkeypatch.setattr(Loops, "when", when)
            chain.push(field)
            found.append(chain.compose(4))
        assert np.array_equal(found[0].displacement, found[1].displacement)
        assert np.array_equal(found[0].unreferenced, found[1].unreferenced)


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

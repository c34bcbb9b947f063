"""Compiled loops of motion give what NumPy gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gopseg.codec import MotionChain, MotionField, MotionVectors, filled, mix_with_nearest, nearest_known
from gopseg.codec.motion.chain import grid_positions
from gopseg.codec.motion.field import LOOPS
from gopseg.codec.motion.following import PackedFollower, Step
from gopseg.codec.reading.sidedata import VECTOR_DTYPE
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


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1), (37, 61), (64, 96), (24, 600)]),
    st.sampled_from([(0, 0), (3, 0), (5, 6)]),
    st.sampled_from([0, 40, 400]),
)
@settings(max_examples=60, deadline=None)
def test_vectors_to_cells(seed: int, size_hw: tuple[int, int], off: tuple[int, int], count: int) -> None:
    """Blocks that overlap, are not in the picture, or point ahead; and pictures that are cropped or mirrored."""
    rng = np.random.default_rng(seed)
    array = np.zeros(count, VECTOR_DTYPE)
    array["source"] = rng.choice([-1, 1], count, p=[0.9, 0.1])
    array["w"], array["h"] = rng.choice([8, 16], (2, count))
    for name, size, start in zip(("dst_y", "dst_x"), size_hw, off, strict=True):
        array[name] = 8 * rng.integers(-3, size // 8 + 4, count) + start
    array["dst_x"] += array["w"] // 2
    array["dst_y"] += array["h"] // 2
    array["motion_x"], array["motion_y"] = rng.integers(-(2**26), 2**26, (2, count)) >> rng.integers(0, 24, (2, count))
    array["motion_scale"] = rng.choice([0, 1, 2, 3, 4, 8, 65535], count, p=[0.1, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1])
    array.flags.writeable = False
    found = []
    for when in ("never", "now"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loops, "when", when)
            field = MotionField.from_vectors(MotionVectors(array, size_hw))
            found.append((field, filled(field)))
    for plain, compiled in zip(*found, strict=True):
        assert plain.displacement.tobytes() == compiled.displacement.tobytes()
        assert np.array_equal(plain.unreferenced, compiled.unreferenced)


def test_vectors_that_are_laid_out_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = np.dtype([(name, VECTOR_DTYPE.fields[name][0]) for name in VECTOR_DTYPE.names or ()])  # type: ignore[index]
    array = np.zeros(1, packed)
    array[["source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_scale"]] = (-1, 8, 8, 12, 4, 6, 4)
    monkeypatch.setattr(Loops, "when", "now")
    field = MotionField.from_vectors(MotionVectors(array, (16, 24)))
    assert field.displacement[0, 1].tolist() == [1.5, 0]
    assert np.count_nonzero(~field.unreferenced) == 1


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_cells_mixed_with_the_nearest(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((19, 23, 5)).astype(np.float32)[:, ::-1]
    unknown = rng.random((19, 23)) < 0.6
    found = []
    for when in ("never", "now"):
        monkeypatch.setattr(Loops, "when", when)
        found.append(mix_with_nearest(values, unknown, share))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0][~unknown], values[~unknown])
    assert not np.array_equal(found[0][unknown], values[unknown])


def test_fields_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they come from files."""
    moved, lost = np.full((4, 5, 2), 1.25, np.float32)[:, ::-1], np.zeros((4, 5), np.bool_)
    moved.flags.writeable = lost.flags.writeable = False
    monkeypatch.setattr(Loops, "when", "now")
    chain = MotionChain((32, 40))
    chain.push(MotionField(moved, lost, (32, 40)))
    assert (chain.compose(8).displacement[1, 1] == 1.25).all()

"""`MotionChain` against a plain loop over positions, and on clips whose motion is known exactly."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gopseg.codec import MotionChain, MotionField, open_video
from gopseg.codec.motion.chain import SEGMENT
from gopseg.codec.motion.following import PackedFollower, PlainFollower, follower

pytestmark = pytest.mark.usefixtures("each_way")


def field_of(rng: np.random.Generator, size_hw: tuple[int, int], reach: int, intra: float) -> MotionField:
    rows, cols = -(-size_hw[0] // 8), -(-size_hw[1] // 8)
    displacement = (rng.integers(-reach, reach + 1, (rows, cols, 2)) / 4).astype(np.float32)
    unreferenced = rng.random((rows, cols)) < intra
    displacement[unreferenced] = 0
    return MotionField(displacement, unreferenced, size_hw)


def plain_chain(
    fields: list[MotionField | None], size_hw: tuple[int, int], grid_hw: tuple[int, int], cell: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Each position by itself, in quarter pixels: cell by division, step, clamp to the first or last pixel's centre."""
    height, width = size_hw

    def inside(x: int, y: int) -> tuple[int, int]:
        return min(max(x, 2), width * 4 - 2), min(max(y, 2), height * 4 - 2)

    displacement, lost = np.zeros((*grid_hw, 2)), np.zeros(grid_hw, bool)
    for i in range(grid_hw[0]):
        for j in range(grid_hw[1]):
            start = x, y = inside(round((j + 0.5) * cell[1] * 4), round((i + 0.5) * cell[0] * 4))
            for field in reversed(fields):
                if field is None:
                    lost[i, j] = True
                    continue
                at = y // 32, x // 32
                lost[i, j] |= field.unreferenced[at]
                dx, dy = field.displacement[at]
                x, y = inside(x + round(float(dx) * 4), y + round(float(dy) * 4))
            displacement[i, j] = (x - start[0]) / 4, (y - start[1]) / 4
    return displacement, lost


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 6),
    st.sampled_from([4, 40, 4000]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([4, 8, 1, 3, "pixel", (5, 7), (1, 1), (16, 3)]),
    st.integers(0, 9),
)
@settings(max_examples=120, deadline=None)
def test_against_a_loop_over_positions(
    seed: int, height: int, width: int, count: int, reach: int, intra: float, grid: Any, missing: int
) -> None:
    rng = np.random.default_rng(seed)
    size_hw = height, width
    fields: list[MotionField | None] = [field_of(rng, size_hw, reach, intra) for _ in range(count)]
    if missing < count:
        fields[missing] = None
    chain = MotionChain(size_hw)
    for field in fields:
        chain.push(field)
    assert len(chain) == count
    got = chain.compose(grid)
    if isinstance(grid, tuple):
        grid_hw, cell = grid, (height / grid[0], width / grid[1])
    else:
        side = 1 if grid == "pixel" else grid
        grid_hw, cell = (-(-height // side), -(-width // side)), (side, side)
    displacement, lost = plain_chain(fields, size_hw, grid_hw, cell)
    assert (got.displacement.dtype, got.unreferenced.dtype) == (np.float32, np.bool_)
    assert (got.size_hw, got.cell) == (size_hw, cell)
    assert np.array_equal(got.unreferenced, lost)
    assert np.array_equal(got.displacement, displacement.astype(np.float32))


def test_pictures_larger_than_one_chunk() -> None:
    """More positions than are followed at a time: the seams show nowhere."""
    rng = np.random.default_rng(1)
    fields = [field_of(rng, (300, 520), 60, 0.05) for _ in range(3)]
    chain = MotionChain((300, 520))
    for field in fields:
        chain.push(field)
    whole = chain.compose("pixel")
    rows = np.arange(300)
    for i in (0, 125, 126, 127, 252, 299):
        y, x = np.full(520, i) * 4 + 2, np.arange(520) * 4 + 2
        x0, y0 = x.copy(), y.copy()
        for field in reversed(fields):
            step = (field.displacement[y // 32, x // 32] * 4).astype(int)
            x, y = np.clip(x + step[:, 0], 2, 520 * 4 - 2), np.clip(y + step[:, 1], 2, 300 * 4 - 2)
        assert np.array_equal(whole.displacement[rows[i]], np.stack([x - x0, y - y0], 1) / 4)


def test_up_to_fifteen_frames_every_field_is_followed() -> None:
    rng = np.random.default_rng(3)
    fields: list[MotionField | None] = [field_of(rng, (40, 56), 30, 0.02) for _ in range(2 * SEGMENT - 1)]
    chain = MotionChain((40, 56))
    for count, field in enumerate(fields, 1):
        chain.push(field)
        got, (displacement, lost) = chain.compose(4), plain_chain(fields[:count], (40, 56), (10, 14), (4, 4))
        assert np.array_equal(got.displacement, displacement.astype(np.float32))
        assert np.array_equal(got.unreferenced, lost)


def test_from_further_back_motion_is_what_was_composed_before() -> None:
    """Beyond the first checkpoint ways are close to those through every field, and as long as before."""
    rng = np.random.default_rng(4)
    ways = [cv2.resize(rng.normal(0, 1, (2, 2, 2)), (16, 12)) for _ in range(4)]  # a camera that turns and rolls
    fields: list[MotionField | None] = [
        MotionField(np.rint(ways[count // 16] * 4).astype(np.float32) / 4, rng.random((12, 16)) < 0.002, (96, 128))
        for count in range(61)
    ]
    chain, longest = MotionChain((96, 128)), 0
    for field in fields:
        chain.push(field)
        longest = max(longest, len(chain._way()))
    assert len(chain) == 61
    assert longest == 2 * SEGMENT
    got = chain.compose(4)
    displacement, lost = plain_chain(fields, (96, 128), (24, 32), (4, 4))
    apart = np.abs(got.displacement - displacement).max(2)
    assert (apart <= 2).mean() > 0.85
    assert (got.unreferenced == lost).mean() > 0.85
    assert not np.array_equal(got.displacement, displacement)
    chain.reset()
    chain.push(fields[0])
    displacement, lost = plain_chain(fields[:1], (96, 128), (24, 32), (4, 4))
    assert np.array_equal(chain.compose(4).displacement, displacement.astype(np.float32))


def test_an_unbounded_chain_follows_every_field() -> None:
    rng = np.random.default_rng(6)
    fields: list[MotionField | None] = [field_of(rng, (24, 32), 12, 0.01) for _ in range(2 * SEGMENT + 3)]
    chain = MotionChain((24, 32), bounded=False)
    for field in fields:
        chain.push(field)
    got, (displacement, lost) = chain.compose(4), plain_chain(fields, (24, 32), (6, 8), (4, 4))
    assert np.array_equal(got.displacement, displacement.astype(np.float32))
    assert np.array_equal(got.unreferenced, lost)


def test_what_is_lost_before_a_checkpoint_stays_lost() -> None:
    rng = np.random.default_rng(5)
    chain = MotionChain((40, 56))
    for count in range(40):
        chain.push(None if count == 2 else field_of(rng, (40, 56), 8, 0))
        assert chain.compose(8).unreferenced.all() == (count >= 2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.sampled_from([4, 40, 40_000]))
@settings(max_examples=20, deadline=None)
def test_both_ways_to_follow_positions(seed: int, height: int, width: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    size_hw = height, width
    chains = [MotionChain(size_hw) for _ in range(2)]
    chains[1]._follower = PlainFollower(size_hw)
    for _ in range(2 * SEGMENT + 5):
        field = field_of(rng, size_hw, reach, 0.05)
        for chain in chains:
            chain.push(field)
    one, other = (chain.compose(2) for chain in chains)
    assert np.array_equal(one.displacement, other.displacement)
    assert np.array_equal(one.unreferenced, other.unreferenced)


@pytest.mark.parametrize(("size_hw", "kind"), [((4095, 8191), PackedFollower), ((4096, 16), PlainFollower)])
def test_pictures_too_large_for_sixteen_bits(size_hw: tuple[int, int], kind: type[Any]) -> None:
    assert type(follower(size_hw)) is kind
    grid_hw = -(-size_hw[0] // 8), -(-size_hw[1] // 8)
    displacement = np.zeros((*grid_hw, 2), np.float32)
    displacement[0, 0], displacement[-1, -1] = size_hw[::-1], (-size_hw[1], -size_hw[0])  # from corner to corner
    chain = MotionChain(size_hw)
    for far in (True, False):
        chain.push(MotionField(displacement, np.zeros(grid_hw, np.bool_), size_hw))
        got = chain.compose(8).displacement
        assert (got[0, 0] == ([size_hw[1] - 4.5, size_hw[0] - 4.5] if far else [-3.5, -3.5])).all()
        assert not got[1:-1].any()


def test_every_position_stays_in_the_picture() -> None:
    rng = np.random.default_rng(2)
    chain = MotionChain((50, 70))
    for _ in range(9):
        chain.push(field_of(rng, (50, 70), 2000, 0.1))
        motion = chain.compose("pixel")
        y, x = np.mgrid[:50, :70]
        assert ((x + motion.displacement[..., 0] >= 0) & (x + motion.displacement[..., 0] <= 69)).all()
        assert ((y + motion.displacement[..., 1] >= 0) & (y + motion.displacement[..., 1] <= 49)).all()


def test_a_keyframe_has_no_motion() -> None:
    chain = MotionChain((40, 56))
    chain.push(field_of(np.random.default_rng(0), (40, 56), 30, 0.5))
    assert chain.compose().displacement.any()
    chain.reset()
    assert len(chain) == 0
    still = chain.compose()
    assert not still.displacement.any()
    assert not still.unreferenced.any()


def test_nothing_known_is_sticky_until_the_next_keyframe() -> None:
    rng = np.random.default_rng(0)
    chain = MotionChain((40, 56))
    first = field_of(rng, (40, 56), 12, 0)
    chain.push(first)
    before = chain.compose()
    assert not before.unreferenced.any()
    chain.push(None)
    unknown = chain.compose()
    assert unknown.unreferenced.all()
    assert np.array_equal(unknown.displacement, before.displacement)
    chain.push(field_of(rng, (40, 56), 12, 0))
    assert chain.compose().unreferenced.all()
    chain.reset()
    chain.push(first)
    assert np.array_equal(chain.compose().displacement, before.displacement)
    assert not chain.compose().unreferenced.any()


def test_composing_changes_nothing() -> None:
    """compose() may be called at any time, on several grids, and its results stay what they were."""
    rng = np.random.default_rng(0)
    fields = [field_of(rng, (64, 96), 30, 0.1) for _ in range(4)]
    often, once = MotionChain((64, 96)), MotionChain((64, 96))
    kept = []
    for field in fields:
        often.push(field)
        once.push(field)
        kept.append((often.compose(4), often.compose(4).displacement.copy()))
        often.compose("pixel")
        often.compose((8, 12))
    assert np.array_equal(often.compose().displacement, once.compose().displacement)
    assert all(np.array_equal(motion.displacement, copy) for motion, copy in kept)


def test_the_field_on_its_own_grid_is_the_last_field() -> None:
    rng = np.random.default_rng(0)
    chain = MotionChain((64, 96))
    field = field_of(rng, (64, 96), 8, 0.2)
    chain.push(field)
    motion = chain.compose(8)
    inner = np.s_[1:-1, 1:-1]
    assert np.array_equal(motion.displacement[inner], field.displacement[inner])
    assert np.array_equal(motion.unreferenced, field.unreferenced)
    assert np.array_equal(chain.compose((8, 12)).displacement, motion.displacement)


@pytest.mark.parametrize("grid", [0, -4, "cells", (0, 3), (3,), (1, 2, 3), 2.5])
def test_impossible_grids(grid: Any) -> None:
    with pytest.raises(ValueError, match="grid"):
        MotionChain((16, 16)).compose(grid)


def test_fields_of_another_size() -> None:
    rng = np.random.default_rng(0)
    chain = MotionChain((64, 96))
    with pytest.raises(ValueError, match="does not fit"):
        chain.push(field_of(rng, (64, 97), 8, 0))
    composed = MotionChain((64, 96)).compose(4)
    with pytest.raises(ValueError, match="does not fit"):
        chain.push(composed)
    assert len(chain) == 0


def warp(image: np.ndarray, motion: MotionField) -> np.ndarray:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    return cv2.remap(image, x + motion.displacement[..., 0], y + motion.displacement[..., 1], cv2.INTER_LINEAR)


def test_a_camera_that_moves_evenly(make: Any) -> None:
    """At distance d the chain points back by d steps, and the keyframe warped with it is the frame."""
    frames = make.sliding(160, 208, 12, (3, 2))
    path = make.clip("chain.mp4", frames, profile="ippp", options={"crf": "10"})
    with open_video(path) as video:
        chain = MotionChain(video.size_hw)
        for frame in video:
            if frame.is_keyframe:
                key = frame.image
                chain.reset()
                continue
            assert frame.motion is not None
            chain.push(MotionField.from_vectors(frame.motion))
            d = frame.distance
            motion = chain.compose()
            inner = motion.displacement[4 : -(2 * d // 4 + 5), 4 : -(3 * d // 4 + 5)].reshape(-1, 2)
            assert (inner == [3 * d, 2 * d]).all(1).mean() > 0.9
            assert np.median(inner, 0).tolist() == [3 * d, 2 * d]
            here = np.s_[16 : 140 - 2 * d, 16 : 190 - 3 * d]
            assert make.psnr(warp(key, chain.compose("pixel"))[here], frame.image[here]) > 36
            assert make.psnr(key[here], frame.image[here]) < 24


@pytest.mark.parametrize("kind", [PackedFollower, PlainFollower])
@pytest.mark.parametrize("grid", [4, "pixel", (9, 13)])
def test_composing_every_frame_is_composing_one(kind: type[Any], grid: Any) -> None:
    """Most cells stay where they are, so that what the frame before came to is used again."""
    rng = np.random.default_rng(7)
    size_hw = 42, 70
    fields: list[MotionField | None] = []
    for number in range(3 * SEGMENT + 2):
        field = field_of(rng, size_hw, 12, 0.05)
        stays = rng.random(field.unreferenced.shape) < (0.0 if number % 7 == 6 else 0.9)
        field.displacement[stays] = 0
        fields.append(None if number == 2 * SEGMENT + 3 else field)
    every = MotionChain(size_hw)
    every._follower = kind(size_hw)
    for number, field in enumerate(fields):
        if number == 2 * SEGMENT + 5:
            every.reset()
        every.push(field)
        got = every.compose(grid)
        assert every.compose(grid) is got
        one = MotionChain(size_hw)
        one._follower = kind(size_hw)
        for each in fields[2 * SEGMENT + 5 : number + 1] if number >= 2 * SEGMENT + 5 else fields[: number + 1]:
            one.push(each)
        expected = one.compose(grid)
        assert np.array_equal(got.displacement, expected.displacement)
        assert np.array_equal(got.unreferenced, expected.unreferenced)

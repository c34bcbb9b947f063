"""`MotionField.from_vectors` against a plain loop over blocks, and on clips whose motion is known exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gopseg.codec import MotionField, MotionVectors, open_video
from gopseg.codec.reading.sidedata import VECTOR_DTYPE

Block = tuple[int, int, int, int, int, int, int, int]  # x, y, w, h, motion_x, motion_y, scale, source


def vectors_of(blocks: list[Block], size_hw: tuple[int, int]) -> MotionVectors:
    array = np.zeros(len(blocks), VECTOR_DTYPE)
    for record, (x, y, w, h, mx, my, scale, source) in zip(array, blocks, strict=True):
        record["w"], record["h"], record["source"], record["motion_scale"] = w, h, source, scale
        record["dst_x"], record["dst_y"] = x + w // 2, y + h // 2
        record["motion_x"], record["motion_y"] = mx, my
    return MotionVectors(array, size_hw)


def plain_field(blocks: list[Block], size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One block after the other, pixel by pixel, and then the pixel at each cell's centre."""
    height, width = size_hw
    dense = np.zeros((height + 64, width + 64, 2))
    known = np.zeros((height + 64, width + 64), bool)
    for x, y, w, h, mx, my, scale, source in blocks:
        if source < 0:
            for row in range(max(y, 0), y + h):
                for col in range(max(x, 0), x + w):
                    dense[row, col] = mx / scale, my / scale
                    known[row, col] = True
    rows, cols = -(-height // 8), -(-width // 8)
    field, mask = np.zeros((rows, cols, 2)), np.zeros((rows, cols), bool)
    for i in range(rows):
        for j in range(cols):
            is_aligned = all(b[0] % 8 == 0 and b[1] % 8 == 0 for b in blocks)
            at = (8 * i + 4, 8 * j + 4) if is_aligned else (min(8 * i + 4, height - 1), min(8 * j + 4, width - 1))
            field[i, j], mask[i, j] = dense[at], known[at]
    return field, ~mask


@st.composite
def macroblocks(draw: st.DrawFn) -> tuple[list[Block], tuple[int, int]]:
    """A P-frame as a codec tiles it: macroblocks whole, halved, quartered or intra, of a picture of any size."""
    size_hw = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    shift = draw(st.sampled_from([(0, 0), (0, 0), (5, 0), (0, 3), (7, 1)]))
    component = st.integers(-300, 300)
    blocks: list[Block] = []
    for y in range(-16 if shift[1] else 0, size_hw[0], 16):
        for x in range(-16 if shift[0] else 0, size_hw[1], 16):
            shape = draw(st.sampled_from([None, (16, 16), (16, 8), (8, 16), (8, 8)]))
            if shape is None:
                continue
            for dy in range(0, 16, shape[1]):
                for dx in range(0, 16, shape[0]):
                    vector = draw(component), draw(component), draw(st.sampled_from([1, 2, 4])), -1
                    blocks.append((x + dx + shift[0], y + dy + shift[1], *shape, *vector))
    return draw(st.permutations(blocks)), size_hw


@given(macroblocks())
@settings(max_examples=150, deadline=None)
def test_against_a_loop_over_blocks(case: tuple[list[Block], tuple[int, int]]) -> None:
    blocks, size_hw = case
    field = MotionField.from_vectors(vectors_of(blocks, size_hw))
    displacement, unreferenced = plain_field(blocks, size_hw)
    assert (field.displacement.dtype, field.unreferenced.dtype) == (np.float32, np.bool_)
    assert (field.size_hw, field.cell) == (size_hw, (8, 8))
    assert np.array_equal(field.unreferenced, unreferenced)
    assert np.array_equal(field.displacement, displacement.astype(np.float32))


def test_no_vectors_at_all() -> None:
    field = MotionField.from_vectors(vectors_of([], (20, 30)))
    assert field.displacement.shape == (3, 4, 2)
    assert field.unreferenced.all()
    assert not field.displacement.any()


def test_only_vectors_into_the_past_count() -> None:
    blocks: list[Block] = [(0, 0, 16, 16, 4, 8, 4, 1), (16, 0, 16, 16, -4, 12, 4, -1), (16, 0, 16, 16, 99, 99, 4, 1)]
    field = MotionField.from_vectors(vectors_of(blocks, (16, 32)))
    assert field.unreferenced.tolist() == [[True, True, False, False]] * 2
    assert field.displacement[:, 2:].reshape(-1, 2).tolist() == [[-1.0, 3.0]] * 4


def test_blocks_outside_the_picture_are_ignored() -> None:
    """Damaged streams export places far outside."""
    blocks: list[Block] = [
        (x, y, 16, 16, 4, 4, 4, -1) for x, y in ((-4096, 0), (0, -160), (8000, 0), (0, 8000), (64, 64))
    ]
    field = MotionField.from_vectors(vectors_of(blocks, (32, 48)))
    assert field.unreferenced.all()


def test_a_scale_of_zero_is_survived() -> None:
    field = MotionField.from_vectors(vectors_of([(0, 0, 16, 16, 4, 4, 0, -1)], (16, 16)))
    assert np.isfinite(field.displacement).all()


def test_shapes_that_disagree() -> None:
    with pytest.raises(ValueError, match="must be"):
        MotionField(np.zeros((2, 3, 2), np.float32), np.zeros((3, 2), bool), (16, 24))


@pytest.mark.parametrize("step_xy", [(3, 2), (-5, 0), (0, 7), (4, -6)])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_camera_that_moves_evenly(make: Any, step_xy: tuple[int, int], codec: str) -> None:
    """Away from the borders that the camera uncovers, every block points back by exactly the camera's step."""
    frames = make.sliding(144, 176, 8, step_xy)
    options = {"profile": "ippp", "options": {"crf": "14"}} if codec == "libx264" else {"bit_rate": 3_000_000}
    path = make.clip(f"even{step_xy}{codec}.mp4", frames, codec=codec, **options)
    with open_video(path) as video:
        for frame in video:
            if frame.motion is None:
                continue
            field = MotionField.from_vectors(frame.motion)
            inner = field.displacement[2:-2, 2:-2].reshape(-1, 2)
            exact = (inner == np.array(step_xy, np.float32)).all(1)
            assert exact.mean() > 0.97
            assert not field.unreferenced[2:-2, 2:-2].any()


def test_a_moving_square(make: Any) -> None:
    """A textured square goes 6 right and 4 down a frame over a still scene: its blocks point back, the others rest."""
    scene, square = make.texture(160, 208, 1), make.texture(48, 48, 2)
    frames, places = [], []
    for i in range(10):
        x, y = 16 + 6 * i, 24 + 4 * i
        frame = scene.copy()
        frame[y : y + 48, x : x + 48] = square
        frames.append(frame)
        places.append((x, y))
    path: Path = make.clip("square.mp4", frames, profile="ippp", options={"crf": "10"})
    with open_video(path) as video:
        for frame, (x, y) in zip(video, places, strict=True):
            if frame.motion is None:
                continue
            field = MotionField.from_vectors(frame.motion)
            cells_y, cells_x = np.mgrid[: field.displacement.shape[0], : field.displacement.shape[1]] * 8
            within = (cells_x >= x) & (cells_x + 8 <= x + 48) & (cells_y >= y) & (cells_y + 8 <= y + 48)
            away = (cells_x + 8 <= x - 22) | (cells_x >= x + 64) | (cells_y + 8 <= y - 20) | (cells_y >= y + 64)
            assert (field.displacement[within] == [-6, -4]).all(1).mean() > 0.95
            assert (field.displacement[away] == 0).all()
            assert not field.unreferenced[within | away].any()


def test_skipped_blocks_are_referenced(make: Any) -> None:
    """A still scene is all skipped macroblocks. FFmpeg exports a vector for each: they are no intra blocks."""
    path = make.clip("still.mp4", [make.texture(144, 176)] * 6, profile="ippp")
    with open_video(path) as video:
        predicted = [f for f in video if f.motion is not None]
    assert len(predicted) == 5
    for frame in predicted:
        assert frame.packet_bytes < 60  # 99 macroblocks cannot be coded in so little: they are skipped
        assert frame.motion is not None
        assert len(frame.motion) == 99
        field = MotionField.from_vectors(frame.motion)
        assert not field.unreferenced.any()
        assert not field.displacement.any()


def test_intra_blocks_are_unreferenced(make: Any) -> None:
    """Where something new appears in one frame, the encoder finds nothing to predict it from."""
    scene = make.texture(144, 176)
    after = scene.copy()
    after[48:96, 64:112] = np.random.default_rng(0).integers(0, 2, (6, 6, 3)).repeat(8, 0).repeat(8, 1) * 255
    path = make.clip("new.mp4", [scene, scene, after, after], profile="ippp")
    with open_video(path) as video:
        fields = [None if f.motion is None else MotionField.from_vectors(f.motion) for f in video]
    assert fields[2] is not None
    assert fields[2].unreferenced[6:12, 8:14].mean() > 0.6
    outside = fields[2].unreferenced.copy()
    outside[6:12, 8:14] = False
    assert not outside.any()
    assert fields[3] is not None
    assert not fields[3].unreferenced.any()

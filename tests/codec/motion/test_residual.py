"""The residual stand-in: prediction, difference, and energy by cells, against their plain definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import MotionField, open_video
from gopseg.codec.motion.residual import block_energy, block_variance, compensate, residual_of


def field_of(displacement: np.ndarray, size_hw: tuple[int, int], cell: float = 8) -> MotionField:
    rows, columns = displacement.shape[:2]
    return MotionField(displacement.astype(np.float32), np.zeros((rows, columns), np.bool_), size_hw, (cell, cell))


def predicted_plainly(reference: np.ndarray, field: MotionField) -> np.ndarray:
    """Pixel by pixel, bilinearly, border pixels repeated."""
    height, width = field.size_hw
    result = np.empty(reference.shape, np.float64)
    for y in range(height):
        for x in range(width):
            dx, dy = field.displacement[int(y // field.cell[0]), int(x // field.cell[1])]
            at_x, at_y = float(x + dx), float(y + dy)
            left, top = int(np.floor(at_x)), int(np.floor(at_y))
            value = np.zeros(reference.shape[2:])
            for j, wy in ((top, 1 - (at_y - top)), (top + 1, at_y - top)):
                for i, wx in ((left, 1 - (at_x - left)), (left + 1, at_x - left)):
                    value = value + wx * wy * reference[np.clip(j, 0, height - 1), np.clip(i, 0, width - 1)]
            result[y, x] = value
    return result


@pytest.mark.parametrize("channels", [(), (3,)], ids=["luma", "rgb"])
@pytest.mark.parametrize("size_hw", [(24, 32), (21, 35)], ids=["whole-cells", "part-cells"])
def test_compensation_is_its_definition(size_hw: tuple[int, int], channels: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    reference = rng.integers(0, 256, (*size_hw, *channels), dtype=np.uint8)
    grid = -(-size_hw[0] // 8), -(-size_hw[1] // 8)
    field = field_of(rng.integers(-60, 61, (*grid, 2)) / 4, size_hw)
    assert np.abs(compensate(reference, field) - predicted_plainly(reference, field)).max() <= 1


def test_cells_of_another_size() -> None:
    rng = np.random.default_rng(2)
    reference = rng.integers(0, 256, (12, 20), dtype=np.uint8)
    for cell in (1, 4):
        field = field_of(rng.integers(-8, 9, (12 // cell, 20 // cell, 2)) / 4, (12, 20), cell)
        assert np.abs(compensate(reference, field) - predicted_plainly(reference, field)).max() <= 1


def test_the_residual_is_signed_and_exact() -> None:
    rng = np.random.default_rng(3)
    before = rng.integers(0, 256, (16, 24), dtype=np.uint8)
    now = rng.integers(0, 256, (16, 24), dtype=np.uint8)
    still = field_of(np.zeros((2, 3, 2)), (16, 24))
    rest = residual_of(now, before, still)
    assert rest.dtype == np.int16
    assert np.array_equal(rest, now.astype(np.int16) - before)
    assert rest.min() < -128
    assert rest.max() > 127


@pytest.mark.parametrize("size_hw", [(32, 48), (37, 50), (8, 3), (17, 16)])
@pytest.mark.parametrize("cell", [8, 16])
def test_energy_is_the_mean_square_of_what_is_inside(size_hw: tuple[int, int], cell: int) -> None:
    values = np.random.default_rng(4).integers(-255, 256, size_hw).astype(np.int16)
    rows, columns = -(-size_hw[0] // cell), -(-size_hw[1] // cell)
    expected = [
        [
            np.mean(values[i * cell : (i + 1) * cell, j * cell : (j + 1) * cell].astype(np.float64) ** 2)
            for j in range(columns)
        ]
        for i in range(rows)
    ]
    energy = block_energy(values, cell)
    assert energy.shape == (rows, columns)
    assert energy == pytest.approx(np.array(expected), rel=1e-5)


def test_energy_of_colours_is_their_mean() -> None:
    values = np.random.default_rng(5).integers(-255, 256, (16, 16, 3)).astype(np.int16)
    channels = np.stack([block_energy(values[..., c]) for c in range(3)])
    assert block_energy(values) == pytest.approx(channels.mean(0), rel=1e-5)


@pytest.mark.parametrize("size_hw", [(32, 48), (37, 50)])
def test_variance_is_numpys(size_hw: tuple[int, int]) -> None:
    luma = np.random.default_rng(6).integers(0, 256, size_hw, dtype=np.uint8)
    luma[:8] = 200
    variance = block_variance(luma)
    assert not variance[0].any()
    for (i, j), value in np.ndenumerate(variance):
        assert value == pytest.approx(luma[8 * i : 8 * i + 8, 8 * j : 8 * j + 8].var(), rel=1e-3, abs=0.05)


def test_wrong_sizes_are_refused() -> None:
    field = field_of(np.zeros((2, 3, 2)), (16, 24))
    picture = np.zeros((16, 16), np.uint8)
    with pytest.raises(ValueError, match="does not fit"):
        compensate(picture, field)
    with pytest.raises(ValueError, match="cannot be compared"):
        residual_of(picture, np.zeros((16, 24), np.uint8), field)


def test_a_known_motion_leaves_little(sliding_clip: Path, make: Any) -> None:
    with open_video(sliding_clip) as video:
        before = next(video).luma
        for frame in video:
            if frame.motion is not None:
                field = MotionField.from_vectors(frame.motion)
                known = np.kron(~field.unreferenced, np.ones((8, 8), bool))[:144, :176]
                moved = make.psnr(frame.luma[known], compensate(before, field)[known])
                still = make.psnr(frame.luma[known], before[known])
                assert moved > still + 10
            before = frame.luma

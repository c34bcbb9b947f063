"""The keyframe warped by composed vectors against the frame itself, on a rendered drive and on CamVid's val (15 fps).

The first figures, taken when the mode was designed, are for a 101-frame clip at 750 kb/s of which val is the first
half, at d = 1 / 3 / 6 / 11: 29.7 / 25.6 / 23.3 / 21.3 dB, no warp 19.5 / 17.4 / 16.3 / 15.5, and at d = 11 by sampling:
cell by cell 20.3, 8x8 20.8, 4x4 21.1, every pixel 21.3. Val alone is the easier half. Measured here (FFmpeg 8.1.2, PyAV
18.1):

    no warp       21.12 / 18.57 / 17.42 / 16.70
    cell by cell  30.48 / 25.64 / 22.72 / 20.21
    8x8           30.58 / 25.83 / 23.43 / 21.50
    4x4           30.63 / 26.36 / 23.93 / 22.03
    every pixel   30.73 / 26.76 / 24.29 / 22.32
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from gopseg.codec import MotionChain, MotionField, open_video

DISTANCES = (1, 3, 6, 11)


def cell_by_cell(fields: list[MotionField]) -> np.ndarray:
    """The plain way to chain: each cell adds the composed vector of the cell that it points to, (h, w, 2)."""
    composed = np.zeros_like(fields[0].displacement)
    rows, cols = np.mgrid[: composed.shape[0], : composed.shape[1]]
    for field in fields:
        at_x = np.clip(np.rint(cols + field.displacement[..., 0] / 8).astype(int), 0, cols.max())
        at_y = np.clip(np.rint(rows + field.displacement[..., 1] / 8).astype(int), 0, rows.max())
        composed = field.displacement + composed[at_y, at_x]
    return composed


def psnr_by_method(make: Any, name: str, images: list[np.ndarray]) -> dict[str, dict[int, float]]:
    """PSNR in dB at each distance, of the mean squared error over the clip's GOPs."""
    path = make.clip(name, images, profile="ippp", rate=15, gop=12, bit_rate=750_000)
    errors: dict[str, dict[int, list[float]]] = {}
    with open_video(path) as video:
        assert video.motion_absence is None
        height, width = video.size_hw
        y, x = np.mgrid[:height, :width].astype(np.float32)
        chain = MotionChain(video.size_hw)
        fields: list[MotionField] = []
        for frame in video:
            assert frame.distance == frame.index % 12
            if frame.is_keyframe:
                key = frame.image
                chain.reset()
                fields.clear()
                continue
            assert frame.motion is not None
            fields.append(MotionField.from_vectors(frame.motion))
            chain.push(fields[-1])
            if frame.distance not in DISTANCES:
                continue

            def pixels(displacement: np.ndarray, cell: int) -> np.ndarray:
                return displacement.repeat(cell, 0).repeat(cell, 1)[:height, :width]

            motions = {
                "none": np.zeros((height, width, 2), np.float32),
                "cell by cell": pixels(cell_by_cell(fields), 8),
                "8x8": pixels(chain.compose(8).displacement, 8),
                "4x4": pixels(chain.compose(4).displacement, 4),
                "pixel": chain.compose("pixel").displacement,
            }
            for name, motion in motions.items():
                warped = cv2.remap(key, x + motion[..., 0], y + motion[..., 1], cv2.INTER_LINEAR)
                error = float(np.mean((warped.astype(np.float64) - frame.image) ** 2))
                errors.setdefault(name, {}).setdefault(frame.distance, []).append(error)
    return {
        name: {d: float(10 * np.log10(255**2 / np.mean(values))) for d, values in by_distance.items()}
        for name, by_distance in errors.items()
    }


@pytest.fixture(scope="module")
def on_street(make: Any, street: list[np.ndarray]) -> dict[str, dict[int, float]]:
    return psnr_by_method(make, "street.mp4", street)


def assert_warping_beats_repeating(psnr: dict[str, dict[int, float]]) -> None:
    for distance, gain in zip(DISTANCES, (9, 7, 6, 5), strict=True):
        assert psnr["4x4"][distance] > psnr["none"][distance] + gain


def assert_finer_is_better(psnr: dict[str, dict[int, float]], *, most_by_pixels: float) -> None:
    for distance in (3, 6, 11):
        order = [psnr[name][distance] for name in ("cell by cell", "8x8", "4x4", "pixel")]
        assert order == sorted(order)
    at_last = {name: figures[11] for name, figures in psnr.items()}
    assert at_last["8x8"] > at_last["cell by cell"] + 0.2
    assert at_last["4x4"] > at_last["8x8"] + 0.1
    assert at_last["pixel"] < at_last["4x4"] + most_by_pixels


def test_warping_beats_repeating_by_far(on_street: dict[str, dict[int, float]]) -> None:
    assert_warping_beats_repeating(on_street)


def test_finer_sampling_is_better(on_street: dict[str, dict[int, float]]) -> None:
    assert_finer_is_better(on_street, most_by_pixels=1.0)


def test_figures_on_real_video(make: Any, camvid_val: list[np.ndarray]) -> None:
    psnr = psnr_by_method(make, "camvid.mp4", camvid_val)
    for distance, expected in zip(DISTANCES, (29.7, 25.6, 23.3, 21.3), strict=True):
        assert psnr["pixel"][distance] == pytest.approx(expected, abs=1.5)
    for distance, expected in zip(DISTANCES, (19.5, 17.4, 16.3, 15.5), strict=True):
        assert psnr["none"][distance] == pytest.approx(expected, abs=2)
    assert_warping_beats_repeating(psnr)
    assert_finer_is_better(psnr, most_by_pixels=0.5)

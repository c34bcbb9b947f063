"""Planes that become RGB on a device, and pictures made smaller there: what FFmpeg and OpenCV make of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gopseg.codec import Frame, open_video
from gopseg.pipelines.on_device import can_send_planes, sent_picture
from gopseg.pipelines.on_device.shrinking import area_means, shrunk

HALVES = [(45, 59), (44, 60), (90, 118)]
NOISE = np.random.default_rng(0).integers(0, 256, (90, 118, 3)).astype(np.uint8)


def first_frame(
    make_clip: Any, file: Path, settings: str, *, pixel_format: str = "yuv420p", image: Any = NOISE
) -> Frame:
    options = {"crf": "1", "x264-params": settings}
    with open_video(make_clip(file, [image], options=options, pixel_format=pixel_format)) as video:
        return next(iter(video))


@pytest.mark.parametrize("matrix", ["bt709", "fcc", "smpte170m", "smpte240m", "bt2020nc", "undef"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p"])
def test_planes_become_the_same_rgb_as_on_the_cpu(
    make_clip: Any, tmp_path: Path, matrix: str, pixel_format: str
) -> None:
    frame = first_frame(make_clip, tmp_path / "clip.mp4", f"colormatrix={matrix}", pixel_format=pixel_format)
    assert can_send_planes(frame)
    picture = sent_picture(frame, torch.device("cpu"))
    assert not frame.has_image
    assert picture.shape == (1, 90, 118, 3)
    assert np.array_equal(picture[0].numpy(), frame.image)


@pytest.mark.parametrize(
    ("settings", "pixel_format"),
    [("chromaloc=1", "yuv420p"), ("", "yuv444p"), ("", "yuv422p")],
    ids=["chroma between the columns", "4:4:4", "4:2:2"],
)
def test_where_planes_would_give_other_values_the_image_goes(
    make_clip: Any, tmp_path: Path, settings: str, pixel_format: str
) -> None:
    frame = first_frame(make_clip, tmp_path / "clip.mp4", settings, pixel_format=pixel_format)
    assert not can_send_planes(frame)
    assert np.array_equal(sent_picture(frame, torch.device("cpu"))[0].numpy(), frame.image)


def test_of_odd_sizes_the_image_goes() -> None:
    image = NOISE[:, :117]
    frame = Frame(0, None, Fraction(1), "I", True, 0, (90, 117), has_plain_planes=True, load_image=lambda: image)
    assert not can_send_planes(frame)
    assert np.array_equal(sent_picture(frame, torch.device("cpu"))[0].numpy(), image)


@pytest.mark.parametrize("small_hw", [(45, 59), (44, 60), (30, 59), (67, 88), (90, 118)])
def test_pictures_are_shrunk_as_opencv_does_it(small_hw: tuple[int, int]) -> None:
    pictures = torch.from_numpy(np.stack([NOISE, NOISE[::-1]]))
    expected = shrunk(pictures, small_hw)
    assert expected.shape == (2, *small_hw, 3)
    off = (area_means(pictures, small_hw).int() - expected.int()).abs()
    assert off.max() <= 1
    assert off.float().mean() < 0.02, "sums that end in a half, up to rounding"
    if small_hw in HALVES:
        assert not off.any()

"""`Frame.luma`: the decoder's own plane, in the orientation displayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gopseg.codec import open_video


def planes_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [picture.to_ndarray()[: picture.height].copy() for picture in container.decode(video=0)]


def test_luma_is_the_decoded_plane_whether_or_not_the_image_was_asked_for(sliding_clip: Path) -> None:
    expected = planes_of(sliding_clip)
    with open_video(sliding_clip) as video:
        for frame in video:
            if frame.index % 2:
                assert frame.image.shape == (144, 176, 3)
            assert frame.luma.dtype == np.uint8
            assert np.array_equal(frame.luma, expected[frame.index])
            assert frame.image.shape == (144, 176, 3)


def test_an_odd_crop(make: Any) -> None:
    path = make.clip("luma-crop.mp4", make.sliding(102, 150, 6, (2, 1)), profile="ippp")
    expected = planes_of(path)
    with open_video(path) as video:
        assert [np.array_equal(frame.luma, expected[frame.index]) for frame in video] == [True] * 6


def test_luma_is_turned_with_the_video(make: Any) -> None:
    frames = make.sliding(96, 160, 4, (2, 1))
    upright = make.clip("luma-0.mp4", frames, profile="ippp")
    turned = make.clip("luma-90.mp4", frames, profile="ippp", rotation=(-90, False, False))
    with open_video(upright) as a, open_video(turned) as b:
        for one, other in zip(a, b, strict=True):
            assert other.luma.shape == (160, 96)
            assert np.array_equal(np.rot90(one.luma, -1), other.luma)


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "gray", "yuvj420p", "yuv444p"])
def test_other_formats_come_as_8_bits(make: Any, pix_fmt: str) -> None:
    frames = make.sliding(96, 160, 3, (2, 1))
    codec, options = ("ffv1", {}) if pix_fmt == "gray" else ("libx264", {"crf": "1"})  # libx264 makes yuv420p of gray
    path = make.clip(f"luma-{pix_fmt}.mkv", frames, codec=codec, pix_fmt=pix_fmt, options=options)
    with open_video(path) as video:
        for frame in video:
            assert video.pixel_format == pix_fmt
            grey = frames[frame.index].astype(np.float64) @ [0.299, 0.587, 0.114]
            if pix_fmt.startswith(("yuv420", "yuv444")):
                grey = 16 + grey * 219 / 255
            assert np.abs(frame.luma - grey).mean() < 1.5


def test_without_pixels_there_is_no_luma(sliding_clip: Path) -> None:
    with open_video(sliding_clip, pixels=False) as video, pytest.raises(ValueError, match="pixels=True"):
        _ = next(video).luma


def test_shrunk_luma_is_the_mean_of_what_it_covers(sliding_clip: Path) -> None:
    with open_video(sliding_clip) as video:
        frame = next(video)
    means = frame.luma.reshape(36, 4, 44, 4).mean((1, 3))
    small = frame.shrunk_luma((36, 44))
    assert np.abs(small - means).max() <= 0.5
    assert frame.shrunk_luma((36, 44)) is small
    assert frame.shrunk_luma((18, 22)).shape == (18, 22)

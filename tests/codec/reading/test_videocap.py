"""Against mvextractor's VideoCap, an independent reader with its own FFmpeg: every vector and frame type equal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import open_video

FIELDS = ["source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale"]


@pytest.fixture(scope="module")
def video_cap() -> Any:
    try:
        from mvextractor.videocap import VideoCap
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("motion-vector-extractor is not installed (wheels: x86-64 Linux)")
    return VideoCap


def assert_equal_to_videocap(video_cap: Any, path: Path) -> None:
    other = video_cap()
    assert other.open(str(path))
    frames = vectors = 0
    with open_video(path, pixels=False) as video:
        for frame in video:
            success, _, theirs, kind = other.read()
            assert success
            assert kind == frame.pict_type, frame.index
            ours = np.zeros((0, len(FIELDS)), np.int64)
            if frame.motion is not None:
                ours = np.stack([frame.motion.array[name].astype(np.int64) for name in FIELDS], 1)
            assert np.array_equal(ours, np.asarray(theirs, np.int64).reshape(-1, len(FIELDS))), frame.index
            frames += 1
            vectors += len(ours)
        assert not other.read()[0]
    other.release()
    assert frames
    assert vectors


def test_shared_videos(video_cap: Any, shared_video: Path) -> None:
    for name in ("bbb-720p.mp4", "bbb-720p-mpeg4.mp4"):
        assert_equal_to_videocap(video_cap, shared_video / name)


@pytest.mark.parametrize("profile", ["ippp", "bframes", "references"])
@pytest.mark.parametrize("size", [(144, 176), (150, 202)], ids=["multiple-of-16", "any"])
def test_encoded_clips(video_cap: Any, make: Any, profile: str, size: tuple[int, int]) -> None:
    frames = make.sliding(*size, 30, (5, -3))
    path = make.clip(f"cap-{profile}-{size[0]}.mp4", frames, profile=profile, options={"crf": "28"})
    assert_equal_to_videocap(video_cap, path)


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video"])
def test_other_codecs(video_cap: Any, make: Any, codec: str) -> None:
    path = make.clip(f"cap-{codec}.mkv", make.sliding(144, 176, 20, (-4, 2)), codec=codec, bit_rate=800_000)
    assert_equal_to_videocap(video_cap, path)

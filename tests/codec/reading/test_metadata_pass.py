"""The pass without pixels against the full one: everything but the pictures is bit-identical."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from gopseg.codec import open_video


def assert_same_metadata(path: Path, threads: int | Literal["auto"] = "auto") -> None:
    vectors = 0
    with open_video(path, qp=True, threads=threads) as full, open_video(path, qp=True, pixels=False) as bare:
        for one, other in zip(full, bare, strict=True):
            for name in ("index", "pts", "pict_type", "is_keyframe", "distance", "packet_bytes", "motion_absence"):
                assert getattr(one, name) == getattr(other, name), (one.index, name)
            assert np.array_equal(one.qp, other.qp)
            assert (one.motion is None) == (other.motion is None)
            if one.motion is not None and other.motion is not None:
                assert np.array_equal(one.motion.array, other.motion.array)  # its padding bytes are anything
                vectors += len(one.motion)
    assert vectors


def test_shared_videos(shared_video: Path) -> None:
    for name in ("bbb-720p.mp4", "bbb-720p-mpeg4.mp4"):
        assert_same_metadata(shared_video / name)


@pytest.mark.parametrize("threads", [1, "auto"])
@pytest.mark.parametrize("profile", ["ippp", "bframes", "references"])
def test_synthetic_clips(make: Any, profile: str, threads: int | Literal["auto"]) -> None:
    path = make.clip(f"bare-{profile}.mp4", make.sliding(150, 202, 26, (5, -3)), profile=profile)
    assert_same_metadata(path, threads)

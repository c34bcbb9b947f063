"""Interlaced coding is recognised, whatever hides it, and never taken for motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import LIVE_SETTINGS, MotionAbsence, open_video, reencode

KINDS = {
    "tff": "tff=1:bframes=0:ref=1:weightp=0",  # x264 codes interlaced content as MBAFF
    "bff": "bff=1:bframes=2",
    "fake": "fake-interlaced=1:bframes=0:ref=1:weightp=0",  # frames, by parameters that allow fields (as in PAFF)
}


def clip(make: Any, kind: str, container: str) -> Path:
    """Two fields of each frame at different moments, as a camera takes them."""
    frames = make.sliding(96, 128, 24, (3, 0))
    woven = [frame.copy() for frame in frames[::2]]
    for frame, later in zip(woven, frames[1::2], strict=True):
        frame[1::2] = later[1::2]
    return make.clip(f"inter-{kind}.{container}", woven, options={"x264-params": KINDS[kind], "preset": "veryfast"})


@pytest.mark.parametrize("container", ["mp4", "h264", "ts"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("references", [False, True])
def test_recognised(make: Any, kind: str, container: str, references: bool) -> None:
    with open_video(clip(make, kind, container), references=references) as video:
        assert video.motion_absence is MotionAbsence.INTERLACED
        frames = list(video)
    assert len(frames) == 12
    for frame in frames:
        assert frame.motion_absence is (MotionAbsence.INTRA if frame.pict_type == "I" else MotionAbsence.INTERLACED)
        assert frame.references is None
        assert not frame.corrupt
    assert not MotionAbsence.INTERLACED.is_recoverable


def test_encoded_anew_it_has_motion(make: Any) -> None:
    with open_video(clip(make, "tff", "mp4")) as video:
        frames = list(reencode(video, LIVE_SETTINGS))
    assert [frame.motion_absence for frame in frames[1:]] == 11 * [None]
    assert all(frame.motion is not None and len(frame.motion) for frame in frames[1:])


def test_pixels_are_those_of_frames(make: Any) -> None:
    """Both fields are in the picture, woven as they were."""
    with open_video(clip(make, "tff", "mp4")) as video:
        first = next(video).image.astype(np.float64)
    rows = np.abs(np.diff(first, axis=0)).mean()
    fields = np.abs(first[2:] - first[:-2]).mean()
    assert fields < rows  # lines of one field are more alike than neighbours

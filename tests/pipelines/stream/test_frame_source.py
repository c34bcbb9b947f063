"""`FrameSource`: files, live inputs and folders of frames meet one protocol."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import pytest

from gopseg.codec import CompressedVideo, FrameSource, MotionAbsence, open_video
from gopseg.data import FrameFolder, open_frames
from gopseg.pipelines.inputs import LiveVideo


@pytest.fixture
def frames_folder(tmp_path: Path, square_images: Any) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, image in enumerate(square_images):
        cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    return folder


@pytest.mark.parametrize("kind", ["file", "live", "folder"])
def test_a_source_meets_the_protocol(
    kind: str, tmp_path: Path, make_clip: Any, square_images: Any, frames_folder: Path
):
    clip = make_clip(tmp_path / "clip.mp4", square_images)
    height, width = square_images[0].shape[:2]

    def connect() -> CompressedVideo:
        return open_video(clip)

    source: FrameSource = {
        "file": connect,
        "live": lambda: LiveVideo(connect, reconnect=0, timeout_seconds=5),
        "folder": lambda: open_frames(frames_folder, 25),
    }[kind]()
    assert isinstance(source, FrameSource)
    assert source.size_hw == (height, width)
    assert source.frame_rate == Fraction(25)
    assert source.frame_count == len(square_images)
    assert source.duration_seconds == pytest.approx(len(square_images) / 25)
    assert source.motion_absence is (MotionAbsence.STILLS if kind == "folder" else None)
    assert source.codec_name == ("images" if kind == "folder" else "h264")
    with source as frames:
        read = list(frames)
    assert [frame.index for frame in read] == list(range(len(square_images)))
    assert all(frame.time_base == source.time_base for frame in read)
    assert source.decode_errors == 0


def test_constructors_take_their_options_by_keyword(tmp_path: Path, make_clip: Any, square_images: Any) -> None:
    clip = make_clip(tmp_path / "clip.mp4", square_images)
    with pytest.raises(TypeError):
        CompressedVideo(clip, True, False)  # type: ignore[misc]
    with pytest.raises(TypeError):
        FrameFolder("x", [clip], Fraction(25))  # type: ignore[misc]

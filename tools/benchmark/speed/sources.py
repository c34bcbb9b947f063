"""The videos that are measured: a file as it is, or at another size by our own encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import av

from ....codec import EncodeSettings, open_video, pictures_of_video, transcode

CRF, PRESET = 23.0, "veryfast"


def at_size(video: Path, size_hw: tuple[int, int], frames: int, gop: int, folder: Path) -> Path:
    """The first frames of `video` at `size_hw`, in a file in `folder` with a keyframe every `gop` frames, one
    reference and no B-frames."""
    height, width = size_hw
    target = folder / f"{video.stem}-{width}x{height}.mp4"
    pictures = pictures_of_video(video)

    def scaled() -> Iterator[av.VideoFrame]:
        for picture in islice(pictures.frames, frames):
            yield picture.reformat(width=width, height=height)

    sized = replace(pictures, source_size_hw=size_hw, frames=scaled(), frame_count=None, filters="")
    transcode(sized, target, EncodeSettings(gop=gop, bitrate_bps=None, crf=CRF, preset=PRESET))
    return target


def size_of(video: Path) -> tuple[int, int]:
    """Height and width as shown."""
    with open_video(video, pixels=False, motion=False) as opened:
        return opened.size_hw

"""Clips of labelled sequences as H.264 files: as `preprocess encode` writes them, or as libx264 does by itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

import av

from ....codec import EncodeSettings, pictures_of_images, transcode
from ....data import Clip

Encoding = Literal["gops", "x264"]
"""Closed GOPs of P-frames, or the defaults of libx264: B-frames, several references, weighted prediction."""

LONGEST_GOP = 250
"""Frames from one keyframe to the next, at most, by the defaults of libx264."""


def encode_clip(clip: Clip, file: Path, *, bitrate_bps: int, frame_rate: float) -> None:
    """The clip's images as an H.264 file, the way `preprocess encode` writes it."""
    rate = Fraction(frame_rate).limit_denominator(1001)
    pictures = pictures_of_images(clip.images(), clip.name, rate, len(clip))
    transcode(pictures, file, EncodeSettings(gop=clip.gop, bitrate_bps=bitrate_bps))


def encode_by_defaults(clip: Clip, file: Path, *, frame_rate: float) -> None:
    """The clip's images as an H.264 file, all settings libx264's own, as in `ffmpeg -i ... -c:v libx264`.

    By one thread, so that the file is the same on every machine.
    """
    rate = Fraction(frame_rate).limit_denominator(1001)
    pictures = pictures_of_images(clip.images(), clip.name, rate, len(clip))
    with av.open(str(file), "w") as output:
        stream = output.add_stream("libx264", rate=rate, options={"preset": "medium", "crf": "23"})
        stream.height, stream.width = pictures.size_hw
        stream.pix_fmt = "yuv420p"
        stream.gop_size = LONGEST_GOP
        stream.codec_context.thread_count = 1
        for picture in pictures.frames:
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))

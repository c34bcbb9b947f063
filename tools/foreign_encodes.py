"""H.264 with x264's own settings, as other people's streams have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ..codec import file_url

ONE_REFERENCE = "ref=1:bframes=0:weightp=0:scenecut=0:open-gop=0"
"""x264 parameters of streams whose vectors mean the frame before; `keyint` is to be added."""


def encode_x264(
    path: Path, images: Iterable[NDArray[np.uint8]], options: Mapping[str, str], frame_rate: Fraction | int = 15
) -> Path:
    """Write images (H, W, 3) RGB of one even size to the video `path`, by libx264 with these options; returns `path`.

    One thread encodes, so that the bytes repeat.
    """
    reformatter = VideoReformatter()
    with av.open(file_url(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(frame_rate), options=dict(options))
        stream.codec_context.thread_count = 1
        stream.pix_fmt = "yuv420p"
        for index, image in enumerate(images):
            if index == 0:
                stream.height, stream.width = image.shape[:2]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            picture.pts, picture.time_base = index, 1 / Fraction(frame_rate)
            container.mux(stream.encode(reformatter.reformat(picture, format="yuv420p", threads=1)))
        container.mux(stream.encode(None))
    return path

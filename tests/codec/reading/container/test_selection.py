"""Which stream is read of several."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from gopseg.codec import InvalidDataError, open_video, pictures_of_video

Track = tuple[str, tuple[int, int], Disposition | None]
SMALL, LARGE = (48, 64), (96, 128)


def write(path: Path, make: Any, tracks: Sequence[Track]) -> Path:
    """Eight frames of each track, interleaved."""
    with av.open(str(path), "w") as container:
        streams = []
        for codec, (height, width), disposition in tracks:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if disposition is not None:
                stream.disposition = disposition
            streams.append(stream)
        for index in range(8):
            for stream in streams:
                image = np.full((stream.height, stream.width, 3), 20 * index, np.uint8)
                picture = av.VideoFrame.from_ndarray(image, "rgb24")
                picture.pts, picture.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(picture))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("tracks", "best"),
    [
        ([("mjpeg", SMALL, None), ("libx264", LARGE, Disposition.default)], 1),
        ([("libx264", LARGE, None), ("libx264", SMALL, Disposition.default)], 1),
        ([("libx264", SMALL, None), ("libx264", LARGE, None)], 1),
        ([("libx264", LARGE, None), ("libx264", LARGE, None)], 0),
        ([("libx264", SMALL, None), ("mpeg4", SMALL, Disposition.default)], 1),
    ],
)
def test_the_best_stream_is_read_by_every_reader(make: Any, tmp_path: Path, tracks: list[Track], best: int) -> None:
    path = write(tmp_path / "tracks.mkv", make, tracks)
    with open_video(path) as video:
        assert video.size_hw == tracks[best][1]
        assert video.stream_choice.startswith(f"stream {best} ")
        assert len(list(video)) == 8
    assert pictures_of_video(path).size_hw == tracks[best][1]


def test_a_stream_by_its_number(make: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "tracks.mkv", make, [("libx264", LARGE, None), ("libx264", SMALL, None)])
    for number, size in enumerate((LARGE, SMALL)):
        with open_video(path, stream=number) as video:
            assert video.size_hw == size
        assert pictures_of_video(path, stream=number).size_hw == size
    with pytest.raises(InvalidDataError, match=r"no video stream 7; its video streams are: 0 \(h264, 128x96"):
        open_video(path, stream=7)

"""`segment-stream` on recordings as people have them: odd names, joined files, raw streams, several streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

Make = Callable[..., Path]


def times(file: Path) -> list[Fraction]:
    with av.open(f"file:{file}") as container:
        track = container.streams.video[0]
        return [packet.pts * track.time_base for packet in container.demux(track) if packet.size]


def test_a_name_that_looks_like_an_address(stream: Any, tmp_path: Path, make_clip: Make, square_images: Any) -> None:
    (make_clip(tmp_path / "clip.mp4", square_images)).rename(tmp_path / "cam:1.mp4")
    result = stream("cam:1.mp4", "--mode", "frame", "--max-frames", 3)
    assert result.exit_code == 0, result.stderr
    assert len(times(tmp_path / "cam:1_segmented.mp4")) == 3
    (tmp_path / "cam:1_segmented.mp4").unlink()
    result = stream("cam:1.mp4", "--mode", "frame", "--max-frames", 3, "--resume")
    assert result.exit_code == 0, result.stderr


def test_joined_recordings(stream: Any, tmp_path: Path, make_clip: Make, square_images: Any) -> None:
    part = make_clip(tmp_path / "part.ts", square_images)
    (tmp_path / "joined.ts").write_bytes(part.read_bytes() * 2)
    result = stream("joined.ts", "--mode", "motion", "-o", "x.mp4", "--stats", "s.json")
    assert result.exit_code == 0, result.stderr
    assert "joined.ts: at frame 12 its clock jumps 0.48 s back" in result.stderr
    assert "damaged" not in result.stderr
    assert times(tmp_path / "x.mp4") == [Fraction(index, 25) for index in range(24)]
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["frames"], stats["time_jumps"], stats["corrupt_frames"]) == (24, [[12, pytest.approx(-0.48)]], 0)
    late = stream("joined.ts", "--mode", "motion", "-o", "late.mp4", "--start", 0.6)
    assert late.exit_code == 0, late.stderr
    assert len(times(tmp_path / "late.mp4")) == 24 - 15


@pytest.mark.parametrize(("fps", "rate"), [(None, 10), (20, 20)])
def test_a_raw_stream(
    stream: Any, tmp_path: Path, make_clip: Make, square_images: Any, fps: int | None, rate: int
) -> None:
    make_clip(tmp_path / "raw.h264", square_images, rate=Fraction(10), container="h264")
    chosen = [] if fps is None else ["--fps", fps]
    result = stream("raw.h264", "--mode", "frame", "-o", "x.mp4", *chosen)
    assert result.exit_code == 0, result.stderr
    assert times(tmp_path / "x.mp4") == [Fraction(index, rate) for index in range(12)]


@pytest.mark.parametrize("number", [None, 0])
def test_the_stream_to_read(stream: Any, tmp_path: Path, square_images: Any, number: int | None) -> None:
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        tracks = [container.add_stream("libx264", rate=25, options={"bf": "0"}) for _ in range(2)]
        for track, shrink in zip(tracks, (2, 1), strict=True):
            height, width = (side // shrink for side in square_images[0].shape[:2])
            track.height, track.width, track.pix_fmt = height, width, "yuv420p"
        for image in square_images:
            for track in tracks:
                container.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")))
        for track in tracks:
            container.mux(track.encode(None))
    chosen = [] if number is None else ["--stream", number]
    result = stream("two.mkv", "--mode", "frame", "--save", "rle", "-o", "x.mp4", "--stats", "s.json", "-v", *chosen)
    assert result.exit_code == 0, result.stderr
    size = [32, 48] if number == 0 else [64, 96]
    assert json.loads((tmp_path / "s.json").read_text())["size_hw"] == size
    assert f"two.mkv: stream {1 if number is None else 0} (h264, {size[1]}x{size[0]}" in result.stderr

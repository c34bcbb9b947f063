"""`segment-stream` on streams that are damaged, change their size, or have no keyframes."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from gopseg.codec import Frame
from gopseg.pipelines.inputs import FrameWatch
from gopseg.pipelines.outputs.video_output import _fitted

REFRESH = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=6:bframes=0:ref=1:weightp=0"}


def statistics(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "s.json").read_text()))


def labels_in(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]


@pytest.fixture
def joined(make_clip: Callable[..., Path], square_images: list[np.ndarray], tmp_path: Path) -> Path:
    """12 frames of 64x96, then 12 of 48x128."""
    wide = [np.ascontiguousarray(np.pad(image[:48], ((0, 0), (0, 32), (0, 0)))) for image in square_images]
    parts = [make_clip(tmp_path / f"{i}.h264", images) for i, images in enumerate((square_images, wide))]
    path = tmp_path / "joined.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("mode", ["frame", "motion"])
@pytest.mark.parametrize("reencode", ["never", "always"])
def test_a_size_that_changes(stream: Any, tmp_path: Path, joined: Path, mode: str, reencode: str) -> None:
    arguments = ("--mode", mode, "--reencode", reencode, "--save", "overlay,labels,color,rle", "--stats", "s.json")
    result = stream(joined, "-o", "out.mp4", *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("from frame 12 on pictures are 128x48, no longer 96x64") == 1
    assert statistics(tmp_path)["sizes_hw"] == [[64, 96], [48, 128]]
    assert [labels.shape for labels in labels_in(tmp_path / "out_labels")] == 12 * [(64, 96)] + 12 * [(48, 128)]
    lines = [json.loads(line) for line in (tmp_path / "out.rle.jsonl").read_text().splitlines()]
    assert [line["size"] for line in lines] == 12 * [[64, 96]] + 12 * [[48, 128]]
    with av.open(str(tmp_path / "out.mp4")) as container:
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert [picture.shape for picture in pictures] == 24 * [(64, 96, 3)]
    assert pictures[-1][:12].max() < 40  # black above what is wider than the first
    assert pictures[-1][20:40].max() > 40


def test_damage_is_told_and_counted(
    stream: Any, tmp_path: Path, make_clip: Callable[..., Path], square_images: list[np.ndarray]
) -> None:
    path = make_clip(tmp_path / "whole.h264", square_images)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    del packets[2]
    path.write_bytes(b"".join(packets))
    result = stream(path, "-o", "out.mp4", "--mode", "motion", "--save", "labels", "--stats", "s.json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("frame 2 is damaged") == 1
    assert (statistics(tmp_path)["corrupt_frames"], statistics(tmp_path)["frames"]) == (3, 11)


@pytest.mark.parametrize(("arguments", "seen"), [((), 2), (("--gop-max", "4"), 6), (("--gop-max", "100"), 1)])
def test_no_keyframes(
    stream: Any,
    tmp_path: Path,
    make_clip: Callable[..., Path],
    square_images: list[np.ndarray],
    arguments: tuple[str, ...],
    seen: int,
) -> None:
    path = make_clip(tmp_path / "refresh.mp4", square_images + square_images[::-1], options=REFRESH, gop=6)
    common = ("--reencode", "never", "--mode", "motion", "--save", "labels", "--stats", "s.json")
    result = stream(path, "-o", "out.mp4", *common, *arguments)
    assert result.exit_code == 0, result.stderr
    report = statistics(tmp_path)
    assert (report["frames"], report["reencoded"], report["corrupt_frames"]) == (24, False, 0)
    assert report["network_frames"] >= seen  # and those that motion cannot explain


def test_interlaced_video_is_refused_with_its_reason_or_encoded_anew(
    stream: Any, tmp_path: Path, make_clip: Callable[..., Path], square_images: list[np.ndarray]
) -> None:
    options = {"preset": "veryfast", "x264-params": "tff=1"}
    path = make_clip(tmp_path / "tff.mp4", square_images, options=options)
    refused = stream(path, "-o", "out.mp4", "--mode", "motion", "--reencode", "never", "--save", "labels")
    assert refused.exit_code == 2
    assert "coded as interlaced" in refused.stderr
    assert "--mode frame" in refused.stderr
    result = stream(path, "-o", "out.mp4", "--mode", "motion", "--save", "labels", "--stats", "s.json")
    assert result.exit_code == 0, result.stderr
    assert statistics(tmp_path)["reencode_reason"] == "the stream is coded as interlaced"


def test_a_jump_of_the_clock_is_told_once() -> None:
    def frame(index: int, jump: float | None) -> Frame:
        return Frame(index, index, Fraction(1, 25), "I", True, 0, (48, 64), time_jump=jump)

    said: list[str] = []
    frames = [frame(0, None), frame(1, -1.6), frame(2, None), frame(3, 90.0)]
    watch = FrameWatch(frames, "a.ts", said.append)
    assert list(watch) == frames
    assert watch.time_jumps == [(1, -1.6), (3, 90.0)]
    assert len(said) == 1
    assert said[0].startswith("a.ts: at frame 1 its clock jumps 1.60 s back")


def test_fitted() -> None:
    image = np.full((10, 20, 3), 200, np.uint8)
    assert _fitted(image, (10, 20)) is image
    for size_hw, ink in (((40, 40), 20 * 40), ((10, 10), 5 * 10), ((30, 20), 10 * 20)):
        result = _fitted(image, size_hw)
        assert result.shape == (*size_hw, 3)
        assert (result[..., 0] == 200).sum() == ink
        assert np.array_equal(result, result[::-1]) or size_hw == (10, 10)

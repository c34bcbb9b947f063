"""`preprocess encode`: what it writes, and the account beside it."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gopseg.codec import open_video
from gopseg.preprocess.main import main

Encode = Callable[..., Result]


def sidecar(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def planes(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([picture.to_ndarray() for picture in container.decode(video=0)]).astype(float)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """The mean over windows of 8x8 pixels, every 4 (Wang et al. 2004, equation 13)."""
    a, b = (np.lib.stride_tricks.sliding_window_view(image, (8, 8))[::4, ::4] for image in (first, second))
    covariance = ((a - a.mean((2, 3), keepdims=True)) * (b - b.mean((2, 3), keepdims=True))).sum((2, 3)) / 63
    means, variances = (a.mean((2, 3)), b.mean((2, 3))), (a.var((2, 3), ddof=1), b.var((2, 3), ddof=1))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * means[0] * means[1] + c1) * (2 * covariance + c2)
    return float((likeness / ((means[0] ** 2 + means[1] ** 2 + c1) * (variances[0] + variances[1] + c2))).mean())


def test_video_and_account(video: Path, tmp_path: Path, encode: Encode) -> None:
    result = encode(video, "-o", tmp_path / "out", "--gop", 10, "--bitrate", "800k", "--preset", "veryfast")
    assert (result.exit_code, result.stdout) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["walk.json", "walk.mp4"]
    target = tmp_path / "out" / "walk.mp4"
    content = sidecar(tmp_path / "out" / "walk.json")
    with open_video(target) as encoded:
        assert (encoded.codec_name, encoded.pixel_format, encoded.motion_absence) == ("h264", "yuv420p", None)
        frames = list(encoded)
    error = np.mean((planes(target) - planes(video)) ** 2)
    assert "".join(frame.pict_type for frame in frames) == content["frame_types"] == "IPPPPPPPPP" * 4
    assert content["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert content["source"]["sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    assert content["source"]["path"] == str(video)
    assert content["source"]["size_hw"] == content["size_hw"] == [96, 128]
    assert (content["frame_count"], content["frame_rate"], content["duration_seconds"]) == (40, "25", 1.6)
    bits = 8 * sum(frame.packet_bytes for frame in frames)
    assert content["bitrate_bps"] == pytest.approx(bits / 1.6, rel=1e-3)
    assert content["psnr_db"]["all"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert 0.9 < content["ssim"] < 1
    errors = np.mean((planes(target) - planes(video)) ** 2, (1, 2))
    assert content["worst_frame"]["index"] == np.argmax(errors)
    assert content["worst_frame"]["psnr_db"] == pytest.approx(10 * np.log10(255**2 / errors.max()), abs=1e-3)
    worst = content["worst_frame"]["index"]
    lumas = [planes(path)[worst, :96] for path in (target, video)]
    assert content["worst_frame"]["ssim"] == pytest.approx(ssim(*lumas), abs=1e-3)
    assert (content["source"]["time_jumps"], content["source"]["start_seconds"]) == ([], 0)
    assert content["settings"]["gop"] == 10
    assert content["settings"]["bitrate_bps"] == 800_000
    assert content["settings"]["preset"] == "veryfast"
    assert set(content["versions"]) == {"gopseg", "av", "libavcodec", "x264"}
    assert content["versions"]["av"] == av.__version__
    assert "walk.mp4: 40 frames of 128x96" in result.stderr


def test_a_jump_of_the_clock_is_told(video: Path, tmp_path: Path, encode: Encode, make: Any) -> None:
    """Recordings joined to one file: the second begins at the first one's times."""
    part = make.video(tmp_path / "part.ts", make.moving(24))
    (tmp_path / "joined.ts").write_bytes(part.read_bytes() * 2)
    result = encode(tmp_path / "joined.ts", "-o", tmp_path / "out", "--bitrate", "1M")
    assert result.exit_code == 0, result.stderr
    content = sidecar(tmp_path / "out" / "joined.json")
    assert content["source"]["time_jumps"] == [{"index": 24, "seconds": pytest.approx(-0.96)}]
    assert content["duration_seconds"] == pytest.approx(1.92)
    assert content["worst_frame"]["psnr_db"] > 30
    assert "its clock jumps by -0.96 s before frame 24; times continue without the jump" in result.stderr


def test_hdr_is_told(tmp_path: Path, encode: Encode, make: Any) -> None:
    source = make.video(tmp_path / "pq.mp4", make.moving(3), options={"x264-params": "transfer=smpte2084"})
    result = encode(source, "-o", tmp_path / "out")
    assert (result.exit_code, sidecar(tmp_path / "out" / "pq.json")["colour"]["transfer"]) == (0, 16)
    assert (
        "is HDR (PQ or HLG) and stays so, in 8 bits, which segment-stream refuses; make it SDR first" in result.stderr
    )


def test_a_frame_of_which_nothing_is_left_is_told(tmp_path: Path, encode: Encode) -> None:
    """The mean over the video would hide it."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "flash"
    folder.mkdir()
    for index in range(40):
        image = rng.integers(0, 256, (96, 128, 3)) if index == 30 else np.full((96, 128, 3), 90)
        cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    result = encode(folder, "-o", tmp_path / "out", "--bitrate", "20k")
    assert result.exit_code == 0, result.stderr
    worst = sidecar(tmp_path / "out" / "flash.json")["worst_frame"]
    assert worst["index"] >= 30
    assert worst["ssim"] < 0.5 < sidecar(tmp_path / "out" / "flash.json")["ssim"]
    assert "dB only, where the median is 100.0; look at it" in result.stderr


def test_a_frame_far_below_the_others_is_told(tmp_path: Path, encode: Encode) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "flash"
    folder.mkdir()
    for index in range(30):
        noise = rng.normal(0, 40 if index == 20 else 0, (96, 128, 3))
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.clip(90 + noise, 0, 255).astype(np.uint8))
    result = encode(folder, "-o", tmp_path / "out", "--bitrate", "100k")
    assert result.exit_code == 0, result.stderr
    content = sidecar(tmp_path / "out" / "flash.json")
    worst, usual = content["worst_frame"], content["median_psnr_db"]
    assert 20 < worst["psnr_db"] < usual - 10
    assert (
        f"frame {worst['index']} has {worst['psnr_db']:.1f} dB only, where the median is {usual:.1f}; look at it"
        in result.stderr
    )


def at_times(path: Path, images: list[np.ndarray], milliseconds: list[int]) -> Path:
    """Frames at these times, declared as 25 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for at, image in zip(milliseconds, images, strict=True):
            picture = av.VideoFrame.from_ndarray(image, "rgb24")
            picture.pts, picture.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("engine", ["av", "ffmpeg"])
@pytest.mark.parametrize("before", [12, 16, 23])
def test_a_pause_costs_no_frame_its_quality(
    engine: str, before: int, tmp_path: Path, encode: Encode, make: Any
) -> None:
    """x264, told that a frame stays for 30 s, would spend next to nothing on it."""
    if engine == "ffmpeg" and shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on PATH (apt-get install ffmpeg)")
    images = make.moving(24)
    at = [40 * index + 30_000 * (index >= before) for index in range(24)]
    source = at_times(tmp_path / "pause.mkv", images, at)
    result = encode(source, "-o", tmp_path / "out", "--engine", engine, "--bitrate", "1M")
    assert result.exit_code == 0, result.stderr
    content = sidecar(tmp_path / "out" / "pause.json")
    assert content["worst_frame"]["psnr_db"] > content["median_psnr_db"] - 10
    assert content["gap_seconds"] == pytest.approx(30.04 - 0.7, abs=0.001)
    assert content["duration_seconds"] == pytest.approx((at[-1] + 40) / 1000, abs=0.001)  # the last frame is no pause
    assert "s it shows no new frame" in result.stderr
    assert "dB only" not in result.stderr
    with av.open(str(tmp_path / "out" / "pause.mp4")) as container:
        times = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.size]
    assert times == [Fraction(each, 1000) for each in at]


@pytest.mark.parametrize("engine", ["av", "ffmpeg"])
def test_frames_in_pairs_cost_none_its_quality(engine: str, tmp_path: Path, encode: Encode, make: Any) -> None:
    """x264 would spend next to nothing on a frame that is followed at once."""
    if engine == "ffmpeg" and shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on PATH (apt-get install ffmpeg)")
    at = [40 * index - 39 * (index % 2) for index in range(24)]
    source = at_times(tmp_path / "pairs.mkv", make.moving(24), at)
    result = encode(source, "-o", tmp_path / "out", "--engine", engine, "--bitrate", "1M")
    assert result.exit_code == 0, result.stderr
    content = sidecar(tmp_path / "out" / "pairs.json")
    assert content["worst_frame"]["psnr_db"] > content["median_psnr_db"] - 12
    assert content["worst_frame"]["psnr_db"] > 40
    with av.open(str(tmp_path / "out" / "pairs.mp4")) as container:
        times = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.size]
    assert times == [Fraction(each, 1000) for each in at]


@pytest.fixture
def two_streams(tmp_path: Path, make: Any) -> Path:
    """A small picture as stream 0, and the video, which is flagged as default, as stream 1."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25, options={"bf": "0"}) for _ in range(2)]
        for stream, (height, width) in zip(streams, ((48, 64), (96, 128)), strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        streams[1].disposition = av.stream.Disposition.default
        for image in make.moving(12):
            picture = av.VideoFrame.from_ndarray(image, "rgb24")
            for stream in streams:
                container.mux(stream.encode(picture))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("number", [None, 0, 1])
def test_the_stream_to_read(two_streams: Path, tmp_path: Path, encode: Encode, number: int | None) -> None:
    """All subcommands choose alike, say so with -v, and take a number."""
    size = "64x48" if number == 0 else "128x96"
    chosen = [] if number is None else ["--stream", number]
    said = f"stream {1 if number is None else number} (h264, {size}"
    result = encode(two_streams, "-o", tmp_path / "out", "-v", *chosen)
    assert (f": 12 frames of {size}" in result.stderr, said in result.stderr) == (True, True)
    assert f"-map 0:{1 if number is None else number}" in sidecar(tmp_path / "out" / "two.json")["ffmpeg_command"]
    for arguments in (["inspect", two_streams], ["extract", two_streams, "-o", tmp_path / "two.npz"]):
        result = CliRunner().invoke(main, [*map(str, arguments), "-v", *map(str, chosen)])
        assert result.exit_code == 0, result.stderr
        assert said in result.stderr
        assert size in result.output
    refused = encode(two_streams, "-o", tmp_path / "none", "--stream", 5)
    assert refused.exit_code == 2
    assert "no video stream 5; its video streams are: 0 (h264, 64x48), 1 (h264, 128x96, default)" in refused.stderr


@pytest.mark.parametrize("gop", [1, 5, 12])
def test_an_independent_reader_sees_the_gops(video: Path, tmp_path: Path, encode: Encode, gop: int) -> None:
    captures = pytest.importorskip("mvextractor.videocap", reason="mvextractor has no wheel for this platform")
    assert encode(video, "-o", tmp_path, "--gop", gop).exit_code == 0
    capture = captures.VideoCap()
    assert capture.open(str(tmp_path / "walk.mp4"))
    types = []
    while (item := capture.read())[0]:
        types.append(item[3])
        assert (item[2][:, 0] == -1).all(), "a vector points to a later frame"
    assert types == ["P" if index % gop else "I" for index in range(40)]


def test_folder_of_frames_in_natural_order(make: Any, tmp_path: Path, encode: Encode) -> None:
    images = make.moving(12)
    make.folder(tmp_path / "street", images)
    assert encode(tmp_path / "street", "-o", tmp_path, "--fps", "30000/1001", "--bitrate", "6M").exit_code == 0
    with open_video(tmp_path / "street.mp4") as video:
        assert str(video.frame_rate) == "30000/1001"
        errors = [[np.mean((frame.image.astype(float) - image) ** 2) for image in images] for frame in video]
    assert np.argmin(errors, axis=1).tolist() == list(range(12))
    content = sidecar(tmp_path / "street.json")
    assert (content["source"]["kind"], content["frame_rate"], content["frame_count"]) == ("frames", "30000/1001", 12)


def test_several_sources_in_processes_are_the_same_as_one_by_one(
    make: Any, video: Path, tmp_path: Path, encode: Encode
) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        make.folder(tmp_path / "frames" / name, make.moving(15, seed=seed))
    sources = (tmp_path / "frames", video)
    assert encode(*sources, "-o", tmp_path / "a").exit_code == 0
    assert encode(*sources, "-o", tmp_path / "b", "--jobs", 2).exit_code == 0
    names = ["one.json", "one.mp4", "two.json", "two.mp4", "walk.json", "walk.mp4"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == names
    for name in names[1::2]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_source_does_not_stop_the_others(
    make: Any, video: Path, tmp_path: Path, encode: Encode, jobs: int
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is no video")
    other = make.video(tmp_path / "other.mp4", make.moving(10))
    result = encode(video, bad, other, "-o", tmp_path / "out", "--jobs", jobs)
    assert result.exit_code == 1
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["other.mp4", "walk.mp4"]
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 1
    assert str(bad) in errors[0]
    assert "1 of 3 sources failed, the others are done." in result.stderr
    assert "Traceback" not in result.stderr


def test_verbose_prints_an_ffmpeg_command(video: Path, tmp_path: Path, encode: Encode) -> None:
    result = encode(video, "-o", tmp_path, "-v", "--gop", 6, "--bitrate", "1.5M", "--fps", 10)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("ffmpeg")]
    words = shlex.split(line)
    options = dict(pairwise(words))
    assert (options["-i"], words[-1]) == (str(video), str(tmp_path / "walk.mp4"))
    assert (options["-c:v"], options["-b:v"], options["-vf"]) == ("libx264", "1500000", "fps=10")
    parameters = dict(pair.split("=") for pair in options["-x264-params"].split(":"))
    expected = {"keyint": "6", "min-keyint": "6", "scenecut": "0", "bframes": "0", "ref": "1", "weightp": "0"}
    assert expected.items() <= parameters.items()
    assert parameters["open-gop"] == "0"
    assert sidecar(tmp_path / "walk.json")["ffmpeg_command"] == line
    assert "libx264" not in encode(video, "-o", tmp_path / "quiet").stderr


@pytest.mark.parametrize(
    ("text", "rate"),
    [("750k", 750_000), ("3M", 3_000_000), ("2.5m", 2_500_000), ("3000000", 3_000_000), (".1G", 10**8)],
)
def test_bitrates(video: Path, tmp_path: Path, encode: Encode, text: str, rate: int) -> None:
    assert encode(video, "-o", tmp_path, "--bitrate", text, "--preset", "ultrafast").exit_code == 0
    assert sidecar(tmp_path / "walk.json")["settings"]["bitrate_bps"] == rate


def test_odd_size_is_said(make: Any, tmp_path: Path, encode: Encode) -> None:
    make.folder(tmp_path / "odd", make.moving(4, (95, 127)))
    result = encode(tmp_path / "odd", "-o", tmp_path)
    assert "was padded by one replicated row or column" in result.stderr
    content = sidecar(tmp_path / "odd.json")
    assert (content["size_hw"], content["source"]["size_hw"]) == ([96, 128], [95, 127])
    assert content["padding"] == {"bottom": 1, "right": 1}


def test_a_bitrate_that_cannot_be_reached_is_said(make: Any, tmp_path: Path, encode: Encode) -> None:
    source = make.video(tmp_path / "grey.mp4", [np.full((32, 32, 3), 100, np.uint8)] * 101, rate=10)
    result = encode(source, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "its content needs no more at this size" in result.stderr


def test_a_source_that_is_cut_off_is_said(video: Path, tmp_path: Path, encode: Encode) -> None:
    whole = tmp_path / "whole.mp4"
    with av.open(str(video)) as source, av.open(str(whole), "w", options={"movflags": "+faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    result = encode(tmp_path / "cut.mp4", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "of 40 frames; the file is cut off" in result.stderr

"""`preprocess encode --engine ffmpeg`: the user's own ffmpeg, held to the same guarantees."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import Result

from gopseg.codec import EncodeSettings, open_video
from gopseg.preprocess.encode.encoders import ENCODERS
from gopseg.preprocess.encode.engine_ffmpeg import FfmpegEngine

Encode = Callable[..., Result]
pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH (apt-get install ffmpeg)")


def sidecar(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def stand_in(folder: Path, script: str) -> Path:
    """An `ffmpeg` that is a shell script; $REAL is the real one."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\nREAL={shutil.which('ffmpeg')}\n{script}\n")
    path.chmod(0o755)
    return path


def facts(path: Path) -> tuple[Any, ...]:
    """Timestamps, durations and colour tags."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(p.pts * p.time_base, p.duration * p.time_base) for p in container.demux(stream) if p.size]
        context = stream.codec_context
        return packets, context.color_range, context.colorspace, context.color_primaries, context.sample_aspect_ratio


def test_same_account_same_structure(video: Path, tmp_path: Path, encode: Encode) -> None:
    assert encode(video, "-o", tmp_path / "av", "--gop", 7, "--bitrate", "300k").exit_code == 0
    result = encode(video, "-o", tmp_path / "own", "--gop", 7, "--bitrate", "300k", "--engine", "ffmpeg", "-v")
    assert result.exit_code == 0, result.stderr
    ours, own = (sidecar(tmp_path / name / "walk.json") for name in ("av", "own"))
    assert ours.keys() == own.keys()
    for key in ("frame_types", "frame_count", "duration_seconds", "size_hw", "frame_rate", "colour", "source"):
        assert ours[key] == own[key], key
    assert facts(tmp_path / "av" / "walk.mp4") == facts(tmp_path / "own" / "walk.mp4")
    assert own["settings"] | ours["settings"] == own["settings"] | {"engine": "av"}
    assert (own["settings"]["encoder"], own["settings"]["passes"]) == ("libx264", 2)
    assert own["versions"]["x264"].startswith("core ")
    assert own["versions"]["ffmpeg"] in subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout
    assert "-pass 1" in own["ffmpeg_command"]
    assert own["ffmpeg_command"] in result.stderr
    with open_video(tmp_path / "own" / "walk.mp4") as written:
        assert "".join(frame.pict_type for frame in written) == "IPPPPPP" * 5 + "IPPPP"
        assert (written.motion_absence, written.reference_frames) == (None, 1)
    with av.open(str(tmp_path / "own" / "walk.mp4")) as a, av.open(str(video)) as b:
        pairs = zip(a.decode(video=0), b.decode(video=0), strict=True)
        error = np.mean([(x.to_ndarray().astype(float) - y.to_ndarray()) ** 2 for x, y in pairs])
    assert own["psnr_db"]["all"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert own["ssim"] == pytest.approx(ours["ssim"], abs=0.03)
    again = encode(video, "-o", tmp_path / "own", "--gop", 7, "--bitrate", "300k", "--engine", "ffmpeg", "--resume")
    assert "1 of 1 outputs are there already" in again.stderr
    other = encode(video, "-o", tmp_path / "own", "--gop", 7, "--bitrate", "300k", "--resume")
    assert (other.exit_code, "with engine ffmpeg, not av" in other.stderr) == (2, True)


def test_two_passes_hold_the_bitrate(make: Any, tmp_path: Path, encode: Encode) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256 if i < 25 else 120, (64, 64, 3), np.uint8) for i in range(100)]
    source = make.video(tmp_path / "mixed.mp4", noise, rate=10)
    assert encode(source, "-o", tmp_path, "--bitrate", "200k", "--engine", "ffmpeg", "-y").exit_code == 2  # itself
    assert encode(source, "-o", tmp_path / "out", "--bitrate", "200k", "--engine", "ffmpeg").exit_code == 0
    content = sidecar(tmp_path / "out" / "mixed.json")
    assert content["duration_seconds"] == 10
    assert content["bitrate_bps"] == pytest.approx(200_000, rel=0.05)


def test_uneven_timestamps_full_range_and_odd_size(make: Any, tmp_path: Path, encode: Encode) -> None:
    source, times = tmp_path / "uneven.mkv", [0, 40, 55, 200, 1200, 1233]
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 51, 75, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.color_range = 2
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for time_ms, image in zip(times, make.moving(6, (51, 75)), strict=True):
            picture = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv444p", dst_color_range=2)
            picture.pts, picture.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    for engine in ("av", "ffmpeg"):
        assert encode(source, "-o", tmp_path / engine, "--engine", engine).exit_code == 0
    ours, own = (facts(tmp_path / name / "uneven.mp4") for name in ("av", "ffmpeg"))
    assert ours == own
    assert [float(pts) * 1000 for pts, _ in own[0]] == times
    assert sidecar(tmp_path / "ffmpeg" / "uneven.json")["psnr_db"]["all"] > 40


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (
            'exec $REAL "$@" -x264-params keyint=5:bframes=0:ref=1 -force_key_frames 0',
            "made frame 5 a keyframe against",
        ),
        ('exec $REAL "$@" -x264-params keyint=12:bframes=2:b-adapt=0', "moved frame"),
        ('exec $REAL "$@" -x264-params keyint=12:min-keyint=12:scenecut=0:bframes=0:ref=3', "several reference frames"),
        (
            'case "$*" in *-encoders|*-version) exec $REAL "$@";; esac; echo \'no luck today\' >&2; exit 3',
            "no luck today",
        ),
    ],
    ids=["keyframes", "b-frames", "references", "failure"],
)
def test_an_encoder_that_does_not_obey(video: Path, tmp_path: Path, encode: Encode, script: str, text: str) -> None:
    # ffmpeg reads its output's options before the output's name, which is the last argument here
    insert = 'for last; do :; done; n=$#; i=0; for a; do i=$((i+1)); [ $i -lt $n ] && set -- "$@" "$a"; done; shift $n'
    if 'exec $REAL "$@" -' in script:
        extra = script.removeprefix('exec $REAL "$@" ')
        listing = 'case "$*" in *-encoders|*-version) exec $REAL "$@";; esac'
        script = f'{listing}; {insert}; exec $REAL "$@" {extra} "$last"'
    result = encode(video, "-o", tmp_path / "out", "--engine", "ffmpeg", "--ffmpeg", stand_in(tmp_path, script))
    assert result.exit_code == 1, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert text in result.stderr
    assert str(tmp_path / "out" / "walk.mp4") in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_missing_is_named(video: Path, tmp_path: Path, encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (video, "-o", tmp_path / "out", "--engine", "ffmpeg")
    monkeypatch.setenv("FFMPEG", "/no/such/ffmpeg")
    result = encode(*arguments)
    assert (result.exit_code, "/no/such/ffmpeg: no such program" in result.stderr) == (2, True)
    monkeypatch.delenv("FFMPEG")
    lean = stand_in(tmp_path, "echo")
    result = encode(*arguments, "--ffmpeg", lean, "--encoder", "h264_qsv")
    assert (result.exit_code, "built without h264_qsv" in result.stderr) == (2, True)
    assert encode(video, "-o", tmp_path / "out", "--encoder", "h264_qsv").exit_code == 2
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "ffmpeg":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    result = encode(*arguments)
    assert (result.exit_code, "pip install 'gopseg[ffmpeg]'" in result.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_options_ask_every_encoder_for_the_same_structure(encoder: str) -> None:
    engine = FfmpegEngine("ffmpeg", encoder)
    options = engine.options(EncodeSettings(gop=9, bitrate_bps=10**6, preset="slow"), Fraction(25))
    assert (options["c:v"], options["b:v"], options["force_key_frames"]) == (encoder, "1000000", "expr:not(mod(n,9))")
    if encoder == "libx264":
        assert "ref=1" in options["x264-params"]
    else:
        assert (options["g"], options["bf"], options["refs"], options["maxrate"]) == ("9", "0", "1", "1000000")
    with pytest.raises(ValueError, match="bitrates only"):
        engine.options(EncodeSettings(bitrate_bps=None), Fraction(25))


def test_hardware_encoders_work_or_say_why_not(video: Path, tmp_path: Path) -> None:
    """Most machines lack the hardware: then FFmpeg's own reason comes out, and nothing is left."""
    listed = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True).stdout
    there = [encoder for encoder in ENCODERS[1:] if f" {encoder} " in listed]
    if not there:
        pytest.skip("this ffmpeg was built without hardware encoders")
    code = "from gopseg.preprocess.main import main; main()"
    for encoder in there:
        command = [
            sys.executable,
            "-c",
            code,
            "encode",
            str(video),
            "-o",
            str(tmp_path / encoder),
            "--engine",
            "ffmpeg",
        ]
        run = subprocess.run([*command, "--encoder", encoder], capture_output=True, text=True, timeout=60)
        if run.returncode == 0:
            assert sidecar(tmp_path / encoder / "walk.json")["frame_types"] == "IPPPPPPPPPPP" * 3 + "IPPP"
        else:
            assert f"{tmp_path / encoder / 'walk.mp4'}: ffmpeg failed (" in run.stderr
            assert len(run.stderr.splitlines()) == 1
            assert list((tmp_path / encoder).iterdir()) == []


def test_interrupt_leaves_nothing(make: Any, tmp_path: Path) -> None:
    source = make.video(tmp_path / "s.mp4", make.moving(300))
    code = "from gopseg.preprocess.main import main; main()"
    command = [sys.executable, "-c", code, "encode", str(source), "-o", str(tmp_path / "out"), "--engine", "ffmpeg"]
    process = subprocess.Popen([*command, "--preset", "placebo"], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").glob(".*.part-*.mp4")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=30)[1]
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, "Traceback" in error) == (130, False), error
    assert "Interrupted" in error
    assert os.listdir(tmp_path / "out") == []  # noqa: PTH208 - hidden files too

"""`preprocess encode` where things go wrong: bad input, outputs that exist, interrupts, full disks."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import Result

Encode = Callable[..., Result]
COMMAND = [sys.executable, "-c", "from gopseg.preprocess.main import main; main()", "encode"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def bad_source(kind: str, folder: Path, video: Path) -> tuple[Path, str]:
    """A source that cannot be encoded, and what the error has to say."""
    path = folder / "source.mp4"
    if kind == "missing":
        return path, "no such file or folder; check the path"
    if kind == "no frames":
        (folder / "empty").mkdir()
        (folder / "empty" / "notes.txt").write_text("nothing")
        return folder / "empty", "no image in it nor in its folders; give a folder of frames"
    if kind == "no match":
        return folder / "*.mkv", "the pattern matches nothing"
    if kind == "text":
        path.write_text("this is no video")
        return path, "no video in it"
    if kind == "zero bytes":
        path.write_bytes(b"")
        return path, "the file is empty"
    if kind == "audio only":
        return audio_only(path), "has no video, only audio; give a file with"
    if kind == "cut off":
        path.write_bytes(video.read_bytes()[:3000])
        return path, "is cut off before"
    if kind == "one image":
        cv2.imwrite(str(folder / "one.png"), np.zeros((32, 32, 3), np.uint8))
        return folder / "one.png", "is a single image; give the folder"
    frames = folder / "mixed"
    frames.mkdir()
    for index in range(30):
        cv2.imwrite(str(frames / f"{index}.png"), np.zeros((32, 48 if index == 20 else 32, 3), np.uint8))
    return frames, "20.png: is 48x32 where"


KINDS = [
    "missing",
    "no frames",
    "no match",
    "text",
    "zero bytes",
    "audio only",
    "cut off",
    "one image",
    "sizes differ",
]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input(video: Path, tmp_path: Path, encode: Encode, kind: str) -> None:
    source, text = bad_source(kind, tmp_path, video)
    result = encode(source, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: ")
    assert text in result.stderr
    assert str(source) in result.stderr
    assert not (tmp_path / "out").exists() or contents(tmp_path / "out") == {}


def test_address_is_named_as_one(tmp_path: Path, encode: Encode) -> None:
    result = encode("http://127.0.0.1:9/drive.mp4", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: http://127.0.0.1:9/drive.mp4: is an address; download it first")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--bitrate", "fast"], "'fast' is no bitrate; give bits per second"),
        (["--bitrate", "900"], "less than 1k"),
        (["--bitrate", "-3M"], "no bitrate"),
        (["--gop", "0"], "--gop"),
        (["--fps", "0"], "out of range"),
        (["--fps", "1/0"], "no frame rate"),
        (["--preset", "swift"], "--preset"),
        (["--jobs", "0"], "--jobs"),
        (["--engine", "abacus"], "--engine"),
    ],
)
def test_bad_usage(video: Path, tmp_path: Path, encode: Encode, arguments: list[str], text: str) -> None:
    result = encode(video, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not (tmp_path / "out").exists()


def test_two_sources_of_one_name(make: Any, video: Path, tmp_path: Path, encode: Encode) -> None:
    make.folder(tmp_path / "walk", make.moving(3))
    result = encode(video, tmp_path / "walk", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert f"{tmp_path / 'walk'}: would be written as 'walk', and so would {video}" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_source_is_never_overwritten(make: Any, tmp_path: Path, encode: Encode) -> None:
    source = make.video(tmp_path / "a.mp4", make.moving(5))
    before = source.read_bytes()
    result = encode(source, "-o", tmp_path, "-y")
    assert (result.exit_code, source.read_bytes()) == (2, before)
    assert "is the source itself; give another folder" in result.stderr


@pytest.mark.parametrize("output", ["file", "below a file", "read-only"])
def test_unwritable_output(video: Path, tmp_path: Path, encode: Encode, output: str) -> None:
    (tmp_path / "file").write_text("here first")
    if output == "read-only":
        folder = Path("/proc/self")
        if not folder.is_dir():
            pytest.skip("no /proc on this system")
    else:
        folder = tmp_path / "file" if output == "file" else tmp_path / "file" / "below"
    result = encode(video, "-o", folder)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {folder}: ")
    assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "here first"


def test_outputs_that_exist(make: Any, video: Path, tmp_path: Path, encode: Encode) -> None:
    other = make.video(tmp_path / "other.mp4", make.moving(5))
    out = tmp_path / "out"
    assert encode(video, "-o", out).exit_code == 0
    before = contents(out)
    result = encode(other, video, "-o", out)
    assert result.exit_code == 2
    assert "walk.mp4: exists; give -y to replace it, -n to keep it, or --resume to continue" in result.stderr
    assert contents(out) == before, "work was started before the refusal"
    assert encode(other, video, "-o", out, "-n", "--gop", 5).exit_code == 0
    assert contents(out).items() > before.items()
    assert encode(video, "-o", out, "-y", "--gop", 5).exit_code == 0
    assert json.loads((out / "walk.json").read_text())["frame_types"] == "IPPPP" * 8


def test_resume_keeps_what_is_whole(make: Any, video: Path, tmp_path: Path, encode: Encode) -> None:
    out = tmp_path / "out"
    make.folder(tmp_path / "frames", make.moving(5))
    sources = (video, tmp_path / "frames")
    assert encode(*sources, "-o", out).exit_code == 0
    whole = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    result = encode(*sources, "-o", out, "--resume")
    assert result.exit_code == 0
    assert "2 of 2 outputs are there already and are kept." in result.stderr
    assert times == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "walk.mp4").write_bytes(whole["walk.mp4"][:-1])  # damaged since
    (out / "frames.mp4").unlink()  # killed between sidecar and video
    assert encode(*sources, "-o", out, "--resume").exit_code == 0
    assert contents(out) == whole
    cv2.imwrite(str(tmp_path / "frames" / "f3.png"), np.zeros((96, 128, 3), np.uint8))  # another source
    assert encode(*sources, "-o", out, "--resume").exit_code == 0
    assert contents(out)["walk.mp4"] == whole["walk.mp4"]
    assert contents(out)["frames.mp4"] != whole["frames.mp4"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--gop", 5], "gop 12, not 5"), (["--bitrate", "1M"], "bitrate_bps 3000000"), (["--fps", 5], "fps None, not 5")],
)
def test_resume_with_other_settings_is_refused(
    video: Path, tmp_path: Path, encode: Encode, arguments: list[object], text: str
) -> None:
    assert encode(video, "-o", tmp_path).exit_code == 0
    before = contents(tmp_path)
    result = encode(video, "-o", tmp_path, "--resume", *arguments)
    assert result.exit_code == 2
    assert f"was encoded with {text}" in result.stderr
    assert contents(tmp_path) == before


def test_resume_leaves_files_of_others_alone(video: Path, tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "walk.mp4").write_bytes(b"precious")
    result = encode(video, "-o", tmp_path, "--resume")
    assert result.exit_code == 2
    assert "exists without a sidecar of ours" in result.stderr
    assert contents(tmp_path) == {"walk.mp4": b"precious"}


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_interrupted_and_resumed_equals_uninterrupted(
    make: Any, tmp_path: Path, encode: Encode, number: signal.Signals, jobs: int
) -> None:
    for index in range(3):
        make.video(tmp_path / f"s{index}.mp4", make.moving(20 if index == 0 else 120, seed=index))
    arguments = [str(tmp_path / "s*.mp4"), "--jobs", str(jobs), "--preset", "slow", "-o"]
    out = tmp_path / "out"
    process = subprocess.Popen([*COMMAND, *arguments, str(out)], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (out / "s0.mp4").exists() or not any(out.glob(".*.part-*.mp4")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(number)
        error = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Interrupted" in error
    assert "Traceback" not in error
    done = contents(out)
    assert {"s0.mp4", "s0.json"} <= set(done) < {f"s{i}.{suffix}" for i in range(3) for suffix in ("mp4", "json")}
    assert encode(*arguments, out, "--resume").exit_code == 0
    assert encode(*arguments, tmp_path / "fresh").exit_code == 0
    resumed, fresh = contents(out), contents(tmp_path / "fresh")
    assert resumed.items() >= done.items(), "finished files were made again"
    assert {name: data for name, data in resumed.items() if name.endswith("mp4")} == {
        name: data for name, data in fresh.items() if name.endswith("mp4")
    }


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mount.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_pipe_is_refused(tmp_path: Path, encode: Encode) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = encode(tmp_path / "pipe", "-o", tmp_path / "out")
    assert (result.exit_code, "is a pipe, which can be read only once" in result.stderr) == (2, True)


def test_full_disk(make: Any, tmp_path: Path, small_disk: Path, encode: Encode) -> None:
    source = make.folder(tmp_path / "noise", [make.moving(1, seed=seed)[0] for seed in range(40)])
    result = encode(source, "-o", small_disk, "--bitrate", "8M", "--preset", "ultrafast")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert f"{small_disk / 'noise.mp4'}: cannot be written (No space left on device)" in result.stderr
    assert contents(small_disk) == {}


def test_debug_shows_where(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "a.mp4").write_text("this is no video")
    result = encode(tmp_path / "a.mp4", "-o", tmp_path / "out", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_no_bar_where_nobody_looks(video: Path, tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, str(video), "-o", str(tmp_path)], capture_output=True, check=True, text=True)
    assert done.stdout == ""
    assert "\r" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_bar_over_all_frames_on_a_terminal(make: Any, video: Path, tmp_path: Path) -> None:
    pty, fcntl, termios = (
        pytest.importorskip(name, reason="no terminals here") for name in ("pty", "fcntl", "termios")
    )
    make.folder(tmp_path / "frames", make.moving(10))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen([*COMMAND, str(video), str(tmp_path / "frames"), "-o", str(tmp_path)], stderr=slave)
    os.close(slave)
    seen = b""
    try:
        while chunk := os.read(master, 4096):
            seen += chunk
    except OSError:  # Linux ends a pseudo-terminal with EIO
        pass
    os.close(master)
    assert process.wait(60) == 0
    assert b"50/50" in seen

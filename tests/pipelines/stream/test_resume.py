"""`segment-stream --resume`: an interrupted or killed run and its continuation are worth one whole run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from gopseg.pipelines import KeyframePipeline
from gopseg.pipelines.outputs.sinks import ColourImages

STOP = 21  # frame at which runs are broken off: the fourth of its GOP
KINDS = "overlay,labels,color,rle"


@pytest.fixture
def clip(tmp_path, make_clip, square_images) -> Path:
    """48 frames, a keyframe every 6."""
    (tmp_path / "in").mkdir()
    return make_clip(tmp_path / "in" / "street.mp4", square_images * 4)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets Ctrl-C come at frame STOP of the next run."""
    observe = KeyframePipeline._observe

    def broken(self: KeyframePipeline[Any], frame: Any) -> None:
        if frame.index == STOP:
            monkeypatch.setattr(KeyframePipeline, "_observe", observe)
            raise KeyboardInterrupt
        observe(self, frame)

    return lambda: monkeypatch.setattr(KeyframePipeline, "_observe", broken)


def outputs(folder: Path, stem: str) -> dict[str, Any]:
    """Everything but the overlay's bytes: its times and its pictures."""
    with av.open(str(folder / f"{stem}.mp4")) as container:
        video = [(float(p.pts * p.time_base), p.to_ndarray(format="rgb24").mean()) for p in container.decode(video=0)]
        duration = float(container.streams.video[0].duration * container.streams.video[0].time_base)
    labels = [np.asarray(Image.open(file)).tobytes() for file in sorted((folder / f"{stem}_labels").iterdir())]
    colours = [file.read_bytes() for file in sorted((folder / f"{stem}_color").iterdir())]
    return {
        "video": video,
        "duration": duration,
        "labels": labels,
        "colours": colours,
        "rle": (folder / f"{stem}.rle.jsonl").read_text(),
    }


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in ("duration", "labels", "colours", "rle"):
        assert found[name] == expected[name], name
    assert [time for time, _ in found["video"]] == [time for time, _ in expected["video"]]
    brightness = [mean for _, mean in expected["video"]]
    assert [mean for _, mean in found["video"]] == pytest.approx(brightness, abs=1)


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("reencode", ["auto", "always"])
def test_after_an_interrupt_all_outputs_go_on(stream, tmp_path: Path, clip: Path, interrupt, reencode: str) -> None:
    common = (clip, "--save", KINDS, "--mode", "motion", "--start", "0.08", "--reencode", reencode)
    assert stream(*common, "-o", "whole.mp4").exit_code == 0
    interrupt()
    assert stream(*common, "-o", "x.mp4").exit_code == 130
    assert hidden(tmp_path) == [".x.progress.jsonl"]
    assert len(outputs(tmp_path, "x")["labels"]) == STOP - 2
    assert "exists already; give --resume to go on" in stream(*common, "-o", "x.mp4").stderr
    result = stream(*common, "-o", "x.mp4", "--resume", "--stats", "s.json")
    assert result.exit_code == 0, result.stderr
    kept = {"auto": 16, "always": 10}[reencode]  # 18 is a keyframe of the file, 12 one of the encoding in memory
    assert f"going on after {kept} frames" in result.stderr
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["resumed_after"], stats["frames"]) == (kept, 46 - kept)
    same(outputs(tmp_path, "x"), outputs(tmp_path, "whole"))
    assert hidden(tmp_path) == []
    again = stream(*common, "-o", "x.mp4", "--resume")
    assert (again.exit_code, "is finished and is left alone" in again.stderr) == (0, True)


def test_stopped_while_the_outputs_are_opened_nothing_is_left(
    stream, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ColourImages, "start", stop)
    result = stream(clip, "--save", KINDS, "--mode", "motion", "-o", "x.mp4")
    assert (result.exit_code, "nothing is left" in result.stderr) == (130, True)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_interrupted_twice(stream, tmp_path: Path, clip: Path, interrupt) -> None:
    common = (clip, "--save", KINDS, "--mode", "motion")
    assert stream(*common, "-o", "whole.mp4").exit_code == 0
    for resume in ([], ["--resume"]):
        interrupt()
        assert stream(*common, "-o", "x.mp4", *resume).exit_code == 130
        assert len(outputs(tmp_path, "x")["labels"]) == STOP
    assert stream(*common, "-o", "x.mp4", "--resume").exit_code == 0
    same(outputs(tmp_path, "x"), outputs(tmp_path, "whole"))


KILLED = f"""
import os, signal
from gopseg.pipelines import KeyframePipeline
observe = KeyframePipeline._observe
def broken(self, frame):
    if frame.index == {STOP}:
        os.kill(os.getpid(), signal.SIGKILL)
    observe(self, frame)
KeyframePipeline._observe = broken
from gopseg.pipelines.stream.main import main
main()
"""


def killed(model_file: Path, folder: Path, *arguments: Any) -> None:
    common = ["--model", model_file, "--device", "cpu", "--precision", "fp32", "--mode", "motion"]
    run = subprocess.run([sys.executable, "-c", KILLED, *map(str, [*arguments, *common])], cwd=folder)
    assert run.returncode == -9


def test_after_a_kill_pictures_go_on(stream, tmp_path: Path, clip: Path, model_file: Path) -> None:
    common = (clip, "--save", "labels", "--mode", "motion")
    assert stream(*common, "-o", "whole.mp4").exit_code == 0
    killed(model_file, tmp_path, clip, "--save", "labels", "-o", "x.mp4")
    assert hidden(tmp_path)[0] == ".x.progress.jsonl"
    assert hidden(tmp_path)[1].startswith(".x_labels.part-")
    torn = sorted((tmp_path / hidden(tmp_path)[1]).iterdir())[-1]
    torn.write_bytes(torn.read_bytes()[:10])
    result = stream(*common, "-o", "x.mp4", "--resume")
    assert result.exit_code == 0, result.stderr
    kept = int(result.stderr.split("going on after ")[1].split()[0])
    assert kept in (6, 12, 18), "a whole number of GOPs; the writer may have been a few frames behind"
    found, whole = (
        [np.asarray(Image.open(file)).tobytes() for file in sorted((tmp_path / name).iterdir())]
        for name in ("x_labels", "whole_labels")
    )
    assert found == whole
    assert hidden(tmp_path) == []


def test_after_a_kill_a_video_begins_anew(stream, tmp_path: Path, clip: Path, model_file: Path) -> None:
    common = (clip, "--save", KINDS, "--mode", "motion")
    killed(model_file, tmp_path, clip, "--save", KINDS, "-o", "x.mp4")
    result = stream(*common, "-o", "x.mp4", "--resume")
    assert (result.exit_code, "going on after 0 frames" in result.stderr) == (0, True)
    assert len(outputs(tmp_path, "x")["video"]) == 48
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (["--opacity", "0.7"], "opacity was 0.5 and is 0.7"),
        (["--save", "labels"], "save was"),
        ([], "source_stamp was"),
    ],
    ids=["options", "outputs", "source"],
)
def test_other_requests_are_refused(
    stream, tmp_path: Path, clip: Path, interrupt, change: list[str], text: str
) -> None:
    interrupt()
    assert stream(clip, "--mode", "motion", "-o", "x.mp4").exit_code == 130
    before = (tmp_path / "x.mp4").read_bytes()
    if not change:
        clip.write_bytes(clip.read_bytes() + b"\0")
    result = stream(clip, "--mode", "motion", "-o", "x.mp4", "--resume", *change)
    assert (result.exit_code, text in result.stderr) == (2, True), result.stderr
    assert (tmp_path / "x.mp4").read_bytes() == before
    assert hidden(tmp_path) == [".x.progress.jsonl"]


def test_a_failure_on_the_way_keeps_what_was_there(
    stream, tmp_path: Path, clip: Path, interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = (clip, "--save", "labels", "--mode", "motion", "-o", "x.mp4")
    interrupt()
    assert stream(*common).exit_code == 130
    with monkeypatch.context() as broken:
        write = Path.write_bytes

        def full(self: Path, data: bytes) -> int:
            if self.name == "000030.png":
                raise OSError(28, "No space left on device")
            return write(self, data)

        broken.setattr(Path, "write_bytes", full)
        failed = stream(*common, "--resume")
    assert (failed.exit_code, "No space left" in failed.stderr) == (1, True)
    result = stream(*common, "--resume")
    assert (result.exit_code, "going on after 30 frames" in result.stderr) == (0, True), result.stderr
    assert len(list((tmp_path / "x_labels").iterdir())) == 48


@pytest.mark.parametrize("place", ["labelling", "drawing"])
def test_a_fault_of_ours_keeps_what_was_there(
    stream, tmp_path: Path, clip: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw, in the network's thread or the writer's."""
    common = (clip, "--save", KINDS, "--mode", "motion")
    assert stream(*common, "-o", "whole.mp4").exit_code == 0
    with monkeypatch.context() as broken:
        if place == "labelling":
            observe = KeyframePipeline._observe

            def fail(self: KeyframePipeline[Any], frame: Any) -> None:
                if frame.index == STOP:
                    raise ZeroDivisionError("nobody knows")
                observe(self, frame)

            broken.setattr(KeyframePipeline, "_observe", fail)
        else:
            encode = ColourImages.encode

            def draw(self: ColourImages, labels: np.ndarray) -> bytes:
                if self.written == STOP:
                    raise ZeroDivisionError("nobody knows")
                return encode(self, labels)

            broken.setattr(ColourImages, "encode", draw)
        failed = stream(*common, "-o", "x.mp4")
    assert failed.exit_code == 1
    assert (
        "ZeroDivisionError: nobody knows; this is a bug in gopseg: --debug shows where, please report it; the outputs "
        "hold the frames before that, and --resume goes on from there"
    ) in failed.stderr
    assert hidden(tmp_path) == [".x.progress.jsonl"]
    found = outputs(tmp_path, "x")
    assert found["colours"] == outputs(tmp_path, "whole")["colours"][:STOP]
    assert len(found["video"]) in range(6, STOP + 2)  # pictures that the encoder held are lost with the writer
    result = stream(*common, "-o", "x.mp4", "--resume")
    assert (result.exit_code, "going on after 0 frames" in result.stderr) == (0, False), result.stderr
    same(outputs(tmp_path, "x"), outputs(tmp_path, "whole"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a size, or gives it another one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    is_mounted = False

    def mount(size: str) -> Path:
        nonlocal is_mounted
        options = f"size={size},remount" if is_mounted else f"size={size}"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True).returncode:
            pytest.skip("no right to mount a small tmpfs")
        is_mounted = True
        return disk

    yield mount
    if is_mounted:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def noisy(tmp_path: Path, make_clip) -> Path:
    """24 frames, a keyframe every 6, that take some room."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    return make_clip(tmp_path / "in" / "noise.mp4", [rng.integers(0, 256, (128, 192, 3), np.uint8) for _ in range(24)])


@pytest.mark.parametrize("jobs", [[], ["--jobs", "2"]], ids=["alone", "in parts"])
def test_a_full_disk_keeps_what_was_there(stream, tmp_path: Path, noisy: Path, small_disk, jobs: list[str]) -> None:
    common = (noisy, "--save", KINDS, "--mode", "motion", *jobs)
    assert stream(*common, "-o", "whole.mp4").exit_code == 0
    made = [path for path in tmp_path.rglob("*") if path.is_file() and "whole" in str(path.relative_to(tmp_path))]
    disk = small_disk(f"{sum(-(-path.stat().st_size // 4096) for path in made) * 4 * 7 // 10}k")
    failed = stream(*common, "-o", disk / "x.mp4")
    assert failed.exit_code == 1
    assert "No space left on device" in failed.stderr
    assert ", and --resume goes on from there once there is room" in failed.stderr
    again = stream(*common, "-o", disk / "x.mp4", "--resume")  # without any more room
    assert (again.exit_code, "No space left on device" in again.stderr) == (1, True), again.stderr
    small_disk("20m")
    result = stream(*common, "-o", disk / "x.mp4", "--resume")
    assert result.exit_code == 0, result.stderr
    assert jobs or "going on after 0 frames" not in result.stderr
    same(outputs(disk, "x"), outputs(tmp_path, "whole"))
    assert hidden(disk) == []


def test_what_cannot_be_resumed(stream, tmp_path: Path, clip: Path) -> None:
    assert "cannot be read again" in stream("rtsp://127.0.0.1/x", "--resume").stderr
    assert "contradict each other" in stream(clip, "--resume", "-y").stderr
    (tmp_path / "x.mp4").write_text("precious")
    result = stream(clip, "-o", "x.mp4", "--save", "overlay,labels", "--resume")
    assert (result.exit_code, (tmp_path / "x.mp4").read_text()) == (2, "precious")
    assert stream(clip, "-o", "y.mp4", "--resume").exit_code == 0
    assert hidden(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks of this kind")
def test_two_runs_do_not_write_the_same_outputs(stream, tmp_path: Path, clip: Path) -> None:
    import fcntl

    with (tmp_path / ".x.progress.jsonl").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = stream(clip, "-o", "x.mp4")
    assert (result.exit_code, "another segment-stream writes" in result.stderr) == (2, True)

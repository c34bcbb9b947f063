"""Several files in one call: one that fails costs itself only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import Result

from gopseg.pipelines import KeyframePipeline
from gopseg.pipelines.stream.jobs import batch, planning
from tests.pipelines.stream.jobs.killing import killed_once

Stream = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, make_clip, square_images) -> Path:
    """Videos of 12 and 24 frames, and a file that is none."""
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", square_images)
    (tmp_path / "in" / "b.mp4").write_bytes(b"no video at all" * 100)
    make_clip(tmp_path / "in" / "c.mkv", square_images * 2)
    return tmp_path / "in"


def frames_in(file: Path) -> int:
    with av.open(str(file)) as container:
        return sum(1 for _ in container.decode(video=0))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_fails_costs_itself_only(stream: Stream, folder: Path, tmp_path: Path) -> None:
    given = ("in", "-o", "in/out", "--save", "overlay,rle", "--stats", "s.json")
    result = stream(*given)
    assert result.exit_code == 1, result.output
    assert result.stderr.splitlines()[-2].startswith("Error: in/b.mp4: ")
    assert result.stderr.splitlines()[-1] == "1 of 3 sources failed."
    out = folder / "out"
    kept = ["a.classes.json", "a.mp4", "a.rle.jsonl", "c.classes.json", "c.mp4", "c.rle.jsonl"]
    assert names(out) == kept
    assert (frames_in(out / "a.mp4"), frames_in(out / "c.mp4")) == (12, 24)
    report = json.loads((tmp_path / "s.json").read_text())
    assert (report["frames"], report["failed"]) == (36, 1)
    assert [(entry["source"], entry.get("frames")) for entry in report["sources"]] == [
        ("in/a.mp4", 12),
        ("in/b.mp4", None),
        ("in/c.mkv", 24),
    ]

    refused = stream(*given)
    assert (refused.exit_code, "exists already; give -y" in refused.stderr) == (2, True)
    before = {name: (out / name).read_bytes() for name in kept}
    again = stream(*given, "--resume")
    assert again.exit_code == 1
    assert again.stderr.count("is finished and is left alone") == 2
    assert {name: (out / name).read_bytes() for name in kept} == before
    assert [entry.get("frames") for entry in json.loads((tmp_path / "s.json").read_text())["sources"]] == [12, None, 24]


def test_bad_usage_is_said_before_any_work(stream: Stream, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c.mp4").touch()
    result = stream("in/a.mp4", "in/c.mkv", "-o", "out")
    assert (result.exit_code, "'out/c.mp4' exists already" in result.stderr) == (2, True)
    assert names(tmp_path / "out") == ["c.mp4"]
    for wrong in (("in/a.mp4", "rtsp://x/y"), ("in/a.mp4", "in/none.mp4"), ("in/a.mp4", "in/c.mkv", "-o", "x.mp4")):
        assert stream(*wrong).exit_code == 2
    result = stream("in/a.mp4", "in/c.mkv", "-o", "new", "--stats", "none/s.json")
    assert (result.exit_code, "its folder is not there" in result.stderr) == (2, True)
    assert not (tmp_path / "new").exists(), "a folder in which nothing was made is not left"
    assert stream("in/a.mp4", "in/c.mkv", "-o", "out", "-n").exit_code == 0
    assert names(tmp_path / "out") == ["a.mp4", "c.mp4"]


def test_ctrl_c_leaves_what_was_done(
    stream: Stream, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = KeyframePipeline._observe

    def broken(self: KeyframePipeline[Any], frame: Any) -> None:
        if frame.index == 15:
            raise KeyboardInterrupt
        observe(self, frame)

    monkeypatch.setattr(KeyframePipeline, "_observe", broken)
    given = ("in/a.mp4", "in/c.mkv", "-o", "out", "--save", "overlay,rle", "--mode", "motion")
    assert stream(*given).exit_code == 130
    assert (frames_in(tmp_path / "out" / "a.mp4"), frames_in(tmp_path / "out" / "c.mp4")) == (12, 15)
    monkeypatch.setattr(KeyframePipeline, "_observe", observe)
    result = stream(*given, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "'out/a.mp4' is finished" in result.stderr
    assert "going on after 12 frames" in result.stderr
    assert frames_in(tmp_path / "out" / "c.mp4") == 24


def test_a_killed_worker_costs_what_it_had_in_hand(
    stream: Stream, folder: Path, tmp_path: Path, make_clip, square_images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes; the one with the second part of the long file is killed in the middle of it."""
    make_clip(folder / "long.mp4", square_images * 4)
    monkeypatch.setattr(planning, "LEAST_GOPS", 2)
    monkeypatch.setattr(planning, "LEAST_FRAMES", 12)
    monkeypatch.setattr(batch, "do_task", killed_once)
    result = stream("in/long.mp4", "in/b.mp4", "-o", "out", "--save", "labels,rle", "--jobs", "2")
    assert result.exit_code == 1, result.output
    assert result.stderr.splitlines()[-1] == "1 of 2 sources failed."
    assert (tmp_path / "out" / "killed").exists()
    assert "in/long.mp4: a worker was killed; what it had in hand was done again" in result.stderr
    assert stream("in/long.mp4", "-o", "long.mp4", "--save", "labels,rle").exit_code == 0
    assert (tmp_path / "long.rle.jsonl").read_bytes() == (tmp_path / "out" / "long.rle.jsonl").read_bytes()
    one, parts = (
        [file.read_bytes() for file in sorted(folder.iterdir())]
        for folder in (tmp_path / "long_labels", tmp_path / "out" / "long_labels")
    )
    assert one == parts
    assert not [name for name in names(tmp_path / "out") if name.startswith(".")]

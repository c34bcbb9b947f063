"""Many sources: the manifest, going on from it, and a Ray cluster of which a worker is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gopseg.preprocess import load_metadata

Command = Callable[..., Result]
CODE = "from gopseg.preprocess.main import main; main()"
KEYS = {"source", "status", "attempts", "output", "sha256", "seconds", "worker", "error", "settings", "source_stamp"}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def videos(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.mp4"))}


def test_the_manifest_tells_and_resume_reads_it(make: Any, tmp_path: Path, encode: Command) -> None:
    for index in range(3):
        make.video(tmp_path / f"s{index}.mp4", make.moving(8, seed=index))
    (tmp_path / "s1.mp4").write_text("this is no video")
    out, manifest = tmp_path / "out", tmp_path / "m.jsonl"
    arguments = (tmp_path / "s*.mp4", "-o", out, "--manifest", manifest)
    assert encode(*arguments).exit_code == 1
    entries = lines(manifest)
    assert all(entry.keys() == KEYS for entry in entries)
    assert [entry["status"] for entry in entries] == ["done", "failed", "done"]
    assert "s1.mp4" in entries[1]["error"]
    assert [entry["sha256"] is None for entry in entries] == [False, True, False]
    make.video(tmp_path / "s1.mp4", make.moving(8, seed=1))
    for sidecar in out.glob("*.json"):
        sidecar.unlink()  # the manifest alone tells that these are finished
    with manifest.open("a") as file:
        file.write('{"source": "cut off by a cra')
    result = encode(*arguments, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "2 of 3 outputs are there already" in result.stderr
    assert [entry["source"] for entry in lines_that_parse(manifest)[3:]] == [str(tmp_path / "s1.mp4")]
    make.video(tmp_path / "s0.mp4", make.moving(8, seed=9))  # another source since
    refused = encode(*arguments, "--resume")
    assert (refused.exit_code, "without a sidecar of ours" in refused.stderr) == (2, True)


def lines_that_parse(file: Path) -> list[dict[str, Any]]:
    """All lines but the one that was cut off, which must not have swallowed the next."""
    good = [line for line in file.read_text().splitlines() if line.endswith("}")]
    return [json.loads(line) for line in good]


def test_extract_of_many(make: Any, tmp_path: Path, encode: Command, extract: Command) -> None:
    for index in range(3):
        make.video(tmp_path / f"s{index}.mp4", make.moving(8 + index, seed=index))
    assert encode(tmp_path / "s*.mp4", "-o", tmp_path / "corpus").exit_code == 0
    arguments = (tmp_path / "corpus" / "*.mp4", "-o", tmp_path / "npz", "--without", "composed")
    assert extract(*arguments, "--jobs", 2).exit_code == 0
    assert [len(load_metadata(tmp_path / "npz" / f"s{index}.npz")) for index in range(3)] == [8, 9, 10]
    assert extract(*arguments).exit_code == 2
    (tmp_path / "npz" / "s2.npz").unlink()
    result = extract(*arguments, "--resume")
    assert (result.exit_code, "2 of 3 outputs are there already" in result.stderr) == (0, True)
    other = extract(tmp_path / "corpus" / "*.mp4", "-o", tmp_path / "npz", "--resume")
    assert (other.exit_code, "was written with the arrays" in other.stderr) == (2, True)
    one = extract(
        tmp_path / "corpus" / "s0.mp4", "-o", tmp_path / "npz" / "s0.npz", "--without", "composed", "--resume"
    )
    assert (one.exit_code, "is kept" in one.stderr) == (0, True)
    (tmp_path / "frames").mkdir()
    refused = extract(tmp_path / "corpus" / "s0.mp4", tmp_path / "frames", "-o", tmp_path / "npz")
    assert (refused.exit_code, "is a folder" in refused.stderr) == (2, True)


def test_without_ray_it_is_named(video: Path, tmp_path: Path, encode: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = encode(video, "-o", tmp_path / "out", "--ray", "local")
    assert (result.exit_code, "pip install 'gopseg[ray]'" in result.stderr) == (2, True)


@pytest.fixture
def running(make: Any, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`preprocess encode` of four sources, one of them bad, on a local Ray of two workers."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'gopseg[ray]'")
    for index in range(3):
        make.video(tmp_path / f"s{index}.mp4", make.moving(100, seed=index))
    (tmp_path / "s3.mp4").write_text("this is no video")
    arguments = ["encode", "s*.mp4", "-o", "out", "--ray", "local", "--jobs", "2", "--preset", "placebo"]
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()


def test_a_killed_worker_costs_one_source_only(
    running: subprocess.Popen[str], tmp_path: Path, encode: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    def workers() -> list[psutil.Process]:
        everyone = psutil.Process(running.pid).children(recursive=True)
        return [process for process in everyone if "ray::_work" in " ".join(process.cmdline()[:1])]

    deadline = time.monotonic() + 120
    out = tmp_path / "out"
    while not list(out.glob(".*.part-*.mp4")) or not workers():
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline, "no worker began"
        time.sleep(0.02)
    workers()[0].kill()
    error = running.communicate(timeout=120)[1]
    assert running.returncode == 1, error  # by the bad source alone
    assert "1 of 4 sources failed, the others are done." in error
    assert error.count("(attempt 2: a worker had died)") == 1
    entries = {entry["source"]: entry for entry in lines(out / "manifest.jsonl")}
    assert {name: entry["status"] for name, entry in entries.items()} == {
        **{f"s{index}.mp4": "done" for index in range(3)},
        "s3.mp4": "failed",
    }
    assert sorted(entry["attempts"] for entry in entries.values()) == [1, 1, 1, 2]
    assert entries["s3.mp4"]["attempts"] == 1, "an input error is not tried again"
    assert list(out.glob(".*")) == []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3.mp4").unlink()
    assert encode("s*.mp4", "-o", "here", "--preset", "placebo", "--jobs", 2).exit_code == 0
    assert videos(tmp_path / "here") == videos(out), "a cluster gives other bytes"
    kept = encode("s*.mp4", "-o", "out", "--preset", "placebo", "--manifest", out / "manifest.jsonl", "--resume")
    assert "3 of 3 outputs are there already" in kept.stderr

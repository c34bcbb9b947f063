"""`fuzz-codec`: the same inputs each time, every kind of failure noticed, and what it found stays mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from multiprocessing.context import ForkContext
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from gopseg.tools.fuzz import pool as fuzz
from gopseg.tools.fuzz import worker as fuzz_worker
from gopseg.tools.fuzz.inputs import CLIPS, FRAMES, OPERATIONS, clip_packets, fuzz_input
from gopseg.tools.fuzz.main import main
from gopseg.tools.fuzz.worker import FuzzResult, run_input

FOUND = {
    24: "frames of another size without a keyframe, in the middle of a GOP",
    1513: "the same, joined",
    12675: "a stream that appears in the middle of an MPEG-TS",
    3705: "a parameter set that crops more than there is",
}
"""Inputs of seed 0 that once went wrong, and why."""


@pytest.fixture(autouse=True)
def quiet() -> None:
    av.logging.set_level(av.logging.PANIC)


@pytest.mark.parametrize("number", FOUND)
def test_what_was_found_is_mended(number: int, tmp_path: Path) -> None:
    result = run_input(0, number, tmp_path)
    assert result.status in ("decoded", "refused"), result.text


def test_closing_does_not_wait_for_ever() -> None:
    """Found with inputs 16834 and 19731: PyAV freed decoders whose threads still had frames, and both sides waited."""
    code = (
        "import io, av; av.logging.set_level(av.logging.PANIC)\n"
        "from gopseg.codec import open_video\nfrom gopseg.tools.fuzz.inputs import fuzz_input\n"
        "for number in 2 * [16834, 19731]:\n"
        "    data = fuzz_input(0, number).data\n"
        "    for _ in range(60):\n"
        "        frame = next(open_video(io.BytesIO(data), threads=2))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_inputs_repeat_and_cover_everything() -> None:
    inputs = [fuzz_input(7, number) for number in range(120)]
    assert inputs[:20] == [fuzz_input(7, number) for number in range(20)]
    assert {made.clip for made in inputs} == set(CLIPS)
    assert {made.container for made in inputs} == {"h264", "mp4", "mpegts", "matroska"}
    assert {operation for made in inputs for operation in made.operations} == set(OPERATIONS)
    assert all(made.operations for made in inputs)
    assert len({made.data for made in inputs}) > 110
    assert fuzz_input(8, 0) != inputs[0]


@pytest.mark.parametrize("name", CLIPS)
def test_intact_clips_decode(name: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.h264"
    path.write_bytes(b"".join(clip_packets(name)))
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--count", "30", "--seed", "5", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "summary.json").read_text())
    assert (report["count"], report["findings"]) == (30, [])
    assert report["outcomes"]["all/decoded"] + report["outcomes"].get("all/refused", 0) == 30
    assert 0 < report["corrupt_frames"] < report["frames"]
    assert "0 findings" in result.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["summary.json"]


def crashing(connection, seed):
    """A worker that dies, hangs and fails by turns."""
    connection.send(None)
    while True:
        number = connection.recv()
        if number == 1:
            os.abort()
        if number == 2:
            time.sleep(60)
        status = {3: "exception", 4: "memory"}.get(number, "decoded")
        connection.send(FuzzResult(number, status, 1, 0, "text"))


def test_crashes_hangs_and_exceptions_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "work", crashing)
    monkeypatch.setattr(fuzz.multiprocessing, "get_context", lambda _: ForkContext())
    result = CliRunner().invoke(main, ["--count", "7", "--timeout", "1", "--jobs", "2", "-o", str(tmp_path)])
    assert result.exit_code == 1
    report = json.loads((tmp_path / "summary.json").read_text())
    assert report["findings"] == [1, 2, 3, 4]
    assert report["outcomes"]["all/decoded"] == 3
    for number, status in {1: "crash", 2: "hang", 3: "exception", 4: "memory"}.items():
        assert (tmp_path / f"0-{number}.txt").read_text().startswith(status)
        assert (tmp_path / f"0-{number}.bin").read_bytes() == fuzz_input(0, number).data


def test_an_exception_is_not_taken_for_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(fuzz_worker, "open_video", broken)
    result = run_input(0, 0, tmp_path)
    assert result.status == "exception"
    assert "on purpose" in result.text


def test_a_summary_that_exists_is_refused_or_kept(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("precious")
    for arguments, status, text in ((["-n"], 0, "is kept"), ([], 2, "give -y to replace it"), (["-y", "-n"], 2, "-y")):
        result = CliRunner().invoke(main, ["--count", "1", "-o", str(tmp_path), *arguments])
        assert (result.exit_code, text in result.stderr) == (status, True), result.stderr
        assert (tmp_path / "summary.json").read_text() == "precious"

"""Parts of a file on a local Ray of two workers, one of which is killed."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gopseg.pipelines import StreamRequest, segment_stream
from gopseg.pipelines.stream import Places, segment_many
from gopseg.pipelines.stream.jobs import batch, planning
from tests.pipelines.stream.jobs.killing import killed_once


def test_a_killed_worker_costs_one_part(
    tmp_path: Path,
    make_clip,
    square_images,
    model_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'gopseg[ray]'")
    clip = make_clip(tmp_path / "in.mp4", square_images * 4)
    common = {"source": str(clip), "model": str(model_file), "device": "cpu", "precision": "fp32", "save": ("rle",)}
    monkeypatch.setattr(batch, "do_task", killed_once)
    monkeypatch.setattr(planning, "LEAST_GOPS", 2)
    monkeypatch.setattr(planning, "LEAST_FRAMES", 12)
    (tmp_path / "parts").mkdir()
    parts = StreamRequest(**common, output=tmp_path / "parts" / "x.mp4")
    assert segment_many([parts], Places(2, "local")).exit_status == 0
    assert (tmp_path / "parts" / "killed").exists()
    assert "a worker was killed" in capsys.readouterr().err
    segment_stream(StreamRequest(**common, output=tmp_path / "x.mp4"))
    assert (tmp_path / "parts" / "x.rle.jsonl").read_bytes() == (tmp_path / "x.rle.jsonl").read_bytes()


def test_no_cluster_there(tmp_path: Path, square_clip: Path, stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = stream(square_clip, "-o", "x.mp4", "--ray", "auto")
    assert (result.exit_code, "the package ray is missing" in result.stderr) == (2, True)


def test_nobody_at_the_address(tmp_path: Path, square_clip: Path, stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray alone would wait for a quarter of an hour."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        result = stream(square_clip, "-o", tmp_path / "x.mp4", "--ray", address)
        assert (result.exit_code, f"--ray {address}: nobody answers there" in result.stderr) == (2, True)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    result = stream(square_clip, "-o", tmp_path / "x.mp4", "--ray", "auto")
    assert (result.exit_code, "nobody answers there" in result.stderr) == (2, True)
    for address in ("", "here", "here:", "127.0.0.1:99999"):
        result = stream(square_clip, "-o", tmp_path / "x.mp4", "--ray", address)
        assert (result.exit_code, "--ray" in result.stderr) == (2, True)

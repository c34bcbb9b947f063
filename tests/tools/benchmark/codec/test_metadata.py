"""`benchmark-codec metadata`: that it measures each pass, compares vectors and reports; never how fast."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.tools.benchmark.main import codec as main


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "small.mp4"
    scene = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"x264-params": "keyint=6:scenecut=0:bframes=0"}
        )  # of B-frames mvextractor loses vectors
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(scene, 2 * index, axis=1))))
        container.mux(stream.encode(None))
    return path


def measured(clip: Path) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["metadata", str(clip), "--repeat", "2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_every_pass_is_measured_with_both_thread_settings(clip: Path) -> None:
    pytest.importorskip("mvextractor", reason="motion-vector-extractor is not installed (wheels: x86-64 Linux)")
    report = measured(clip)
    assert report["frames"] == 12
    assert set(report["threads"]) == {"1", "auto"}
    others = {"full", "image", "mvextractor read", "mvextractor vectors"}
    for figures in report["threads"].values():
        assert set(figures["cpu_ratio_to_metadata"]) == others
        assert set(figures["wall_seconds"]) == others | {"metadata"}
        assert all(value > 0 for value in figures["wall_ratio_to_metadata"].values())
    assert report["vectors_identical"] is True
    assert set(report["vectors_sha256"]) == {"metadata", "full", "mvextractor"}


def test_without_the_other_reader_ours_is_measured(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("mvextractor"):
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    report = measured(clip)
    assert set(report["threads"]["1"]["wall_seconds"]) == {"metadata", "full", "image"}
    assert "gopseg[mvextractor]" in report["mvextractor"]
    assert report["vectors_identical"] is True


def test_bad_input() -> None:
    done = CliRunner().invoke(main, ["metadata", "absent.mp4"])
    assert done.exit_code == 2
    assert "absent.mp4" in done.stderr

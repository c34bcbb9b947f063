"""`benchmark-codec`: that it measures and reports; never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.tools.benchmark.main import codec as main


@pytest.fixture
def small_clip(tmp_path: Path) -> Path:
    path = tmp_path / "small.mp4"
    scene = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"x264-params": "bframes=0:ref=1:weightp=0:keyint=6:scenecut=0"}
        )
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(12):
            image = np.roll(scene, 2 * index, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("with_source", [False, True])
def test_chain(small_clip: Path, with_source: bool) -> None:
    source = [str(small_clip)] if with_source else ["--size", "128x96"]
    done = CliRunner().invoke(main, ["chain", *source, "--gop", "4", "--repeat", "2"], catch_exceptions=False)
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["size_hw"] == [96, 128]
    assert report["gop"] == 4
    assert set(report["stages_ms_median"]) == {"rasterise", "push", "compose"}
    assert report["ms_per_frame_median"] > 0
    assert report["gops_measured"] == (2 * 3 if with_source else 2 * 2)


def test_read(small_clip: Path) -> None:
    done = CliRunner().invoke(main, ["read", str(small_clip)], catch_exceptions=False)
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["codec"] == "h264"
    assert len(report["frames_per_second"]) == 5
    assert all(rate > 0 for rate in report["frames_per_second"].values())


@pytest.mark.parametrize(
    "arguments",
    [["read", "absent.mp4"], ["chain", "absent.mp4"], ["chain", "--size", "12"], ["chain", "--size", "8x8"]],
)
def test_bad_input(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert arguments[-1] in done.stderr


def test_too_few_frames(small_clip: Path) -> None:
    done = CliRunner().invoke(main, ["chain", str(small_clip), "--gop", "40"])
    assert done.exit_code == 2
    assert "lower --gop" in done.stderr

"""`benchmark-segnet endurance` and `jobs`: what they report of short runs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from click.testing import CliRunner

from gopseg.codec import EncodeSettings, SourceError, open_video, pictures_of_images, transcode
from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.benchmark import endurance
from gopseg.tools.benchmark.commands import endurance as command
from gopseg.tools.benchmark.looping import loop
from tests.codec.conftest import sliding, write_clip


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames at 25 a second."""
    pictures = pictures_of_images(sliding(64, 96, 12, (2, 1)), "short", Fraction(25))
    file = tmp_path_factory.mktemp("short") / "short.mp4"
    transcode(pictures, file, EncodeSettings(gop=6))
    return file


def test_a_loop(short: Path, tmp_path: Path) -> None:
    assert loop(short, tmp_path / "long.mp4", 1.5) == 48
    with open_video(short) as once, open_video(tmp_path / "long.mp4") as video:
        first, frames = list(once), list(video)
    assert [frame.pts_seconds for frame in frames] == [pytest.approx(i / 25) for i in range(48)]
    assert [frame.is_keyframe for frame in frames] == [i % 6 == 0 for i in range(48)]
    assert all((frames[24 + i].image == first[i].image).all() for i in range(12))
    reordered = write_clip(tmp_path / "b.mp4", sliding(64, 96, 12, (2, 1)), profile="bframes")
    with pytest.raises(SourceError, match="B-frames"):
        loop(reordered, tmp_path / "c.mp4", 1)


def test_endurance_reports_tenths(short: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(SwiftNet(("ground", "red")), tmp_path / "m.safetensors", "swiftnet18")
    arguments = [str(short), "--minutes", "0.04", "--model", str(tmp_path / "m.safetensors"), "--save", "rle"]
    result = CliRunner().invoke(command, arguments)
    report = json.loads(result.stdout)
    assert report["frames"] == 60
    assert len(report["tenths"]) == 10
    assert all(tenth["rss_mib"] > 10 and tenth["frames_per_second"] > 0 for tenth in report["tenths"])
    assert result.exit_code == (report["growth"] > 0.1)


def test_workers_take_turns(short: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def timed(folder: Path, options: list[str]) -> tuple[float, float]:
        with av.open(str(folder / "long.mp4")) as container:
            assert container.streams.video[0].frames == 60
        runs.append(options[1])
        return {"1": (2.0, 1.8), "2": (1.0, 1.9)}[options[1]]

    monkeypatch.setattr(endurance, "_timed", timed)
    endurance.compare_jobs(short, 0.04, [1, 2], 3, ["--mode", "motion"])
    assert runs == ["1", "2"] * 3
    report = json.loads(capsys.readouterr().out)
    assert report["jobs"]["2"] == {
        "frames_per_second": 60.0,
        "seconds_of_runs": [1.0] * 3,
        "cpu_ms_per_frame": 31.67,
        "times_1": 2.0,
    }

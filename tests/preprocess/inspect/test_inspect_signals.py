"""`preprocess inspect`'s novelty and cuts, with pixels and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from gopseg.codec import SignalReader, open_video

Command = Callable[..., Result]


@pytest.fixture
def cut_video(make: Any, tmp_path: Path) -> Path:
    """Scenes of 10, 14 and 8 frames at GOP 12: a cut inside a GOP, and one on a keyframe."""
    images = make.moving(10, seed=1) + make.moving(14, seed=2) + make.moving(8, seed=3)
    options = {"x264-params": "bframes=0:ref=1:weightp=0:scenecut=0:keyint=12", "crf": "18"}
    return Path(make.video(tmp_path / "cut.mp4", images, options=options))


def test_with_signals_every_cut_is_marked(inspect: Command, cut_video: Path) -> None:
    lines = inspect(cut_video, "--signals").stdout.splitlines()
    assert lines[2].split()[-1] == "novelty"
    assert lines[3].endswith("cut at 10")
    assert "cut" not in lines[5]
    assert lines[7].endswith("cut at 24")
    assert "cuts        2: at frames 10, 24" in lines
    rows = inspect(cut_video, "--signals", "--frames").stdout.splitlines()[3:35]
    assert [i for i, row in enumerate(rows) if row.endswith("  cut")] == [10, 24]
    assert float(rows[10].split()[-2]) > 0.5


def test_without_them_keyframes_are_not_judged(inspect: Command, cut_video: Path) -> None:
    lines = inspect(cut_video).stdout.splitlines()
    assert "novelty" not in lines[2]
    assert lines[3].endswith("cut at 10")
    assert "cut" not in lines[7]
    assert any(line.startswith("cuts        1: at frame 10; 3 frames that vectors tell nothing of") for line in lines)


def test_the_json_has_the_readers_signals(inspect: Command, cut_video: Path) -> None:
    content = json.loads(inspect(cut_video, "--signals", "--json", "--frames").stdout)
    assert content["schema_version"] == 3
    assert content["cuts"] == [10, 24]
    assert content["frames_not_judged"] == 0
    assert [gop["cuts"] for gop in content["gops"]] == [[10], [], [24]]
    reader = SignalReader()
    with open_video(cut_video) as video:
        for frame, entry in zip(video, content["frames"], strict=True):
            signals = reader.update(frame)
            assert entry["novelty"] == signals.novelty
            assert entry["is_cut"] == signals.is_cut
            energy = signals.frame_energy
            assert entry["residual_rms"] == (None if energy is None else pytest.approx(energy**0.5))
    assert content["novelty_mean"] == pytest.approx(np.mean([entry["novelty"] for entry in content["frames"]]))
    bare = json.loads(inspect(cut_video, "--json", "--frames").stdout)
    assert bare["cuts"] == [10]
    assert bare["frames_not_judged"] == 3
    assert bare["novelty_mean"] is None
    assert {entry["novelty"] for entry in bare["frames"]} == {None}


def test_any_video_has_novelty(inspect: Command, foreign: Callable[[str], Path]) -> None:
    content = json.loads(inspect(foreign("hevc"), "--signals", "--json").stdout)
    assert content["cuts"] == []
    assert 0 < content["novelty_mean"] < 0.5

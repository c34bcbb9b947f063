"""`preprocess extract --signals` and `--reader`: the arrays from pictures, and the second reader's archives."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from gopseg.codec import SignalReader, open_video
from gopseg.preprocess import load_metadata

Command = Callable[..., Result]


@pytest.fixture
def cut_video(make: Any, tmp_path: Path) -> Path:
    """Two scenes of 10 and 14 frames, one reference and no B-frames."""
    images = make.moving(10, seed=1) + make.moving(14, seed=2)
    options = {"x264-params": "bframes=0:ref=1:weightp=0:scenecut=0:keyint=12", "crf": "18"}
    return Path(make.video(tmp_path / "cut.mp4", images, options=options))


def test_signals_are_those_of_the_reader(extract: Command, cut_video: Path, tmp_path: Path) -> None:
    assert extract(cut_video, "-o", tmp_path / "a.npz", "--signals").exit_code == 0
    data = load_metadata(tmp_path / "a.npz")
    assert data.info["arrays"] == ["qp", "motion", "composed", "intra", "residual", "novelty"]
    assert data.residual is not None
    assert data.novelty is not None
    reader = SignalReader()
    with open_video(cut_video) as video:
        for frame in video:
            signals = reader.update(frame)
            assert data.novelty[frame.index] == np.float32(signals.novelty)
            if signals.energy is None:
                assert not data.residual[frame.index].any()
            else:
                assert np.array_equal(data.residual[frame.index], np.rint(np.sqrt(signals.energy)))
    assert np.flatnonzero(data.novelty > 0.5).tolist() == [0, 10]


def test_signals_need_no_vectors(extract: Command, foreign: Callable[[str], Path], tmp_path: Path) -> None:
    arguments = ("--signals", "--without", "motion,composed,intra")
    assert extract(foreign("bframes"), "-o", tmp_path / "a.npz", *arguments).exit_code == 0
    data = load_metadata(tmp_path / "a.npz")
    assert data.motion is None
    assert data.novelty is not None
    assert data.novelty[0] == 1
    assert data.novelty[1:].max() < 0.5


def test_they_are_absent_unless_asked_for(extract: Command, cut_video: Path, tmp_path: Path) -> None:
    extract(cut_video, "-o", tmp_path / "a.npz")
    data = load_metadata(tmp_path / "a.npz")
    assert data.residual is None
    assert data.novelty is None
    assert extract(cut_video, "-o", tmp_path / "a.npz", "--signals", "--resume").exit_code == 2


def test_the_second_readers_archive_is_ours(extract: Command, corpus_video: Path, tmp_path: Path) -> None:
    try:
        import mvextractor  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("motion-vector-extractor is not installed (wheels: x86-64 Linux)")
    for reader in ("av", "mvextractor"):
        assert extract(corpus_video, "-o", tmp_path / f"{reader}.npz", "--reader", reader).exit_code == 0
    ours, theirs = np.load(tmp_path / "av.npz"), np.load(tmp_path / "mvextractor.npz")
    for name in ours.files:
        if name != "meta":
            assert np.array_equal(ours[name], theirs[name]), name
    assert json.loads(str(ours["meta"]))["reader"] == "av"
    assert json.loads(str(theirs["meta"])) == json.loads(str(ours["meta"])) | {"reader": "mvextractor"}


def test_without_the_package_the_extra_is_named(
    extract: Command, inspect: Command, corpus_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mvextractor.videocap", None)
    for result in (
        extract(corpus_video, "-o", tmp_path / "a.npz", "--reader", "mvextractor"),
        inspect(corpus_video, "--reader", "mvextractor"),
    ):
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "gopseg[mvextractor]" in result.stderr
    assert not (tmp_path / "a.npz").exists()

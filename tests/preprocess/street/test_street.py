"""`preprocess street`: labelled videos of synthetic streets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gopseg.data.labelled_video import find_labelled_videos
from gopseg.data.street.street import SyntheticStreet
from tests.preprocess.conftest import run_command

SMALL = ("--size", 64, 96, "--gop", 3, "--bitrate", "400k", "--seed", 5)


def test_videos_with_labels(tmp_path: Path) -> None:
    result = run_command("street", "-o", tmp_path, "--count", 2, "--gops", 2, *SMALL)
    assert result.exit_code == 0, result.output
    videos = find_labelled_videos(tmp_path)
    assert [video.video.stem for video in videos] == ["street5", "street6"]
    facts = json.loads((tmp_path / "street5.json").read_text())
    assert facts["frame_types"] == "IPPIPP"
    first = facts["settings"]["first"]
    image, labels = SyntheticStreet(5, (64, 96), 15).frame(first + 4)
    (sample,) = videos[0].keyed([4], 4)
    np.testing.assert_array_equal(sample.labels, labels)
    assert sample.distance == 1
    assert np.abs(sample.image.astype(int) - image).mean() < 12


def test_equal_bytes_and_resume(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert run_command("street", "-o", tmp_path / folder, "--count", 1, *SMALL).exit_code == 0
    one, two = ((tmp_path / folder / "street5.mp4").read_bytes() for folder in ("one", "two"))
    assert one == two
    again = run_command("street", "-o", tmp_path / "one", "--count", 1, *SMALL, "--resume")
    assert again.exit_code == 0
    other = run_command("street", "-o", tmp_path / "one", "--count", 1, *SMALL, "--resume", "--fps", 5)
    assert other.exit_code == 2
    assert "was made with fps 15, not 5" in other.output


@pytest.mark.parametrize("size", [(63, 96), (16, 96)])
def test_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    result = run_command("street", "-o", tmp_path, "--size", *size)
    assert result.exit_code == 2
    assert "give even numbers of at least 32" in result.output

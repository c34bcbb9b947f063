"""A damaged picture late in a folder: what was done before it is kept, and the run goes on after the repair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

BAD = 9


@pytest.fixture
def folder(tmp_path: Path, square_images: Any) -> Path:
    """12 PNGs, of which number BAD is cut off."""
    made = tmp_path / "frames"
    made.mkdir()
    for index, image in enumerate(square_images):
        cv2.imwrite(str(made / f"{index:03d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    whole = (made / f"{BAD:03d}.png").read_bytes()
    (made / f"{BAD:03d}.png").write_bytes(whole[:20])
    (tmp_path / "whole.png").write_bytes(whole)
    return made


def pictures(video: str) -> int:
    with av.open(video) as container:
        return sum(1 for _ in container.decode(video=0))


def labels(folder: Path) -> list[bytes]:
    return [cv2.imread(str(file), cv2.IMREAD_UNCHANGED).tobytes() for file in sorted(folder.iterdir())]


@pytest.mark.parametrize("mode", ["frame", "motion", "flow"])
def test_what_was_done_is_kept_and_goes_on(stream: Any, tmp_path: Path, folder: Path, mode: str) -> None:
    common = (folder, "--mode", mode, "--gop", "4", "--save", "overlay,labels")
    result = stream(*common, "-o", "x.mp4")
    assert result.exit_code == 1
    assert f"{BAD:03d}.png: is no image that can be decoded" in result.stderr.splitlines()[-1]
    assert "hold the frames before that, and --resume goes on" in result.stderr.splitlines()[-1]
    assert pictures("x.mp4") == len(labels(tmp_path / "x_labels")) == BAD
    (folder / f"{BAD:03d}.png").write_bytes((tmp_path / "whole.png").read_bytes())
    again = stream(*common, "-o", "x.mp4", "--resume")
    assert again.exit_code == 0, again.stderr
    assert "going on after 8 frames" in again.stderr
    assert pictures("x.mp4") == 12
    assert stream(*common, "-o", "y.mp4").exit_code == 0
    assert labels(tmp_path / "x_labels") == labels(tmp_path / "y_labels")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_picture_of_another_size_breaks_off_too(stream: Any, tmp_path: Path, folder: Path) -> None:
    cv2.imwrite(str(folder / f"{BAD:03d}.png"), np.zeros((40, 40, 3), np.uint8))
    result = stream(folder, "--mode", "frame", "-o", "x.mp4")
    assert (result.exit_code, pictures("x.mp4")) == (1, BAD)
    assert "give frames of one size" in result.stderr


def test_a_damaged_first_picture_is_bad_input(stream: Any, tmp_path: Path, folder: Path) -> None:
    (folder / "000.png").write_bytes(b"no picture")
    result = stream(folder, "--mode", "frame", "-o", "x.mp4")
    assert (result.exit_code, (tmp_path / "x.mp4").exists()) == (2, False)


def test_what_is_not_wanted_is_not_read(stream: Any, folder: Path) -> None:
    result = stream(folder, "--mode", "frame", "-o", "x.mp4", "--start", BAD / 25 + 0.04)
    assert (result.exit_code, pictures("x.mp4")) == (0, 2), result.stderr

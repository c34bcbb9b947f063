"""A folder of images as if it were a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopseg.codec import CompressedVideo, InvalidDataError, MotionAbsence, SourceError
from gopseg.data import FrameFolder, open_frames
from gopseg.data.image import natural_key


def image(value: int, height: int = 12, width: int = 16) -> np.ndarray:
    result = np.zeros((height, width, 3), np.uint8)
    result[...] = (value, 2 * value, 3 * value)
    return result


def write(path: Path, picture: np.ndarray) -> None:
    assert cv2.imwrite(str(path), picture[..., ::-1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 10, 9):
        write(tmp_path / f"f{number}.png", image(number))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "below.png").mkdir()
    return tmp_path


def test_frames_in_natural_order(folder: Path) -> None:
    with open_frames(folder, Fraction(30000, 1001)) as video:
        assert (video.frame_count, video.size_hw, video.frame_rate) == (4, (12, 16), Fraction(30000, 1001))
        assert video.duration_seconds == pytest.approx(4 * 1001 / 30000)
        assert video.motion_absence is MotionAbsence.STILLS
        frames = list(video)
    assert [f.image[0, 0].tolist() for f in frames] == [[n, 2 * n, 3 * n] for n in (1, 2, 9, 10)]
    assert [f.index for f in frames] == [0, 1, 2, 3]
    assert [f.pts * f.time_base for f in frames if f.pts is not None] == [i * Fraction(1001, 30000) for i in range(4)]
    assert all((f.pict_type, f.is_keyframe, f.distance, f.motion) == ("I", True, 0, None) for f in frames)
    assert all(f.motion_absence is MotionAbsence.STILLS and f.size_hw == (12, 16) for f in frames)
    assert [f.packet_bytes for f in frames] == [(folder / f"f{n}.png").stat().st_size for n in (1, 2, 9, 10)]


def test_a_glob_takes_what_it_matches(folder: Path) -> None:
    assert [path.name for path in open_frames(str(folder / "f1*.png")).files] == ["f1.png", "f10.png"]


def test_a_folder_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    folder = tmp_path / "run[1]"
    folder.mkdir()
    write(folder / "a.png", image(1))
    assert open_frames(folder).frame_count == 1


def test_same_interface_as_a_video() -> None:
    public = {name for name in vars(CompressedVideo) if not name.startswith("_")}
    folder = FrameFolder.__new__(FrameFolder)
    missing = {name for name in public if not hasattr(folder, name)}
    missing.discard("start_at")  # a place in a stream
    assert missing <= {"size_hw", "frame_rate", "time_base", "frame_count", "duration_seconds", "name"}  # of instances


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".JPG", ".tif", ".ppm"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", image(60))
    (frame,) = open_frames(tmp_path)
    assert np.abs(frame.image.astype(int) - image(60)).max() <= 3


def test_grey_deep_and_transparent_images_become_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6), 100, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((4, 6, 3), 100 * 257, np.uint16))
    cv2.imwrite(str(tmp_path / "c.png"), np.full((4, 6, 4), 100, np.uint8))
    assert all(np.array_equal(frame.image, np.full((4, 6, 3), 100)) for frame in open_frames(tmp_path))


def test_sizes_must_agree(folder: Path) -> None:
    write(folder / "f9.png", image(9, 12, 18))
    video = open_frames(folder)
    assert next(video).image.shape == (12, 16, 3)
    next(video)
    with pytest.raises(InvalidDataError, match=r"f9.png: is 18x12 where .*f1.png is 16x12; give frames of one size"):
        _ = next(video).image


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none: no such folder; check the path"):
        open_frames(tmp_path / "none")
    with pytest.raises(InvalidDataError, match="no image in it; give a folder or glob of frames"):
        open_frames(tmp_path)
    with pytest.raises(InvalidDataError, match=r"\*.png: no image in it"):
        open_frames(str(tmp_path / "*.png"))
    (tmp_path / "video.mp4").write_bytes(b"1")
    with pytest.raises(SourceError, match="is a file, not a folder of images; open a video with"):
        open_frames(tmp_path / "video.mp4")
    with pytest.raises(ValueError, match="frame_rate=0 is impossible"):
        open_frames(tmp_path, 0)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n cut off"])
def test_damaged_images_are_named(folder: Path, content: bytes) -> None:
    (folder / "f2.png").write_bytes(content)
    video = open_frames(folder)
    next(video)
    with pytest.raises(InvalidDataError, match=rf"f2.png: is no image that can be decoded \({len(content)} bytes\)"):
        _ = next(video).image


@given(st.lists(st.integers(0, 10**12), unique=True, min_size=2))
def test_numbers_sort_by_value(numbers: list[int]) -> None:
    names = [f"shot{number}_left.png" for number in numbers]
    assert sorted(names, key=natural_key) == [f"shot{number}_left.png" for number in sorted(numbers)]


@given(st.lists(st.text(), min_size=2))
def test_any_names_can_be_sorted_one_way(names: list[str]) -> None:
    turned = names[::-1]
    assert sorted(names, key=natural_key) == sorted(turned, key=natural_key)

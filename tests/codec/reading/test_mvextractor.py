"""The second reader: frames equal to ours in everything, and clear refusals."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import CodecError, InvalidDataError, MotionAbsence, SourceError, open_video
from gopseg.codec.reading.mvextractor import open_with_mvextractor


@pytest.fixture
def installed() -> None:
    try:
        import mvextractor  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("motion-vector-extractor is not installed (wheels: x86-64 Linux)")


def assert_equal_readers(path: Path, **options: Any) -> None:
    vectors = 0
    with open_video(path, qp=True, **options) as ours, open_with_mvextractor(path, qp=True, **options) as theirs:
        for name in ("name", "codec_name", "size_hw", "frame_rate", "motion_absence", "reference_frames"):
            assert getattr(ours, name) == getattr(theirs, name), name
        for one, other in zip(ours, theirs, strict=True):
            for name in ("index", "pts", "pict_type", "is_keyframe", "distance", "packet_bytes", "motion_absence"):
                assert getattr(one, name) == getattr(other, name), (one.index, name)
            assert np.array_equal(one.qp, other.qp)
            assert (one.motion is None) == (other.motion is None)
            if one.motion is not None and other.motion is not None:
                assert one.motion.size_hw == other.motion.size_hw
                assert np.array_equal(one.motion.array, other.motion.array), one.index
                vectors += len(one.motion)
            if options.get("pixels", True) and one.index % 10 == 0:
                assert np.array_equal(one.image, other.image)
    assert vectors


@pytest.mark.usefixtures("installed")
def test_shared_videos(shared_video: Path) -> None:
    for name in ("bbb-720p.mp4", "bbb-720p-mpeg4.mp4"):
        assert_equal_readers(shared_video / name, pixels=False)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("profile", ["ippp", "references"])
def test_encoded_clips(make: Any, profile: str) -> None:
    path = make.clip(f"second-{profile}.mp4", make.sliding(150, 202, 20, (5, -3)), profile=profile)
    assert_equal_readers(path)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("rotation", [(-90, False, False), (180, True, False)], ids=["turned", "mirrored"])
def test_vectors_are_turned_with_the_video(make: Any, rotation: tuple[float, bool, bool]) -> None:
    path = make.clip(f"second-{rotation[0]}.mp4", make.sliding(96, 160, 8, (3, 1)), profile="ippp", rotation=rotation)
    assert_equal_readers(path)


@pytest.mark.usefixtures("installed")
def test_a_codec_without_vectors(make: Any) -> None:
    path = make.clip("second.webm", make.sliding(96, 160, 4, (3, 1)), codec="libvpx-vp9", bit_rate=300_000)
    with open_with_mvextractor(path) as video:
        assert video.motion_absence is MotionAbsence.CODEC
        assert all(frame.motion is None and frame.motion_absence is MotionAbsence.CODEC for frame in video)


@pytest.mark.usefixtures("installed")
def test_readers_that_disagree_on_the_number_of_frames(sliding_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mvextractor.videocap import VideoCap

    class Short:
        """mvextractor that ends after five frames, or never."""

        endless = False

        def __init__(self) -> None:
            self._real, self._count = VideoCap(), 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def read(self) -> Any:
            self._count += 1
            if self.endless and self._count > 20:
                return True, None, np.zeros((0, 10), int), "P"
            return (False, None, None, "?") if self._count > 5 and not self.endless else self._real.read()

    monkeypatch.setattr("mvextractor.videocap.VideoCap", Short)
    with open_with_mvextractor(sliding_clip) as video, pytest.raises(InvalidDataError, match="fewer frames"):
        list(video)
    Short.endless = True
    with open_with_mvextractor(sliding_clip) as video, pytest.raises(InvalidDataError, match="more frames"):
        list(video)


@pytest.mark.usefixtures("installed")
def test_sources_it_cannot_read() -> None:
    for source, cause in (("absent.mp4", "no such file"), ("-", "needs a file"), ("http://x/y", "needs a file")):
        with pytest.raises(SourceError, match=cause):
            open_with_mvextractor(source)


def test_without_the_package_the_error_names_the_extra(sliding_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mvextractor", None)
    monkeypatch.setitem(sys.modules, "mvextractor.videocap", None)
    with pytest.raises(CodecError, match=r"gopseg\[mvextractor\]"):
        open_with_mvextractor(sliding_clip)

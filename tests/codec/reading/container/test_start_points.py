"""Reading that begins at a keyframe in the middle: the frames are those of a reader that began at the beginning."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from gopseg.codec import Frame, InvalidDataError, StartPoint, find_start_points, open_video
from tests.codec.conftest import sliding, write_clip

OPEN = {"x264-params": "bframes=2:ref=2:scenecut=0:open-gop=1:keyint=8:min-keyint=8:b-adapt=0"}
KINDS = {
    "closed.mp4": {"profile": "ippp"},
    "bframes.mp4": {"profile": "bframes"},
    "references.mkv": {"profile": "references"},
    "open.mp4": {"options": OPEN},
    "open.mkv": {"options": OPEN},
    "transport.ts": {"profile": "ippp"},
    "mpeg4.mp4": {"codec": "mpeg4"},
}


@pytest.fixture(scope="module", params=KINDS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames, a keyframe every 8."""
    frames = sliding(64, 96, 40, (2, 1))
    return write_clip(tmp_path_factory.mktemp("start") / request.param, frames, gop=8, **KINDS[request.param])


def account(frame: Frame) -> tuple[object, ...]:
    motion = None if frame.motion is None else len(frame.motion)
    references = None if frame.references is None else frame.references.picture.tobytes()
    composed = None if references is None else frame.references.compose().displacement.tobytes()
    facts = (frame.index, frame.pts, frame.pict_type, frame.is_keyframe, frame.distance, frame.key_index)
    return *facts, frame.packet_bytes, motion, references, composed, frame.image.tobytes(), frame.corrupt


def test_frames_from_a_keyframe_on_are_those_of_the_whole(clip: Path) -> None:
    found = find_start_points(clip)
    assert found.obstacle is None
    assert [point.index for point in found.points] == [0, 8, 16, 24, 32]
    assert (not all(point.is_closed for point in found.points)) == clip.name.startswith("open")
    with open_video(clip, references=True) as video:
        whole = [account(frame) for frame in video]
    assert found.pts.tolist() == [facts[1] for facts in whole]
    for lead, begin in ((1, 2), (3, 4)):
        with open_video(clip, references=True) as video:
            video.start_at(found.points[lead])
            frames = [account(frame) for frame in video]
        assert frames[0][0] == found.points[lead].index
        assert frames[8:] == whole[found.points[begin].index :]


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    frames = sliding(64, 96, 10, (2, 1))
    raw = write_clip(tmp_path / "raw.h264", frames, profile="ippp")
    assert find_start_points(raw).obstacle == "stores no times of display"
    avi = write_clip(tmp_path / "x.avi", frames, profile="ippp")
    assert find_start_points(avi).obstacle == "stores no times of display"
    transport = write_clip(tmp_path / "x.ts", frames, profile="ippp").read_bytes()
    (tmp_path / "joined.ts").write_bytes(transport * 2)
    assert find_start_points(tmp_path / "joined.ts").obstacle is not None
    with av.open(str(tmp_path / "x.ts")) as source, av.open(str(tmp_path / "cut.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and not packet.is_keyframe:
                packet.stream = stream
                target.mux(packet)
    assert "keyframe" in str(find_start_points(tmp_path / "cut.mkv").obstacle)


def test_a_point_that_is_not_there(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "x.mp4", sliding(64, 96, 10, (2, 1)), profile="ippp", gop=5)
    with open_video(clip) as video, pytest.raises(InvalidDataError, match="has changed since"):
        video.start_at(StartPoint(5, 12345, 12345, True))
    with open_video(clip) as video:
        assert np.asarray(next(video).image).shape == (64, 96, 3)
        with pytest.raises(ValueError, match="read already"):
            video.start_at(find_start_points(clip).points[1])

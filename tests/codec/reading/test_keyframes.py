"""Keyframes of every kind, streams without any, and sequences of several sizes."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gopseg.codec import MotionChain, MotionField, open_video
from gopseg.codec.bitstream.parameter_sets import split_nal_units
from gopseg.codec.bitstream.sei import announces_intra_refresh, recovery_frame_count
from gopseg.codec.reading.keyframes import LONGEST_GOP, REFRESH_GOP, KeyframePolicy

STREAMS = {
    "idr": ("keyint=8:min-keyint=8:bframes=0:ref=1", 8),
    "open": ("keyint=8:min-keyint=1:open-gop=1:bframes=2:b-adapt=0:scenecut=0", 8),
    "refresh": ("keyint=10:intra-refresh=1:bframes=0:ref=1", REFRESH_GOP),
}


def clip(make: Any, name: str, container: str, count: int = 30) -> Path:
    return make.clip(
        f"key-{name}-{count}.{container}",
        make.sliding(96, 128, count, (2, 1)),
        options={"x264-params": STREAMS[name][0], "preset": "veryfast"},
    )


@pytest.mark.parametrize("container", ["mp4", "h264", "ts"])
@pytest.mark.parametrize("name", STREAMS)
def test_keyframes_of_the_stream(make: Any, name: str, container: str) -> None:
    with open_video(clip(make, name, container)) as video:
        frames = list(video)
        assert video.has_intra_refresh == (name == "refresh")
    keys = [frame.index for frame in frames if frame.is_keyframe]
    assert keys == list(range(0, 30, STREAMS[name][1])) or name == "open"
    if name == "open":  # x264 shows two B-frames before each keyframe but the first
        assert all(frames[key].pict_type == "I" for key in keys)
        assert keys == [frame.index for frame in frames if frame.pict_type == "I"]
        assert len(keys) >= 3
        leading = frames[keys[1] - 1]
        assert leading.pict_type == "B"
        assert leading.decode_index > frames[keys[1]].decode_index
    for frame in frames:
        assert frame.key_index == max(key for key in keys if key <= frame.index)
        assert frame.distance == frame.index - frame.key_index
    assert not any(frame.corrupt for frame in frames)


@pytest.mark.parametrize("references", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_keyframes_by_distance(make: Any, name: str, references: bool) -> None:
    with open_video(clip(make, name, "mp4"), gop_max=5, references=references) as video:
        frames = list(video)
    assert frames[0].is_keyframe
    assert max(frame.distance for frame in frames if frame.pict_type != "B") <= 4
    assert max(frame.distance for frame in frames) < 5 + 3  # a B-frame is no keyframe
    assert all(frame.pict_type != "B" for frame in frames if frame.is_keyframe)
    made = [frame for frame in frames if frame.is_keyframe and frame.pict_type == "P"]
    assert made
    for frame in frames:
        if frame.references is not None and frame.references.keyframe is not None:
            assert frame.references.keyframe.is_keyframe
            assert abs(frame.index - frame.key_index) < 8


def test_composition_restarts_where_a_keyframe_is_made(make: Any) -> None:
    """The README's loop on a stream without keyframes: motion leads to the last frame that is called one."""
    frames = make.sliding(96, 128, 30, (2, 1))
    with open_video(clip(make, "refresh", "mp4"), gop_max=6) as video:
        chain = MotionChain(video.size_hw)
        for frame in video:
            if frame.is_keyframe:
                chain.reset()
                continue
            assert frame.motion is not None
            chain.push(MotionField.from_vectors(frame.motion))
            motion = chain.compose(8)
            known = motion.displacement[2:-2, 2:-2][~motion.unreferenced[2:-2, 2:-2]]
            assert np.median(known, 0) == pytest.approx([2 * frame.distance, frame.distance], abs=0.5)
    assert len(frames) == 30


def test_impossible_gop_max(sliding_clip: Path) -> None:
    with pytest.raises(ValueError, match="gop_max=0"):
        open_video(sliding_clip, gop_max=0)


def test_policy_of_a_stream_that_marks_nothing() -> None:
    policy = KeyframePolicy(None)
    keys = [i for i in range(400) if policy.step(i == 0, "P", (96, 128), False)]
    assert keys[:3] == [0, LONGEST_GOP, LONGEST_GOP + REFRESH_GOP]
    assert policy.step(True, "I", (96, 128), False)
    keys = [i for i in range(1, 200) if policy.step(False, "P", (96, 128), False)]
    assert keys == []  # it has keyframes after all
    assert policy.step(False, "B", (64, 64), False)  # another size


def test_recovery_points() -> None:
    def message(kind: int, payload: bytes) -> bytes:
        return b"\0\0\1\x06" + bytes([kind, len(payload)]) + payload + b"\x80"

    def count(packet: bytes) -> int | None:
        return recovery_frame_count(split_nal_units(packet, None))

    assert count(message(6, b"\xc0")) == 0
    assert count(message(1, b"abc") + message(6, b"\x2c")) == 4
    assert count(message(5, b"\x2c")) is None
    assert count(b"\0\0\1\x06\x06") is None
    assert announces_intra_refresh(split_nal_units(message(5, b"intra_refresh=1 x"), None))
    assert not announces_intra_refresh(split_nal_units(message(5, b"intra_refresh=0 x"), None))


def joined(make: Any, container: str) -> tuple[bytes, list[tuple[int, int]]]:
    """Three sizes in one stream; in an MP4 the parameter sets are those of the first, and in the packets."""
    sizes = [(96, 128), (144, 176), (64, 96)]
    parts = [
        make.clip(f"part{h}.h264", make.sliding(h, w, 8, (2, 1)), profile="ippp", options={"preset": "veryfast"})
        for h, w in sizes
    ]
    data = b"".join(part.read_bytes() for part in parts)
    if container == "mp4":
        file = io.BytesIO()
        with av.open(io.BytesIO(data), format="h264") as source, av.open(file, "w", format="mp4") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for index, original in enumerate(p for p in source.demux(video=0) if p.size):
                packet = av.Packet(bytes(original))
                packet.is_keyframe = original.is_keyframe
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = index
                target.mux(packet)
        data = file.getvalue()
    return data, [size for size in sizes for _ in range(8)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("container", ["h264", "mp4"])
@pytest.mark.parametrize("references", [False, True])
def test_sizes_within_a_stream(make: Any, container: str, references: bool, threads: int) -> None:
    data, sizes = joined(make, container)
    with open_video(io.BytesIO(data), qp=True, references=references, threads=threads) as video:
        frames = list(video)
        assert video.size_hw == (96, 128)
    assert [frame.size_hw for frame in frames] == sizes
    assert [frame.distance for frame in frames] == 3 * list(range(8))
    for frame in frames:
        assert frame.image.shape == (*frame.size_hw, 3)
        assert frame.qp is not None
        assert frame.qp.shape == (frame.size_hw[0] // 16, frame.size_hw[1] // 16)
        assert frame.motion is None or frame.motion.size_hw == frame.size_hw
        assert not frame.corrupt


def test_a_new_size_without_a_keyframe_begins_a_sequence(make: Any) -> None:
    """The second stream's keyframe is lost: what FFmpeg still makes of it is a new sequence, and marked as corrupt."""
    first = make.clip("first.h264", make.sliding(96, 128, 6, (2, 1)), profile="ippp")
    with av.open(str(make.clip("second.h264", make.sliding(64, 96, 16, (2, 1)), profile="ippp"))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    headers = packets[0][: packets[0].index(b"\0\0\1\x65")]
    with open_video(io.BytesIO(first.read_bytes() + headers + b"".join(packets[1:])), threads=1) as video:
        frames = list(video)
    sizes = [frame.size_hw for frame in frames]
    for before, frame in pairwise(frames):
        assert frame.is_keyframe or frame.size_hw == before.size_hw
    assert sizes[-1] == (64, 96)
    late = [frame for frame in frames if frame.size_hw == (64, 96)]
    key = next(i for i, frame in enumerate(late) if frame.pict_type == "I")
    assert all(frame.corrupt for frame in late[:key])
    assert not any(frame.corrupt for frame in late[key:])

"""Damage is never silent: what depends on it is marked until decoding has recovered, and nothing else is."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gopseg.codec import Frame, open_video
from gopseg.codec.reading.damage import DamageWatcher
from gopseg.codec.reading.settling import Settling

STREAMS = {
    "ippp": "keyint=12:min-keyint=12:bframes=0:ref=1:weightp=0:scenecut=0",
    "defaults": "keyint=12:min-keyint=12:scenecut=0",
    "open": "keyint=12:min-keyint=1:open-gop=1:bframes=3:b-pyramid=normal:scenecut=0",
    "refresh": "keyint=12:intra-refresh=1:bframes=0:ref=1:weightp=0",
}


def packets_of(make: Any, name: str) -> list[bytes]:
    path: Path = make.clip(
        f"damage-{name}.h264",
        make.sliding(96, 128, 48, (3, 2)),
        options={"x264-params": STREAMS[name], "preset": "veryfast", "crf": "8"},
    )
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def read(packets: Iterable[bytes], **options: Any) -> tuple[list[Frame], int]:
    with open_video(io.BytesIO(b"".join(packets)), **({"threads": 1} | options)) as video:
        return list(video), video.decode_errors


@pytest.mark.parametrize("how", ["lost", "cut", "garbage"])
@pytest.mark.parametrize("place", [5, 13, 18, 24, 25, 26, 27])
@pytest.mark.parametrize("name", STREAMS)
def test_what_differs_is_marked(make: Any, name: str, place: int, how: str) -> None:
    """Every frame whose picture is not the intact stream's is marked; after the next keyframe none is."""
    packets = packets_of(make, name)
    whole, _ = read(packets)
    coded = {frame.decode_index: frame for frame in whole}
    damaged = list(packets)
    if how == "lost":
        del damaged[place]
    else:
        damaged[place] = packets[place][: len(packets[place]) // 3] if how == "cut" else b"\0\0\1\x41" + b"\xff" * 40
    frames, _ = read(damaged)
    shown = {coded[f.decode_index + (how == "lost" and f.decode_index >= place)].index: f for f in frames}
    assert len(shown) == len(frames) >= 36
    differing = {index for index, f in shown.items() if not np.array_equal(f.image, whole[index].image)}
    marked = {index for index, f in shown.items() if f.corrupt}
    assert differing <= marked
    was_reference = len(differing) > 1
    if name != "refresh":
        keys = [frame for frame in whole if frame.is_keyframe and frame.decode_index > place]
        assert not any(index >= keys[0].index for index in marked)
    else:
        assert not any(index >= place + 25 for index in marked)  # a whole refresh, begun after the damage
    assert marked or not was_reference


def test_intact_streams_are_not_marked(make: Any) -> None:
    for name in STREAMS:
        for options in ({"threads": 1}, {"threads": 2}, {"pixels": False}):
            frames, errors = read(packets_of(make, name), **options)
            assert errors == 0
            assert len(frames) == 48
            assert not any(frame.corrupt for frame in frames)


def test_a_stream_that_begins_between_keyframes(make: Any) -> None:
    """Whatever is shown before the first keyframe is marked."""
    for name in ("ippp", "defaults", "refresh"):
        packets = packets_of(make, name)
        sets = packets[0][: packets[0].index(b"\0\0\1\x65")]
        frames, _ = read([sets, *packets[5:]])
        whole, _ = read(packets)
        by_pixels = {frame.image.tobytes() for frame in whole}
        assert all(frame.corrupt or frame.image.tobytes() in by_pixels for frame in frames)
        assert not any(frame.corrupt for frame in frames[-12:])


def test_threads_mark_too(make: Any) -> None:
    packets = packets_of(make, "ippp")
    packets[17] = b"\0\0\1\x41" + b"\xff" * 40
    frames, errors = read(packets, threads=3)
    assert errors == 1
    assert [frame.index for frame in frames if frame.corrupt] == list(range(17, 23))


def test_other_codecs(make: Any) -> None:
    path = make.clip("damage.avi", make.sliding(96, 128, 36, (3, 2)), codec="mpeg4", gop=12, bit_rate=800_000)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    start, size = places[14]
    middle = start + size // 2
    data[middle : middle + 40] = bytes(40)
    with open_video(path) as video:
        whole = list(video)
    with open_video(io.BytesIO(data), threads=1) as video:
        frames = list(video)
    assert not any(frame.corrupt for frame in whole)
    images = {frame.decode_index: frame.image for frame in whole}
    for frame in frames:
        assert frame.corrupt == (not np.array_equal(frame.image, images[frame.decode_index]))
    assert {frame.decode_index for frame in frames if frame.corrupt} >= set(range(15, 24))


def test_recovery_by_refresh() -> None:
    """Damage during a refresh is not undone by it, but by the next."""
    watcher = DamageWatcher()
    watcher.see(0, True)
    assert not watcher.is_corrupt(0)
    watcher.damage(3)
    assert [watcher.is_corrupt(i) for i in (1, 2, 3, 4)] == [False, False, True, True]
    watcher.see(5, True)
    assert watcher.is_corrupt(6)  # shown before the keyframe: it may be predicted from what came before it
    assert not watcher.is_corrupt(5)
    assert not watcher.is_corrupt(7)


def test_settling() -> None:
    """Pictures decoded 0 3 2 1 are shown 0 3 2 1: none but the first is settled before 1 is there."""
    queue = Settling[str]()
    for index in range(4):
        queue.expect(index)
    taken = []
    for index in (0, 3, 2, 1):
        queue.put(index, f"picture {index}")
        while settled := queue.take(is_reordered=True):
            taken.append(settled[0])
        assert len(taken) == (4 if index == 1 else 1)
    assert taken == ["picture 0", "picture 3", "picture 2", "picture 1"]


def test_settling_gives_up() -> None:
    """A packet that never gives a picture holds others back no longer than a decoder could."""
    queue = Settling[int]()
    for index in range(40):
        queue.expect(index)
    released = []
    for index in range(1, 40):
        queue.put(index, index)
        while settled := queue.take(is_reordered=True):
            released.append(settled)
    assert released[0] == (1, [0])
    assert [picture for picture, _ in released] == list(range(1, 40))
    assert queue.drop() is None


def cut(source: Path, target: Path, first: int) -> Path:
    """The packets from `first` on, so that the first to be shown after the keyframe has time 0."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(video=0) if packet.size][first:]
        start = packets[0].pts
        for packet in packets:
            packet.pts, packet.dts = packet.pts - start, packet.dts - start
            packet.stream = stream
            made.mux(packet)
    return target


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts", "cut.mp4"])
def test_an_open_gop_cut_at_its_keyframe_is_whole(make: Any, tmp_path: Path, name: str) -> None:
    """The pictures that lead the keyframe lack their references, and are not shown; nothing else depends on them."""
    options = {"x264-params": STREAMS["open"].replace("min-keyint=1", "min-keyint=12:b-adapt=0"), "crf": "8"}
    kind = ".ts" if name.endswith("ts") else ".mp4"
    source = make.clip(f"open{kind}", make.sliding(96, 128, 48, (3, 2)), options=options)
    with av.open(str(source)) as given:
        packets = [packet for packet in given.demux(video=0) if packet.size]
    first = [index for index, packet in enumerate(packets) if packet.is_keyframe][1]
    assert any(packet.pts < packets[first].pts for packet in packets[first + 1 :])
    with open_video(source) as video:
        whole = {frame.decode_index: frame for frame in video}
    with open_video(cut(source, tmp_path / name, first)) as video:
        frames = list(video)
        assert video.decode_errors == 0
        assert video.frame_count in (None, len(frames))
    led = [frame for frame in frames if frame.index < [f.is_keyframe for f in frames].index(True)]
    assert all(frame.corrupt for frame in led)
    after = frames[len(led) :]
    assert not any(frame.corrupt for frame in after)
    assert all(np.array_equal(frame.image, whole[frame.decode_index + first].image) for frame in after)
    assert len(after) >= len(packets) - first - 3


def test_what_an_edit_list_leaves_out_is_not_missing(make: Any, tmp_path: Path) -> None:
    source = make.clip("edit.mp4", make.sliding(96, 128, 36, (3, 2)), options={"x264-params": STREAMS["ippp"]})
    with av.open(str(source)) as given, av.open(str(tmp_path / "edit.mp4"), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for index, packet in enumerate(packet for packet in given.demux(video=0) if packet.size):
            if index < 12:
                continue
            packet.pts = packet.dts = packet.pts - round(15 / 25 / packet.time_base)  # from 3 frames in
            packet.stream = stream
            made.mux(packet)
    with open_video(tmp_path / "edit.mp4", qp=True) as video, open_video(source) as whole:
        frames, originals = list(video), list(whole)
        assert video.frame_count == len(frames) == 21
        assert video.decode_errors == 0
    assert not any(frame.corrupt for frame in frames)
    assert [frame.pts_seconds for frame in frames] == pytest.approx([index / 25 for index in range(21)])
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, originals[15:], strict=True))

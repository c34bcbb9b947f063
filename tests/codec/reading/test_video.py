"""Reading: order, timestamps, types, packet sizes, quantisers, threads, flags, memory."""

from __future__ import annotations

import gc
import weakref
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gopseg.codec import Frame, MotionAbsence, open_video
from gopseg.codec.frame import quick_frame


def same_vectors(a: Frame, b: Frame) -> bool:
    if a.motion is None or b.motion is None:
        return a.motion is b.motion
    return np.array_equal(a.motion.array, b.motion.array)


def test_frames_of_a_gop(sliding_clip: Path, make: Any) -> None:
    with open_video(sliding_clip) as video:
        assert (video.codec_name, video.size_hw, video.pixel_format) == ("h264", (144, 176), "yuv420p")
        assert (video.frame_rate, video.frame_count, video.duration_seconds) == (Fraction(25), 24, 0.96)
        assert (video.motion_absence, video.rotation_degrees) == (None, 0)
        frames = list(video)
        assert video.decode_errors == 0
    assert "".join(f.pict_type for f in frames) == "I" + 11 * "P" + "I" + 11 * "P"
    assert [f.index for f in frames] == list(range(24))
    assert [f.distance for f in frames] == [*range(12), *range(12)]
    assert [f.is_keyframe for f in frames] == [f.distance == 0 for f in frames]
    assert [f.pts_seconds for f in frames] == pytest.approx([i / 25 for i in range(24)])
    assert all(f.pts is not None and f.pts * f.time_base == Fraction(f.index, 25) for f in frames)
    assert all(f.motion is None and f.motion_absence is MotionAbsence.INTRA for f in frames if f.pict_type == "I")
    assert all(f.motion is not None and f.motion_absence is None for f in frames if f.pict_type == "P")
    originals = make.sliding(144, 176, 24, (3, 2))
    assert min(make.psnr(f.image, o) for f, o in zip(frames, originals, strict=True)) > 33


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv", "plain.ts", "plain.h264", "plain.avi"])
@pytest.mark.parametrize("profile", ["ippp", "bframes"])
def test_packet_sizes_and_order_in_every_container(make: Any, name: str, profile: str) -> None:
    """With B-frames, each frame still gets its own packet's size."""
    path = make.clip(f"{profile}-{name}", make.sliding(96, 128, 20, (2, 1)), profile=profile)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        sizes = [p.size for p in packets]
        by_pts = {p.pts: p.size for p in packets}
        decode_times = [p.dts for p in packets]
    with open_video(path) as video:
        frames = list(video)
    assert len(frames) == 20
    assert sorted(f.packet_bytes for f in frames) == sorted(sizes)
    assert all(sizes[f.decode_index] == f.packet_bytes for f in frames)
    if name.endswith("avi"):  # stores decoding times only
        assert [f.pts for f in frames] == sorted(decode_times)
    elif None not in by_pts:
        assert all(by_pts[f.pts] == f.packet_bytes for f in frames)
        assert [f.pts for f in frames] == sorted(by_pts)
    else:
        assert [f.pts for f in frames] == list(range(20))


def test_variable_frame_rate_keeps_exact_timestamps(make: Any) -> None:
    pts = [0, 1, 2, 7, 8, 20, 21, 22, 60, 61]
    path = make.clip("vfr.mkv", make.sliding(96, 128, 10, (2, 1)), rate=30, pts=pts, profile="ippp")
    with open_video(path) as video:
        seconds = [f.pts_seconds for f in video]
        assert video.time_base == Fraction(1, 1000)
    assert seconds == pytest.approx([p / 30 for p in pts], abs=0.0006)


@pytest.mark.parametrize("threads", [1, 2, "auto"])
@pytest.mark.parametrize("profile", ["ippp", "bframes"])
def test_threads_change_nothing(make: Any, threads: int, profile: str) -> None:
    path = make.clip(f"threads-{profile}.mp4", make.sliding(144, 176, 24, (3, 2)), profile=profile)
    with open_video(path, threads=1, qp=True) as one, open_video(path, threads=threads, qp=True) as many:
        for a, b in zip(one, many, strict=True):
            assert (a.pts, a.pict_type, a.packet_bytes, a.distance) == (b.pts, b.pict_type, b.packet_bytes, b.distance)
            assert same_vectors(a, b)
            assert np.array_equal(a.image, b.image)
            assert np.array_equal(a.qp, b.qp)


def test_motion_off_gives_the_same_pixels(sliding_clip: Path) -> None:
    with open_video(sliding_clip) as on, open_video(sliding_clip, motion=False) as off:
        assert (on.motion_absence, off.motion_absence) == (None, MotionAbsence.NOT_READ)
        for a, b in zip(on, off, strict=True):
            assert np.array_equal(a.image, b.image)
            assert b.motion is None
            assert b.motion_absence is (MotionAbsence.INTRA if b.pict_type == "I" else MotionAbsence.NOT_READ)


def test_pixels_off_gives_the_same_metadata(sliding_clip: Path) -> None:
    with open_video(sliding_clip, qp=True) as on, open_video(sliding_clip, qp=True, pixels=False) as off:
        for a, b in zip(on, off, strict=True):
            assert same_vectors(a, b)
            assert (a.pts, a.pict_type, a.packet_bytes) == (b.pts, b.pict_type, b.packet_bytes)
            assert np.array_equal(a.qp, b.qp)
            with pytest.raises(ValueError, match="pixels=True"):
                _ = b.image


def test_qp_on_and_off(sliding_clip: Path) -> None:
    with open_video(sliding_clip, qp=True) as on, open_video(sliding_clip) as off:
        for a, b in zip(on, off, strict=True):
            assert b.qp is None
            assert a.qp is not None
            assert (a.qp.shape, a.qp.dtype) == ((9, 11), np.int8)
            assert np.array_equal(a.image, b.image)
            assert same_vectors(a, b)


def test_qp_is_the_decoders(make: Any) -> None:
    """Constant quantisers are read as such; PyAV's own loop over blocks gives the same map on adaptive ones."""
    frames = make.sliding(90, 122, 3, (1, 1))
    path = make.clip("qp23.mp4", frames, options={"qp": "23", "x264-params": "ipratio=1:aq-mode=0:bframes=0"})
    with open_video(path, qp=True) as video:
        assert all(np.unique(f.qp).tolist() == [23] for f in video)
    path = make.clip("aq.mp4", frames, options={"crf": "30", "x264-params": "aq-mode=2:aq-strength=2"})
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.options = {"export_side_data": "venc_params"}
        maps = [f.side_data["VIDEO_ENC_PARAMS"].qp_map() for f in container.decode(video=0)]
    assert len(np.unique(maps[0])) > 1
    with open_video(path, qp=True) as video:
        assert all(np.array_equal(f.qp, m) for f, m in zip(video, maps, strict=True))


@pytest.mark.parametrize(("height", "width"), [(97, 131), (146, 182), (33, 35)])
@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("libx264", "yuv444p"), ("mpeg4", "yuv420p"), ("libx264", "yuv422p"), ("libx264", "yuv420p10le")],
)
def test_any_size(make: Any, height: int, width: int, codec: str, pix_fmt: str) -> None:
    if codec == "libx264" and pix_fmt != "yuv444p":
        width += width % 2
        height += height % 2
    frames = [np.clip(make.texture(height, width, 5) // 4 + 90, 0, 255).astype(np.uint8)] * 3
    options = {"qp": "8", "x264-params": "bframes=0:ref=1"} if codec == "libx264" else {"qmin": "2", "qmax": "2"}
    rate = 0 if codec == "libx264" else 20_000_000
    path = make.clip(
        f"{codec}{pix_fmt}{height}x{width}.mp4", frames, codec=codec, pix_fmt=pix_fmt, options=options, bit_rate=rate
    )
    with open_video(path) as video:
        assert video.size_hw == (height, width)
        for frame in video:
            assert frame.image.shape == (height, width, 3)
            assert frame.size_hw == (height, width)
            assert make.psnr(frame.image, frames[0]) > 33


def test_frames_are_not_kept(sliding_clip: Path) -> None:
    """Reading holds on to no frame and no image that the caller has let go."""
    alive: list[weakref.ref] = []
    with open_video(sliding_clip) as video:
        for frame in video:
            alive += [weakref.ref(frame), weakref.ref(frame.image)]
            assert sum(ref() is not None for ref in alive) == 2
    del frame
    assert not any(ref() is not None for ref in alive)


def test_decoded_pictures_are_not_kept(make: Any) -> None:
    """Nor does FFmpeg's picture under a frame wait for Python's cycle collector."""
    path = make.clip("many.mp4", make.sliding(96, 128, 60, (2, 1)), profile="ippp")
    gc.collect()
    gc.disable()
    try:
        with open_video(path, qp=True) as video:
            most = 0
            for frame in video:
                assert frame.image is not None
                most = max(most, sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects()))
    finally:
        gc.enable()
    assert most < 8  # what the decoder's threads give at a time


def test_an_image_outlives_the_video(sliding_clip: Path) -> None:
    with open_video(sliding_clip) as video:
        first = next(video)
        expected = next(iter(open_video(sliding_clip))).image
    assert np.array_equal(first.image, expected)
    assert first.image is first.image


def test_one_pass_and_closing(sliding_clip: Path) -> None:
    video = open_video(sliding_clip)
    assert sum(1 for _ in video) == 24
    assert list(video) == []
    video.close()
    video.close()
    with pytest.raises(ValueError, match="is closed"):
        next(video)
    assert "h264, 176x144, 25 fps" in repr(open_video(sliding_clip))


def test_damage_in_the_middle_does_not_lose_the_rest(make: Any, tmp_path: Path) -> None:
    """Bytes overwritten inside one packet: frames before are intact, the damage is marked, later GOPs are intact."""
    path = make.clip("whole.ts", make.sliding(144, 176, 48, (3, 2)), profile="ippp")
    with open_video(path) as video:
        whole = [f.image for f in video]
    with av.open(str(path)) as container:
        place = [p.pos for p in container.demux(video=0) if p.size][15]
    data = bytearray(path.read_bytes())
    for at in range(place + 300, place + 188 * 8, 7):
        if at % 188 > 12:
            data[at] ^= 0xA5
    damaged = tmp_path / "damaged.ts"
    damaged.write_bytes(data)
    with open_video(damaged) as video:
        frames = list(video)
        errors = video.decode_errors
    assert len(frames) + errors >= 44
    assert any(f.corrupt for f in frames) or errors > 0
    assert all(np.array_equal(f.image, w) for f, w in zip(frames[:12], whole[:12], strict=True))
    assert all(np.array_equal(f.image, w) for f, w in zip(frames[-12:], whole[-12:], strict=True))
    assert not any(f.corrupt for f in frames[-12:])


def test_garbage_packets_are_counted(make: Any, tmp_path: Path) -> None:
    path = make.clip("whole.mp4", make.sliding(144, 176, 36, (3, 2)), profile="ippp")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for place, size in packets[14:18]:
        data[place : place + size] = bytes([0xFF]) * size
    damaged = tmp_path / "garbage.mp4"
    damaged.write_bytes(data)
    for threads in (1, "auto"):
        with open_video(damaged, threads=threads) as video:
            frames = list(video)
            assert video.decode_errors + len(frames) == 36
            assert video.decode_errors == 4
        assert [f.pict_type for f in frames[-12:]] == ["I"] + ["P"] * 11


def test_bad_threads(sliding_clip: Path) -> None:
    with pytest.raises(ValueError, match="threads=0"):
        open_video(sliding_clip, threads=0)


def test_a_size_that_changes(make: Any, tmp_path: Path) -> None:
    """Joined streams of two sizes: every frame has its own size, image and vectors."""
    small = make.clip("small.h264", make.sliding(96, 128, 12, (2, 1)), profile="ippp")
    large = make.clip("large.h264", make.sliding(144, 176, 12, (2, 1)), profile="ippp")
    path = tmp_path / "joined.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    with open_video(path) as video, open_video(small) as first, open_video(large) as second:
        assert video.size_hw == (96, 128)
        frames = list(video)
        expected = [*first, *second]
    assert [f.size_hw for f in frames] == [(96, 128)] * 12 + [(144, 176)] * 12
    for frame, alone in zip(frames, expected, strict=True):
        assert np.array_equal(frame.image, alone.image)
        assert same_vectors(frame, alone)
        assert frame.motion is None or frame.motion.size_hw == frame.size_hw


def test_frames_made_quickly_are_whole() -> None:
    made = {"index": 3, "pts": 40, "time_base": Fraction(1, 90), "pict_type": "P", "is_keyframe": False, "distance": 2}
    quick, plain = quick_frame(**made, size_hw=(48, 64)), Frame(**made, size_hw=(48, 64))
    assert {each.name: getattr(quick, each.name) for each in fields(Frame)} == vars(plain)
    assert repr(quick) == repr(plain)
    assert replace(quick, index=4).index == 4
    with pytest.raises(FrozenInstanceError):
        quick.index = 5

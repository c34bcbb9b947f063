"""Why motion is missing, and what headers say: per stream and per frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from gopseg.codec import MotionAbsence, open_video
from gopseg.codec.bitstream.parameter_sets import (
    is_reference,
    nal_length_size,
    parameters_of_extradata,
    parameters_of_packet,
    parse_sps,
    split_nal_units,
)

X264 = {
    "clean": ("ref=1:bframes=0:weightp=0", None),
    "bframes": ("bframes=2", MotionAbsence.B_FRAMES),
    "references": ("ref=3:bframes=0", MotionAbsence.REFERENCES),
    "interlaced": ("ref=1:bframes=0:tff=1", MotionAbsence.INTERLACED),
    "high10": ("ref=1:bframes=0:weightp=0", None),
    "cqm": ("ref=1:bframes=0:weightp=0:cqm=jvt", None),
    "intra": ("keyint=1", None),
}


@pytest.mark.parametrize("container", ["mp4", "ts", "h264"])
@pytest.mark.parametrize("name", X264)
def test_h264(make: Any, name: str, container: str) -> None:
    params, absence = X264[name]
    path = make.clip(
        f"{name}.{container}",
        make.sliding(144, 176, 14, (3, 2)),
        options={"x264-params": params},
        pix_fmt="yuv420p10le" if name == "high10" else "yuv420p",
    )
    with open_video(path) as video:
        assert video.motion_absence is absence
        for frame in video:
            assert frame.motion_absence is (MotionAbsence.INTRA if frame.pict_type == "I" else absence)
            assert (frame.motion is None) == (frame.pict_type == "I")
        assert video.motion_absence is absence
    with open_video(path, motion=False) as video:
        assert video.motion_absence is (absence or MotionAbsence.NOT_READ)


@pytest.mark.parametrize(
    ("codec", "options", "absence"),
    [
        ("mpeg4", {}, None),
        ("mpeg4", {"bf": "2"}, MotionAbsence.B_VECTORS),
        ("mpeg2video", {}, None),
        ("mpeg2video", {"bf": "2"}, MotionAbsence.B_FRAMES),
        ("mpeg2video", {"flags": "+ildct+ilme", "field_order": "tt"}, MotionAbsence.INTERLACED),
        ("libx265", {"x265-params": "log-level=none"}, MotionAbsence.CODEC),
        ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, MotionAbsence.CODEC),
        ("libvpx", {"deadline": "realtime", "cpu-used": "8"}, MotionAbsence.CODEC),
        ("libsvtav1", {"preset": "12"}, MotionAbsence.CODEC),
        ("mjpeg", {}, MotionAbsence.CODEC),
    ],
)
def test_other_codecs(make: Any, codec: str, options: dict[str, str], absence: MotionAbsence | None) -> None:
    path = make.clip(
        f"{codec}{len(options)}{absence}.mkv",
        make.sliding(144, 176, 8, (3, 2)),
        codec=codec,
        options=options,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        bit_rate=1_000_000,
    )
    with open_video(path, qp=True) as video:
        assert video.motion_absence is absence
        frames = list(video)
        assert video.motion_absence is absence
    assert len(frames) == 8
    for frame in frames:
        if absence is MotionAbsence.CODEC:
            assert (frame.motion, frame.motion_absence, frame.qp) == (None, absence, None)
        elif frame.pict_type == "I":
            assert (frame.motion, frame.motion_absence) == (None, MotionAbsence.INTRA)
        else:
            assert frame.motion is not None
            # FFmpeg exports nothing for the picture that it flushes out of a reordering MPEG decoder last
            assert len(frame.motion) or (frame is frames[-1] and (absence or codec == "mpeg2video"))
            assert frame.motion_absence is absence
    if absence is MotionAbsence.CODEC:
        with open_video(path, motion=False) as video:
            assert video.motion_absence is MotionAbsence.CODEC


def test_every_block_intra_coded_is_no_absence(make: Any) -> None:
    """A cut without a keyframe: a P-frame of intra blocks has vectors (few or none), not a missing reason."""
    frames = [make.texture(144, 176, seed) for seed in (1, 1, 9, 9)]
    path = make.clip("cut.mp4", frames, profile="ippp")
    with open_video(path) as video:
        absences = [f.motion_absence for f in video]
        assert absences == [MotionAbsence.INTRA, None, None, None]
    with open_video(path) as video:
        counts = [0 if f.motion is None else len(f.motion) for f in video]
    assert counts[2] < 40 < counts[1]


def test_a_frame_that_is_no_reference(make: Any, tmp_path: Path) -> None:
    """Temporal layers: after a P-frame that nothing may refer to, vectors point further back than one frame."""
    path = make.clip("layers.mp4", make.sliding(144, 176, 12, (1, 0)), profile="ippp")
    with av.open(str(path)) as container:
        size = nal_length_size(container.streams.video[0].codec_context.extradata)
        packets = [(p.pos, bytes(p)) for p in container.demux(video=0) if p.size]
    assert size == 4
    assert all(is_reference(split_nal_units(data, size)) for _, data in packets)
    data = bytearray(path.read_bytes())
    place, packet = packets[5]
    assert packet[4] & 31 == 1
    data[place + 4] &= 0b10011111  # nal_ref_idc = 0
    changed = tmp_path / "layers.mp4"
    changed.write_bytes(data)
    with open_video(changed, threads=1) as video:
        assert video.motion_absence is None
        absences = [f.motion_absence for f in video]
        assert video.motion_absence is MotionAbsence.REFERENCES
    assert absences[1:5] == [None] * 4
    assert set(absences[6:]) == {MotionAbsence.REFERENCES}


def test_parameters_in_the_stream_only(make: Any, tmp_path: Path) -> None:
    """A stream whose second half has other parameter sets is judged anew where they appear."""
    first = make.clip("one.h264", make.sliding(144, 176, 12, (3, 2)), profile="ippp").read_bytes()
    second = make.clip("three.h264", make.sliding(144, 176, 12, (3, 2)), profile="references").read_bytes()
    path = tmp_path / "both.h264"
    path.write_bytes(first + second)
    with open_video(path, threads=1) as video:
        assert video.motion_absence is None
        absences = [f.motion_absence for f in video if f.pict_type == "P"]
        assert video.motion_absence is MotionAbsence.REFERENCES
    assert absences[:10] == [None] * 10
    assert absences[11:] == [MotionAbsence.REFERENCES] * 11


@pytest.mark.parametrize(("width", "height"), [(176, 144), (174, 142), (1920, 1080)])
@pytest.mark.parametrize("references", [1, 4])
def test_sequence_parameters(make: Any, width: int, height: int, references: int) -> None:
    frames = [make.texture(height, width)] * 2
    options = {"preset": "ultrafast", "x264-params": f"ref={references}:bframes=0"}
    for container in ("mp4", "h264"):
        path = make.clip(f"sps{width}x{height}r{references}.{container}", frames, options=options)
        with av.open(str(path)) as opened:
            extradata = opened.streams.video[0].codec_context.extradata
            packet = bytes(next(opened.demux(video=0)))
        parameters = parameters_of_extradata(extradata)
        assert parameters is not None
        assert (parameters.max_references, parameters.is_frames_only) == (references, True)
        assert (parameters.crop_left, parameters.crop_top) == (0, 0)
        in_band = parameters_of_packet(split_nal_units(packet, nal_length_size(extradata)))
        assert in_band == (parameters if container == "h264" else None)


def test_damaged_parameters_say_nothing() -> None:
    assert parse_sps(b"\x67\x4d") is None
    assert parse_sps(b"\x67" + b"\0" * 40) is None
    assert parameters_of_extradata(None) is None
    assert parameters_of_extradata(b"\1\2\3") is None
    assert parameters_of_packet(split_nal_units(b"\0\0\0\x02\x67", 4)) is None


def test_split_nal_units() -> None:
    annex_b = b"\0\0\0\1\x67abc\0\0\1\x68d\0\0\1\x65efg"
    assert [bytes(u) for u in split_nal_units(annex_b, None)] == [b"\x67abc", b"\x68d", b"\x65efg"]
    prefixed = b"\0\0\0\4\x67abc\0\0\0\2\x68d"
    assert [bytes(u) for u in split_nal_units(prefixed, 4)] == [b"\x67abc", b"\x68d"]
    assert list(split_nal_units(b"", 4)) == list(split_nal_units(b"", None)) == []
    assert [bytes(u) for u in split_nal_units(b"\0\0\0\xff\x67", 4)] == [b"\x67"]

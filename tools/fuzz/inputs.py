"""Damaged videos for `fuzz-codec`, each made anew from two numbers."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from ...codec import EncodeSettings

FRAMES = 20
_OURS = EncodeSettings(gop=8, bitrate_bps=None, preset="veryfast").x264_options(Fraction(25))["x264-params"]
CLIPS = {
    "ours": ((96, 128), "yuv420p", _OURS),
    "defaults": ((80, 112), "yuv420p", "keyint=10:bframes=3:ref=3:b-pyramid=normal:weightp=2"),
    "open-gop": ((96, 96), "yuv420p", "keyint=8:min-keyint=1:open-gop=1:bframes=2:b-adapt=0:scenecut=0"),
    "refresh": ((64, 96), "yuv420p", "intra-refresh=1:keyint=8:bframes=0:ref=2"),
    "slices": ((112, 80), "yuv420p", "keyint=6:slices=4:bframes=1"),
    "cavlc": ((48, 64), "yuv420p", "keyint=7:cabac=0:8x8dct=0:bframes=0:ref=1:weightp=0"),
    "interlaced": ((96, 112), "yuv420p", "keyint=9:tff=1:bframes=2"),
    "high10": ((66, 98), "yuv420p10le", "keyint=8:bframes=2:direct=temporal"),
    "grey": ((48, 80), "gray", "keyint=5:bframes=0:ref=4"),
    "chroma444": ((70, 90), "yuv444p", "keyint=8:bframes=1:weightb=1"),
}
"""Size (height, width), pixel format and x264's parameters of the clips that are damaged."""

_CONTAINERS = ("h264", "mp4", "mpegts", "matroska")
_BOXES = (b"moov", b"mvhd", b"trak", b"tkhd", b"mdhd", b"stsd", b"avcC", b"stts", b"ctts", b"stsc", b"stsz", b"stco")
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)

_MUXING = {"matroska": {"fflags": "+bitexact"}}  # no random numbers

Packets = list[bytes]


@dataclass(frozen=True)
class FuzzInput:
    """One damaged video: its bytes, and what was done to which clip."""

    data: bytes
    clip: str
    container: str
    operations: tuple[str, ...]


def fuzz_input(seed: int, number: int) -> FuzzInput:
    """The input with that number of the series of that seed; the same bytes on every call with one build of x264."""
    random = np.random.default_rng([seed, number])
    clip = list(CLIPS)[random.integers(len(CLIPS))]
    container = _CONTAINERS[random.choice(len(_CONTAINERS), p=(0.4, 0.4, 0.1, 0.1))]
    packets = list(clip_packets(clip))
    operations = []
    for _ in range(random.integers(0, 4)):
        name = list(_ON_PACKETS)[random.integers(len(_ON_PACKETS))]
        packets = _ON_PACKETS[name](packets, random)
        operations.append(name)
    data = b"".join(packets) if container == "h264" else _mux(packets, clip, container)
    if not operations or random.random() < 0.3:
        names = [name for name in _ON_BYTES if name != "box" or container == "mp4"]
        name = names[random.integers(len(names))]
        data = _ON_BYTES[name](data, random)
        operations.append(name)
    return FuzzInput(data, clip, container, tuple(operations))


@lru_cache(len(CLIPS))
def clip_packets(name: str) -> tuple[bytes, ...]:
    """The packets (Annex B) of a clip: texture that pans, with a square that moves over it and grain."""
    (height, width), pixel_format, parameters = CLIPS[name]
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width, context.pix_fmt = height, width, pixel_format
    context.time_base, context.framerate, context.thread_count = Fraction(1, 25), Fraction(25), 1
    context.options = {"preset": "veryfast", "crf": "24", "x264-params": parameters}
    random = np.random.default_rng(len(name))
    world = cv2.GaussianBlur(random.integers(0, 256, (height + 60, width + 80, 3), np.uint8), (0, 0), 2) * 3
    reformatter, packets = VideoReformatter(), []
    for index in range(FRAMES):
        image = world[index * 2 : index * 2 + height, index * 3 : index * 3 + width].copy()
        image[16:32, 2 * index : 2 * index + 16] = (200, 40, 90)
        image ^= random.integers(0, 4, image.shape, np.uint8)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        picture = reformatter.reformat(picture, format=pixel_format, threads=1)
        picture.pts = index
        packets += context.encode(picture)
    packets += context.encode(None)
    return tuple(bytes(packet) for packet in packets)


def _mux(packets: Packets, clip: str, container: str) -> bytes:
    """Packets in a file whose own header is the intact clip's."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(b"".join(clip_packets(clip))), format="h264") as source,
        av.open(file, "w", format=container, options=_MUXING.get(container, {})) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, data in enumerate(packets):
            if not data:
                continue
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.is_keyframe = index == 0 or b"\0\0\1\x65" in data[:1024]
            try:
                target.mux(packet)
            except (av.FFmpegError, ValueError):  # a muxer may refuse a packet: then it is one that was lost
                continue
    return file.getvalue()


def _flip(data: bytes, random: np.random.Generator, first: int, last: int, most: int) -> bytes:
    if last <= first:
        return data
    changed = bytearray(data)
    for at in random.integers(first, last, random.integers(1, most + 1)):
        changed[at] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _some(packets: Packets, random: np.random.Generator) -> int:
    return int(random.integers(len(packets)))


def _flip_packet(packets: Packets, random: np.random.Generator) -> Packets:
    for _ in range(random.integers(1, 4)):
        at = _some(packets, random)
        packets[at] = _flip(packets[at], random, 0, len(packets[at]), 16)
    return packets


def _flip_header(packets: Packets, random: np.random.Generator) -> Packets:
    """Parameter sets, and the first bytes of slices."""
    at = 0 if random.random() < 0.5 else _some(packets, random)
    packets[at] = _flip(packets[at], random, 4, min(len(packets[at]), 48), 4)
    return packets


def _change_kind(packets: Packets, random: np.random.Generator) -> Packets:
    at = _some(packets, random)
    place = packets[at].find(b"\0\0\1")
    if 0 <= place < len(packets[at]) - 3:
        changed = bytearray(packets[at])
        changed[place + 3] = int(random.integers(128))
        packets[at] = bytes(changed)
    return packets


def _shorten(packets: Packets, random: np.random.Generator) -> Packets:
    at = _some(packets, random)
    packets[at] = packets[at][: random.integers(len(packets[at]) + 1)]
    return packets


def _drop(packets: Packets, random: np.random.Generator) -> Packets:
    at, count = _some(packets, random), int(random.integers(1, 4))
    return packets[:at] + packets[at + count :] or packets


def _duplicate(packets: Packets, random: np.random.Generator) -> Packets:
    at = _some(packets, random)
    return packets[: at + 1] + packets[at:]


def _reorder(packets: Packets, random: np.random.Generator) -> Packets:
    for _ in range(random.integers(1, 4)):
        a, b = _some(packets, random), _some(packets, random)
        packets[a], packets[b] = packets[b], packets[a]
    return packets


def _splice(packets: Packets, random: np.random.Generator) -> Packets:
    """Go on with another clip, of another size, from any of its packets on."""
    other = list(clip_packets(list(CLIPS)[random.integers(len(CLIPS))]))
    at, start = _some(packets, random), 0 if random.random() < 0.5 else int(random.integers(len(other)))
    return packets[: at + 1] + other[start:] + (packets[at + 1 :] if random.random() < 0.3 else [])


def _flip_bytes(data: bytes, random: np.random.Generator) -> bytes:
    return _flip(data, random, 0, len(data), 32)


def _truncate(data: bytes, random: np.random.Generator) -> bytes:
    return data[: random.integers(1, len(data) + 1)]


def _cut_out(data: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(len(data)))
    return data[:at] + data[at + int(random.integers(1, 512)) :] or data


def _insert(data: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(len(data)))
    return data[:at] + random.bytes(int(random.integers(1, 256))) + data[at:]


def _box(data: bytes, random: np.random.Generator) -> bytes:
    """A number inside one of an MP4's boxes, or a box's size, becomes an extreme one."""
    places = [place for box in _BOXES if (place := data.find(box)) >= 4]
    if not places:
        return data
    at = places[random.integers(len(places))] + int(random.integers(-4, 40))
    value = _EXTREMES[random.integers(len(_EXTREMES))]
    return data[:at] + value.to_bytes(4, "big") + data[at + 4 :]


_ON_PACKETS: dict[str, Callable[[Packets, np.random.Generator], Packets]] = {
    "flip": _flip_packet,
    "header": _flip_header,
    "kind": _change_kind,
    "shorten": _shorten,
    "drop": _drop,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "splice": _splice,
}
_ON_BYTES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "flip-file": _flip_bytes,
    "truncate": _truncate,
    "cut-out": _cut_out,
    "insert": _insert,
    "box": _box,
}
OPERATIONS = (*_ON_PACKETS, *_ON_BYTES)
"""Names of everything that is done to videos."""

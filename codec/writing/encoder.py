"""H.264 as gopseg wants it: closed GOPs of exact length, one reference, no B-frames, through PyAV and libx264."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from typing import NamedTuple

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ..errors import EncodeError
from ..reading import ColourTags
from .settings import EncodeSettings

_TYPES = {1: "I", 2: "P", 3: "B"}


class CodedStats(NamedTuple):
    """What the encoder says of one packet: its type, and the squared error of each plane (None unless measured)."""

    pict_type: str
    squared_errors: tuple[int, int, int] | None


class H264Encoder:
    """One libx264 encoder of one thread: `encode` pictures in display order, then `flush`.

    Pictures are yuv420p `av.VideoFrame`s of `size_hw` (both even: 4:2:0 cannot be cropped to odd sizes); pts count
    units of `time_base` and rise strictly. Packets come out in the same order, with dts = pts. `measure` makes x264
    compare what it wrote with what it was given: squared errors in every packet's stats, and SSIM from `close`.
    """

    def __init__(
        self,
        settings: EncodeSettings,
        size_hw: tuple[int, int],
        time_base: Fraction,
        frame_rate: Fraction,
        *,
        colour: ColourTags | None = None,
        sample_aspect: Fraction | None = None,
        measure: bool = False,
        global_header: bool = False,
    ) -> None:
        height, width = size_hw
        if height % 2 or width % 2 or height < 16 or width < 16:
            raise EncodeError(f"H.264 4:2:0 cannot hold {width}x{height}; give even sizes of at least 16 pixels")
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        configure(context, settings, size_hw, time_base, frame_rate, colour or ColourTags(), sample_aspect)
        if global_header:
            context.flags |= Flags.global_header
        self._measure = measure
        if measure:
            context.flags |= Flags.psnr
            context.options = {**context.options, "x264-params": context.options["x264-params"] + ":ssim=1"}
        try:
            context.open()
        except av.FFmpegError as error:
            raise EncodeError(f"libx264 refuses {width}x{height} with {settings}: {error}") from error
        self._context: VideoCodecContext | None = context
        self.time_base = time_base

    @property
    def context(self) -> VideoCodecContext:
        """The open codec context (its `extradata` holds the parameter sets when `global_header` was asked for)."""
        if self._context is None:
            raise ValueError("the encoder is closed")
        return self._context

    def encode(self, picture: av.VideoFrame, pts: int) -> list[av.Packet[VideoStream]]:
        """Give one picture; returns the packets that are ready (none at first, unless `low_delay`)."""
        picture.pts, picture.time_base = pts, self.time_base
        picture.pict_type = 0  # a decoded picture's type would otherwise be forced on the encoder
        return self.context.encode(picture)

    def flush(self) -> list[av.Packet[VideoStream]]:
        """The packets still inside; no picture can be given afterwards."""
        return self.context.encode(None)

    def close(self) -> float | None:
        """Let the encoder go; returns the mean SSIM of luma over all its frames where `measure` was asked for."""
        if self._context is None:
            return None
        if not self._measure:
            self._context = None
            return None
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)  # libx264 tells the SSIM in its closing log line only
        try:
            with av.logging.Capture() as lines:
                self._context = None
        finally:
            av.logging.set_level(level)
        match = re.search(r"SSIM Mean Y:([0-9.]+)", "".join(line[2] for line in lines))
        return float(match[1]) if match else None


def configure(
    context: VideoCodecContext,
    settings: EncodeSettings,
    size_hw: tuple[int, int],
    time_base: Fraction,
    frame_rate: Fraction,
    colour: ColourTags,
    sample_aspect: Fraction | None,
) -> None:
    """Set up a libx264 context, not yet opened, for `settings`."""
    context.height, context.width = size_hw
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = time_base, frame_rate
    if settings.bitrate_bps is not None:
        context.bit_rate = settings.bitrate_bps
    context.thread_count = 1
    context.color_range = 2 if colour.full_range else 1
    context.colorspace, context.color_primaries, context.color_trc = colour.matrix, colour.primaries, colour.transfer
    if sample_aspect:
        context.sample_aspect_ratio = sample_aspect
    context.options = settings.x264_options(frame_rate)


def coded_stats(packet: av.Packet[VideoStream]) -> CodedStats:
    """Read the encoder's own account of a packet (`AV_PKT_DATA_QUALITY_STATS`)."""
    data = bytes(packet.get_sidedata("quality_stats")) if packet.has_sidedata("quality_stats") else b""
    if len(data) < 8:
        return CodedStats("I" if packet.is_keyframe else "P", None)
    _, kind, count, _ = struct.unpack_from("<IBBH", data)
    errors = struct.unpack_from("<3Q", data, 8) if count == 3 else None
    return CodedStats(_TYPES.get(kind, "P"), errors)

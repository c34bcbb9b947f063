"""H.264 as gopseg wants it: closed GOPs of exact length, one reference, no B-frames, through PyAV and libx264."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ..errors import EncodeError

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_LEAST_BUFFER_FRAMES = 10
_BUFFER_START = 0.75  # about how full it is at the end, so that what it starts with does not raise the rate
_TYPES = {1: "I", 2: "P", 3: "B"}


@dataclass(frozen=True)
class EncodeSettings:
    """What an encoder is asked for; ValueError for impossible values.

    Keyframes (IDR) come every `gop` frames exactly, P-frames between them predict from the previous frame only.
    `bitrate_bps` (bits per second) is held by a constant-rate buffer of `buffer_seconds` (but ten frames at least,
    where frames are few); None asks for constant quality `crf` (x264's scale, 0 is lossless, 51 the worst) instead.
    `slots` encoders of one thread each take whole GOPs in turn: libx264's own frame threads make such rate control
    depend on timing, so that the same input would give other bytes on every run. `low_delay` gives every packet at
    once, for live use.
    """

    gop: int = 12
    bitrate_bps: int | None = 3_000_000
    preset: str = "medium"
    crf: float = 20.0
    slots: int = 2
    buffer_seconds: float = 0.7
    low_delay: bool = False

    def __post_init__(self) -> None:
        if self.gop < 1:
            raise ValueError(f"gop={self.gop} is impossible; give a number of frames from 1")
        if self.bitrate_bps is not None and self.bitrate_bps < 1000:
            raise ValueError(f"bitrate_bps={self.bitrate_bps} is too low; give at least 1000, as in 750k or 3M")
        if self.preset not in PRESETS:
            raise ValueError(f"preset={self.preset!r} is unknown to x264; give one of {', '.join(PRESETS)}")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf={self.crf} is out of range; give a number from 0 to 51")
        if self.slots < 1:
            raise ValueError(f"slots={self.slots} is impossible; give a number from 1")
        if not self.buffer_seconds > 0:
            raise ValueError(f"buffer_seconds={self.buffer_seconds} is impossible; give a positive number")

    @property
    def parallel(self) -> int:
        """Encoders that run side by side; one where every packet must come at once, or where every frame is a key."""
        return 1 if self.low_delay or self.gop == 1 else self.slots

    def x264_options(self, frame_rate: Fraction) -> dict[str, str]:
        """The private options of FFmpeg's libx264 wrapper at `frame_rate`, as its command line takes them too."""
        parameters: dict[str, float] = {
            "keyint": self.gop,
            "min-keyint": self.gop,
            "scenecut": 0,
            "open-gop": 0,
            "bframes": 0,
            "ref": 1,
            "weightp": 0,
        }
        options = {"preset": self.preset}
        if self.low_delay:
            options["tune"] = "zerolatency"
        if self.bitrate_bps is None:
            options["crf"] = f"{self.crf:g}"
        else:
            rate = self.bitrate_bps // 1000
            seconds = max(self.buffer_seconds, float(_LEAST_BUFFER_FRAMES / frame_rate))
            size = max(1, round(self.bitrate_bps * seconds / 1000))
            parameters |= {"vbv-maxrate": rate, "vbv-bufsize": size, "vbv-init": _BUFFER_START}
        options["x264-params"] = ":".join(f"{name}={value}" for name, value in parameters.items())
        return options

    def ffmpeg_command(
        self, source: str, output: str, frame_rate: Fraction, filters: str = "", before: str = "", after: str = ""
    ) -> str:
        """The ffmpeg command line that encodes `source` with these settings (same structure and rate, other bytes).

        `frame_rate` is the output's; `before` and `after` are more options for the input and the output.
        """
        words = ["ffmpeg", *before.split(), "-i", _quoted(source), "-an", *after.split()]
        if filters:
            words += ["-vf", _quoted(filters)]
        words += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1"]
        if self.bitrate_bps is not None:
            words += ["-b:v", str(self.bitrate_bps)]
        for name, value in self.x264_options(frame_rate).items():
            words += [f"-{name}", _quoted(value)]
        return " ".join([*words, "-movflags", "+faststart", _quoted(output)])


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"


@dataclass(frozen=True)
class ColourTags:
    """How a stream's YUV is to be read: codes of ITU-T H.273 (2 = unspecified), and whether it has the full range."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False


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

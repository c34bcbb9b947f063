"""One video file written: pictures in, an MP4 under its final name out, with an account of every frame."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

from ...errors import GopsegError
from ...files import discard, part_of, publish, remove_abandoned
from ..errors import EncodeError
from ..reading import file_url
from .comparison import Comparison, FrameErrors
from .encoder import configure
from .interleave import CodedPacket, InterleavedEncoder
from .pictures import Pictures
from .settings import EncodeSettings


@dataclass
class Transcoded:
    """What was written: one entry a frame, in display order; times in seconds, sizes in pixels and bytes.

    `psnr_db` (of Y, U, V and of all samples together, from the mean squared error over the whole video) and `ssim`
    (mean over time, luma, x264's 8x8 windows; Wang et al. 2004) compare what a decoder gives with the yuv420p
    pictures that the encoder was given. `worst_frame` is the one with the largest squared error: `index`, `psnr_db` of
    all its samples, and its `ssim`; `median_psnr_db` is that of the frame in the middle. `gap_seconds` is the time that
    pictures stay beyond what the rate control's buffer holds, as where a recording paused: no bits are meant for it.
    """

    size_hw: tuple[int, int]
    duration_seconds: float = 0.0
    gap_seconds: float = 0.0
    pict_types: str = ""
    packet_bytes: list[int] = field(default_factory=list)
    psnr_db: dict[str, float] = field(default_factory=dict)
    ssim: float | None = None
    worst_frame: dict[str, float] = field(default_factory=dict)
    median_psnr_db: float = 100.0
    x264: str = "unknown"

    @property
    def bitrate_bps(self) -> float:
        """Bits of all coded frames over the duration."""
        return 8 * sum(self.packet_bytes) / self.duration_seconds


def transcode(
    pictures: Pictures,
    path: Path,
    settings: EncodeSettings,
    *,
    on_frame: Callable[[], None] | None = None,
    finish: Callable[[Transcoded, Path], None] | None = None,
) -> Transcoded:
    """Encode `pictures` into the MP4 file `path`, which appears when it is whole.

    `on_frame` is called after each frame. `finish` is called with the result and the whole file, which has another name
    yet, and gives it its own; None replaces `path`. The index stands in front of the data, so that the file can be
    streamed. Raises EncodeError where it cannot be written, and what reading `pictures` and `finish` raise; nothing is
    left behind then.
    """
    remove_abandoned(path)
    part = part_of(path)
    encoder = InterleavedEncoder(
        settings,
        pictures.size_hw,
        pictures.time_base,
        pictures.frame_rate,
        colour=pictures.colour,
        sample_aspect=pictures.sample_aspect,
        measure=True,
    )
    result = Transcoded(pictures.size_hw)
    errors = FrameErrors(pictures.size_hw)
    waiting, worst = deque[av.VideoFrame](), _Worst()
    try:
        try:
            clock = PictureClock(settings, pictures.frame_rate, pictures.time_base)
            with _Mp4(part, path, pictures, settings) as file:
                types: list[str] = []
                for coded in encoder.run(_kept(clock.with_durations(pictures), waiting)):
                    if not types:
                        result.x264 = x264_version(bytes(coded.packet))
                    file.write(coded)
                    types.append(coded.pict_type)
                    result.packet_bytes.append(coded.packet.size)
                    errors.add(coded.squared_errors)
                    picture = waiting.popleft()
                    if errors.worst_frame["index"] == errors.count - 1:
                        worst = _Worst(picture, coded.pts)
                    if on_frame is not None:
                        on_frame()
        finally:
            ssims = encoder.close()
        result.pict_types = "".join(types)
        result.duration_seconds, result.gap_seconds = clock.seconds, clock.gap_seconds
        result.psnr_db, result.median_psnr_db = errors.psnr_db, errors.median_psnr_db
        result.worst_frame = errors.worst_frame | worst.ssim(part, pictures)
        result.ssim = _mean(ssims, encoder.frames_of_slots)
        _check_gops(result.pict_types, settings.gop, path)
        if finish is not None:
            finish(result, part)
        else:
            with disk_errors(path):
                publish(part, path)
    finally:
        discard(part)
    return result


@dataclass(frozen=True)
class _Worst:
    """The picture that was coded worst so far, None at first, and its time in the file."""

    picture: av.VideoFrame | None = None
    pts: int = 0

    def ssim(self, file: Path, pictures: Pictures) -> dict[str, float]:
        """Its `ssim` in the whole file, of which one GOP is decoded; the encoder tells the mean of all frames only."""
        if self.picture is None:
            return {}
        time = self.pts * pictures.time_base
        with av.open(file_url(file)) as container:
            stream = container.streams.video[0]
            unit = stream.time_base or pictures.time_base
            container.seek(round(time / unit), stream=stream)
            for decoded in container.decode(stream):
                if decoded.pts is not None and abs(decoded.pts * unit - time) < unit:
                    comparison = Comparison(pictures.size_hw)
                    comparison.add(decoded, self.picture)
                    return {"ssim": round(comparison.ssim, 6)}
        return {}


def _kept(
    pictures: Iterable[tuple[av.VideoFrame, int]], waiting: deque[av.VideoFrame]
) -> Iterator[tuple[av.VideoFrame, int]]:
    """The pictures as they are, which `waiting` is given, too."""
    for picture, duration in pictures:
        waiting.append(picture)
        yield picture, duration


class PictureClock:
    """Gives each picture its duration: until the next one. The last one is as long as the one before it, or, where that
    stayed longer than the encoder's buffer holds (a gap), as long as the frame rate has it."""

    def __init__(self, settings: EncodeSettings, frame_rate: Fraction, time_base: Fraction) -> None:
        self._time_base, self._longest = time_base, settings.longest_ticks(frame_rate, time_base)
        self._ticks = self._gap = 0
        self._last = self._usual = max(1, round(1 / (frame_rate * time_base)))

    @property
    def seconds(self) -> float:
        """The sum of all durations so far."""
        return float(self._ticks * self._time_base)

    @property
    def gap_seconds(self) -> float:
        """What of that the encoder is not told (`EncodeSettings.longest_ticks`)."""
        return float(self._gap * self._time_base)

    def with_durations(self, pictures: Iterable[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, int]]:
        """(picture, duration) pairs, in units of the time base."""
        before: av.VideoFrame | None = None
        for picture in pictures:
            if before is not None:
                self._last = (picture.pts or 0) - (before.pts or 0)
                yield self._counted(before)
            before = picture
        if before is not None:
            if self._last > self._longest:
                self._last = self._usual
            yield self._counted(before)

    def _counted(self, picture: av.VideoFrame) -> tuple[av.VideoFrame, int]:
        self._ticks += self._last
        self._gap += max(0, self._last - self._longest)
        return picture, self._last


class _Mp4:
    """An MP4 with one H.264 track whose packets come from elsewhere; errors name `path`, the file it will become."""

    def __init__(self, part: Path, path: Path, pictures: Pictures, settings: EncodeSettings) -> None:
        self._path, self._time_base = path, pictures.time_base
        with disk_errors(path):
            self._container = av.open(file_url(part), "w", format="mp4", options={"movflags": "+faststart"})
            self._stream = self._container.add_stream("libx264", rate=pictures.frame_rate)
            configure(
                self._stream.codec_context,
                settings,
                pictures.size_hw,
                pictures.time_base,
                pictures.frame_rate,
                pictures.colour,
                pictures.sample_aspect,
            )
            self._stream.time_base = pictures.time_base
            self._container.start_encoding()

    def __enter__(self) -> _Mp4:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with disk_errors(self._path):
                self._container.close()
        else:
            with suppress(av.FFmpegError, OSError):
                self._container.close()

    def write(self, coded: CodedPacket) -> None:
        packet = coded.packet
        packet.stream = self._stream
        packet.pts = packet.dts = coded.pts
        packet.duration = coded.duration
        packet.time_base = self._time_base
        with disk_errors(self._path):
            self._container.mux_one(packet)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """The disk's errors as EncodeError about `path`, the file that is to come; errors of ours pass."""
    try:
        yield
    except GopsegError:
        raise
    except (av.FFmpegError, OSError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise EncodeError(f"{path}: cannot be written ({cause}); check the folder, its rights and its space") from error


def x264_version(data: bytes) -> str:
    """What x264 says of itself in the stream's first SEI message: "core 165 r3222 b35605a"."""
    match = re.search(rb"x264 - (core [\w .+-]*?) - ", data)
    return match[1].decode() if match else "unknown"


def _check_gops(pict_types: str, gop: int, path: Path) -> None:
    for index, pict_type in enumerate(pict_types):
        if pict_type != ("P" if index % gop else "I"):
            raise EncodeError(
                f"{path}: libx264 made frame {index} a {pict_type}-frame against gop={gop}; use another build of PyAV"
            )


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    total = 0.0
    for value, weight in zip(values, weights, strict=True):
        if value is None and weight:
            return None
        total += (value or 0.0) * weight
    return round(total / sum(weights), 6)

"""Which of a container's video streams is the one to read."""

from __future__ import annotations

from fractions import Fraction

from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from ...errors import InvalidDataError

MOST_FRAMES_A_SECOND = 1000
"""Beyond that a rate is taken for the unit of a clock, which encoders and demuxers mistake for it."""

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.dependent


def choose_stream(container: InputContainer, name: str, index: int | None = None) -> VideoStream:
    """The video stream with FFmpeg's number `index`, or the best one.

    That is, of those that have a decoder and are no cover picture, thumbnails or part of another stream: one flagged as
    default; of several or none the one with the most pixels, then the highest bitrate, then the first. Of an HLS
    master the other variants are no longer fetched. InvalidDataError where there is none.
    """
    streams = container.streams
    if index is None:
        able = [stream for stream in streams.video if stream.codec_context is not None]
        pool = [stream for stream in able if not stream.disposition & _PICTURES]
        if not pool:
            raise _refusal(container, name)
        chosen = max(pool, key=lambda stream: (*_rank(stream), -stream.index))
    else:
        found = [stream for stream in streams.video if stream.index == index]
        if not found:
            numbers = ", ".join(describe_stream(stream) for stream in streams.video) or "none"
            raise InvalidDataError(f"{name}: has no video stream {index}; its video streams are: {numbers}")
        chosen = found[0]
        if chosen.codec_context is None:
            raise InvalidDataError(f"{name}: FFmpeg has no decoder for its stream {index}; choose another")
    if "hls" in container.format.name:
        for other in streams:
            if other.index != chosen.index:
                other.discard = Discard.all
    return chosen


def count_streams(container: InputContainer) -> int:
    """The number of video streams that are no cover picture, thumbnails or part of another stream."""
    return sum(1 for stream in container.streams.video if not stream.disposition & _PICTURES)


def describe_stream(stream: VideoStream) -> str:
    """A stream in a few words: "1 (h264, 320x240, default)"."""
    context = stream.codec_context
    words = ["no decoder"] if context is None else [context.name, f"{context.width}x{context.height}"]
    flags = {
        "default": Disposition.default,
        "attached picture": Disposition.attached_pic,
        "thumbnails": Disposition.timed_thumbnails,
        "dependent": Disposition.dependent,
    }
    words += [word for word, flag in flags.items() if stream.disposition & flag]
    return f"{stream.index} ({', '.join(words)})"


def describe_choice(container: InputContainer, chosen: VideoStream) -> str:
    """What was chosen, and from what: "stream 1 (h264, 320x240, default), not 0 (png, 64x64)"."""
    others = [describe_stream(stream) for stream in container.streams.video if stream.index != chosen.index]
    return f"stream {describe_stream(chosen)}" + (f", not {', '.join(others)}" if others else "")


def shown_frames(stream: VideoStream) -> int | None:
    """The number of frames by the container's account, or None.

    Without those that an MP4's edit list leaves out, and AVI's null frames, which only say that nothing changes.
    """
    if not stream.frames:
        return None
    entries = stream.index_entries
    is_avi = is_avi_stream(stream)
    if not len(entries) or (is_avi and 10 * (entries[-1].timestamp + 1) < 9 * stream.frames):
        return stream.frames  # without an index, or with one that breaks off
    return sum(1 for entry in entries if entry.size and not entry.is_discard) or None


def is_avi_stream(stream: VideoStream) -> bool:
    """Whether the container is AVI, which counts frames, empty ones included, and stores no times."""
    return "avi" in stream.container.format.name.split(",")


def average_rate(stream: VideoStream) -> Fraction | None:
    """Frames shown a second by the container's account, AVI's null frames left out; None where it gives none."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    rate = next((rate for rate in rates if rate and rate <= MOST_FRAMES_A_SECOND), None)
    if rate and is_avi_stream(stream):
        return Fraction(rate) * Fraction(shown_frames(stream) or 1, stream.frames or 1)
    return Fraction(rate) if rate else None


def _rank(stream: VideoStream) -> tuple[bool, int, int]:
    context = stream.codec_context
    rate = context.bit_rate or int(stream.metadata.get("variant_bitrate", 0) or 0)
    return bool(stream.disposition & Disposition.default), context.width * context.height, rate


def _refusal(container: InputContainer, name: str) -> InvalidDataError:
    pictures = [stream for stream in container.streams.video if stream.disposition & _PICTURES]
    if len(pictures) < len(container.streams.video):
        return InvalidDataError(f"{name}: FFmpeg has no decoder for its video; convert it to H.264 first")
    kinds: list[str] = sorted({stream.type for stream in container.streams if stream not in container.streams.video})
    kinds += ["a cover picture"] if pictures else []
    return InvalidDataError(f"{name}: has no video, only {' and '.join(kinds) or 'no streams'}; give a file with video")

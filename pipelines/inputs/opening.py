"""What a user names as SOURCE, opened: a file, a folder or glob of frames, an address, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av

from ...codec import LIVE_SETTINGS, CompressedVideo, Frame, FrameSource, SourceError, open_video, reencode
from ...data import open_frames
from ..errors import StreamUsageError
from .live import LiveVideo
from .naming import STANDARD_INPUT, is_camera, is_live, is_stills

_CAMERAS = "video4linux2,v4l2"
_TIME_RESOLUTION = 1_000_000  # a time that was typed as 0.16 means 4/25


@dataclass(frozen=True)
class Patience:
    """How a live source is waited for: seconds without data until it counts as stalled, and how often in a row it is
    then tried to connect again."""

    timeout_seconds: float = 10.0
    reconnect: int = 0


def open_source(
    source: str,
    *,
    motion: bool,
    frame_rate: Fraction | None = None,
    stream: int | None = None,
    patience: Patience = Patience(),
    references: bool = False,
    gop_max: int | None = None,
    qp: bool = False,
) -> FrameSource:
    """Open SOURCE; `frame_rate` is for still images, 25 where it is None, and for video that stores no times, whose own
    account it replaces; `patience` is for live sources, and `stream` the number of the video stream, None for the best.

    `motion` asks for vectors, `qp` for quantisers, `references` for the pictures that vectors point to where that is
    not the previous one, and `gop_max` for a keyframe after so many frames at most.

    "-" is standard input; what holds "://" is an address; a number that is no file is a camera; a folder, or a name
    with *, ? or [ that is no file, is still images; anything else is a video file. Raises codec's or data's error where
    it cannot be read.
    """
    if is_live(source):
        target, format, options = _live_target(source, patience.timeout_seconds)

        def connect() -> CompressedVideo:
            return open_video(
                target,
                motion=motion,
                qp=qp,
                references=references,
                gop_max=gop_max,
                stream=stream,
                frame_rate=frame_rate,
                by_arrival=source != STANDARD_INPUT,
                format=format,
                options=options,
            )

        return LiveVideo(
            connect,
            reconnect=patience.reconnect,
            timeout_seconds=patience.timeout_seconds,
            waits="://" not in source,
        )
    if is_stills(source):
        return open_frames(source) if frame_rate is None else open_frames(source, frame_rate=frame_rate)
    return open_video(
        source,
        motion=motion,
        qp=qp,
        references=references,
        gop_max=gop_max,
        stream=stream,
        frame_rate=frame_rate,
    )


def _live_target(source: str, timeout_seconds: float) -> tuple[str, str | None, dict[str, str]]:
    """What to open, by which of FFmpeg's demuxers (None: it finds out), and with which of their options."""
    microseconds = str(round(timeout_seconds * 1e6))
    if source.startswith(("rtsp://", "rtsps://")):
        return source, None, {"timeout": microseconds, "rtsp_flags": "prefer_tcp"}
    if not is_camera(source):
        return source, None, {} if source == STANDARD_INPUT else {"rw_timeout": microseconds}
    device = f"/dev/video{source}"
    if _CAMERAS not in av.formats_available:
        raise SourceError(
            f"camera {source}: cameras are read by v4l2, which this system ({sys.platform}) lacks; pipe one in, as in "
            "ffmpeg ... -f mpegts - | segment-stream -"
        )
    if not Path(device).exists():
        raise SourceError(f"camera {source}: there is no {device}; plug it in, or give the number of another")
    return device, "v4l2", {}


def within(
    frames: Iterable[Frame],
    frame_rate: Fraction,
    start: float | None,
    end: float | None,
    limit: int | None,
    done: int = 0,
) -> Iterator[tuple[Frame, bool]]:
    """Frames up to `end` (seconds, exclusive) or `limit` frames, each with whether it lies at or after `start`.

    Seconds count from the first frame. Frames before `start` are handed out too, for what later ones need of them. The
    first `done` frames are no longer wanted.
    """
    begin = None if start is None else Fraction(start).limit_denominator(_TIME_RESOLUTION)
    stop = None if end is None else Fraction(end).limit_denominator(_TIME_RESOLUTION)
    taken = 0
    first: Fraction | None = None
    for frame in frames:
        if taken == limit:
            return
        time = frame.index / frame_rate if frame.pts is None else frame.pts * frame.time_base
        first = time if first is None else first
        if stop is not None and time - first >= stop:
            return
        wanted = begin is None or time - first >= begin
        taken += wanted
        yield frame, wanted and taken > done


def plan_reencode(source: FrameSource, *, needs_motion: bool, policy: str) -> str | None:
    """Why the stream must be re-encoded, or None if it need not be; StreamUsageError where it must but may not.

    It need not where references can be recovered, which is better than what is left of motion after a second encoding.
    """
    if policy == "always":
        return "asked for"
    if not needs_motion or source.motion_absence is None or source.motion_absence.is_recoverable:
        return None
    why = source.motion_absence.value
    if policy == "never":
        raise StreamUsageError(
            f"{source.name}: mode motion cannot use it: {why}; allow --reencode auto, or take --mode frame"
        )
    return why


def reencoded(frames: Iterable[Frame], gop: int, source: FrameSource) -> Iterator[Frame]:
    """`frames` of `source` with types and vectors of an encoding in memory: closed GOPs, no B-frames, one reference.

    Each connection of a live source begins with a keyframe.
    """
    settings = replace(LIVE_SETTINGS, gop=gop)
    for _, run in groupby(frames, lambda _: source.connections if isinstance(source, LiveVideo) else 0):
        yield from reencode(run, settings)

"""`find_start_points`: where in a file reading may begin, found from its packets alone."""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...bitstream import is_instantaneous_refresh, nal_length_size, recovery_frame_count, split_nal_units
from .opening import OpenSource
from .selection import choose_stream, is_avi_stream
from .timing import is_untimed


@dataclass(frozen=True)
class StartPoint:
    """A keyframe at which decoding may begin: its number in display order by the container's account, and its times.

    Times are in units of the stream's time base; `dts` is `pts` where the container stores none. Where it is not
    `is_closed`, frames that are shown before it are decoded after it.
    """

    index: int
    pts: int
    dts: int
    is_closed: bool


@dataclass(frozen=True, eq=False)
class StartPoints:
    """The keyframes of a file in display order, and the times `pts` (N,) int64 of all frames that are shown, rising.

    Where `obstacle` is not None, reading cannot begin in the middle, and it says why, in words that follow "it".
    """

    points: tuple[StartPoint, ...]
    pts: NDArray[np.int64]
    time_base: Fraction
    obstacle: str | None = None

    def index_of(self, pts: int) -> int:
        """How many frames are shown before the time `pts`."""
        return int(np.searchsorted(self.pts, pts))


def find_start_points(path: str | os.PathLike[str], stream: int | None = None) -> StartPoints:
    """Go through the packets of a video file, of the stream that `open_video` would read, without decoding any.

    Keyframes are those that `KeyframePolicy` takes from the stream: in H.264 IDR pictures and recovery points, else
    what the container marks. Raises SourceError and InvalidDataError as `open_video` does.
    """
    source = OpenSource(path, None, None)
    try:
        chosen = choose_stream(source.container, source.name, stream)
        return _Scan(source.container, chosen).result()
    finally:
        source.container.close()


class _Scan:
    """One pass over a stream's packets."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._is_h264 = stream.codec_context.codec.canonical_name == "h264"
        self._length_size = nal_length_size(stream.codec_context.extradata)
        self._pts = array("q")
        self._found: list[tuple[int, int]] = []
        self._open: set[int] = set()
        self._obstacle: str | None = None

    def result(self) -> StartPoints:
        if is_untimed(self._container) or is_avi_stream(self._stream):
            self._obstacle = "stores no times of display"
        else:
            self._read()
        pts = np.sort(np.frombuffer(self._pts, np.int64)) if self._pts else np.zeros(0, np.int64)
        obstacle = self._obstacle
        if obstacle is None and not self._found:
            obstacle = "has no keyframe at which decoding may begin"
        elif obstacle is None and (np.diff(pts) <= 0).any():
            obstacle = "has frames that share a time"
        elif obstacle is None and pts[0] != self._found[0][0]:
            obstacle = "begins before its first keyframe"
        points = tuple(
            StartPoint(int(np.searchsorted(pts, at)), at, dts, at not in self._open) for at, dts in sorted(self._found)
        )
        return StartPoints(points, pts, Fraction(self._stream.time_base or 1), obstacle)

    def _read(self) -> None:
        clock: int | None = None
        try:
            for packet in self._container.demux(self._stream):
                if not packet.size:
                    continue
                pts, dts = packet.pts, packet.dts
                if pts is None:
                    self._obstacle = "has packets without times"
                elif packet.is_corrupt:
                    self._obstacle = "is damaged"
                elif clock is not None and dts is not None and dts < clock:
                    self._obstacle = "has a clock that jumps back"
                if self._obstacle is not None or pts is None:
                    return
                clock = clock if dts is None else dts
                if packet.is_discard:
                    continue
                self._pts.append(pts)
                if packet.is_keyframe and self._may_begin(packet):
                    self._found.append((pts, pts if dts is None else dts))
                elif self._found and pts < self._found[-1][0]:
                    self._open.add(self._found[-1][0])
        except av.FFmpegError as error:
            self._obstacle = f"cannot be read to its end ({error.strerror})"

    def _may_begin(self, packet: av.Packet[VideoStream]) -> bool:
        if not self._is_h264:
            return True
        units = split_nal_units(bytes(packet), self._length_size)
        return is_instantaneous_refresh(units) or recovery_frame_count(units) == 0

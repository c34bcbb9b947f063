"""`Sound`: a source's sound, copied packet by packet beside the pictures that were kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from ...codec import file_url
from .containers import CONTAINERS


class Sound:
    """The best audio track of the video file `source`, for the video `target`.

    Packets are copied as they are, at their own times less the time of the first picture. Those that begin before it or
    after the last one's end are left out, which is exact to one packet (23 ms of AAC). `name` is the codec's, None
    where the source has no sound; `is_held` tells whether `target`'s kind of container can hold it.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self._input: InputContainer | None = None
        self.name: str | None = None
        self.is_held = False
        self._next: av.Packet[AudioStream] | None = None
        self._origin = Fraction(0)
        try:
            self._input = av.open(file_url(source))
            track = self._input.streams.best("audio")
        except (av.FFmpegError, OSError, ValueError):
            track = None
        if self._input is None or not isinstance(track, AudioStream) or track.codec_context is None:
            self.close()
            return
        self._track, self.name = track, track.codec_context.name
        self.is_held = _can_hold(CONTAINERS.get(target.suffix.lower()), track)
        self._packets: Iterator[av.Packet[AudioStream]] = self._input.demux(track)

    def attach(self, output: OutputContainer, origin: Fraction) -> None:
        """Add a track to `output`, before anything is written to it; `origin` is the first picture's time in seconds,
        which becomes 0."""
        self._copy = output.add_stream_from_template(self._track)
        self._output, self._origin = output, origin
        self._advance()

    def copy_until(self, end: Fraction) -> None:
        """Write the packets that begin before `end`, in seconds of the output."""
        while self._next is not None and self._begin(self._next) < end:
            packet, unit = self._next, self._next.time_base
            shift = round(self._origin / unit)
            packet.pts = (packet.pts or 0) - shift
            packet.dts = packet.pts
            packet.stream = self._copy
            self._output.mux_one(packet)
            self._advance()

    def close(self) -> None:
        """Let go of the source."""
        self._next = None
        if self._input is not None:
            self._input.close()
            self._input = None

    def _begin(self, packet: av.Packet[AudioStream]) -> Fraction:
        return (packet.pts or 0) * packet.time_base - self._origin

    def _advance(self) -> None:
        """The next packet with data and a time from the first picture on; None at the end, or where reading fails."""
        self._next = None
        try:
            for packet in self._packets:
                if packet.size and packet.pts is not None and self._begin(packet) >= 0:
                    self._next = packet
                    return
        except (av.FFmpegError, OSError):
            return


def _can_hold(format: str | None, track: AudioStream) -> bool:
    """Whether FFmpeg writes this kind of sound into the format, tried on a file in memory."""
    if format is None:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=format) as trial:
            trial.add_stream_from_template(track)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True

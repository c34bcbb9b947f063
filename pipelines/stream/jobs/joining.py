"""The outputs of a file's parts put together: pictures and packets are taken over as they are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from ....codec import file_url
from ....files import discard, part_of, publish_together
from ...errors import StreamError
from ...outputs import CONTAINERS, Sound
from ..request import StreamRequest
from .tasks import ACCOUNT, VIDEO

_LARGEST_DENOMINATOR = 2**31 - 1
_FINEST = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Joined:
    """A part that is done: what it says of itself, and where its outputs lie."""

    folder: Path
    account: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Joined:
        """The part in a folder."""
        return cls(folder, json.loads((folder / ACCOUNT).read_text()))

    @property
    def frames(self) -> int:
        """How many frames were labelled."""
        return int(self.account["frames"])


def join(
    request: StreamRequest,
    parts: Sequence[Joined],
    begins: Sequence[int],
    time_base: Fraction,
    sound: Sound | None,
    *,
    replaces: bool,
) -> None:
    """Write the outputs of a request from those of consecutive parts, whose first frames have the times `begins` in
    units of `time_base`, all at once at the end. The parts stay as they are.

    Raises TargetExistsError where something is there that is not to be replaced, StreamError where the overlay's parts
    do not fit together, and OSError and FFmpegError where a disk fails.
    """
    names = request_in(request, Path(VIDEO)).targets()
    made: list[tuple[Path, Path]] = []
    try:
        for kind, target in request.targets().items():
            if kind == "stats":
                continue
            new = part_of(target)
            made.append((new, target))
            sources = [part.folder / names[kind] for part in parts]
            if kind == "overlay":
                _join_videos(sources, begins, time_base, new, sound)
            elif kind in ("labels", "color"):
                _join_pictures(sources, new)
            elif kind == "rle":
                _join_lines(sources, new)
            else:
                shutil.copyfile(sources[0], new)
        publish_together(made, replace=replaces)
    finally:
        for new, _ in made:
            discard(new)


def request_in(request: StreamRequest, video: Path) -> StreamRequest:
    """The request with its outputs beside `video`."""
    return replace(request, output=video, stats_file=None)


def _join_pictures(folders: Sequence[Path], target: Path) -> None:
    target.mkdir()
    pictures = (picture for folder in folders for picture in sorted(folder.iterdir()))
    for number, picture in enumerate(pictures):
        _take_over(picture, target / f"{number:06d}.png")


def _take_over(file: Path, target: Path) -> None:
    """The same file under another name, too, where the file system allows that; else a copy."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _join_lines(files: Sequence[Path], target: Path) -> None:
    """Run lengths, counted on: a line begins with its number."""
    number = 0
    with target.open("w", encoding="utf-8") as joined:
        for file in files:
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    joined.write(f'{{"frame":{number},{line.partition(",")[2]}')
                    number += 1


def _join_videos(
    files: Sequence[Path], begins: Sequence[int], time_base: Fraction, target: Path, sound: Sound | None
) -> None:
    """Packets of all files one after the other, at their own times; each file begins with a keyframe."""
    unit = time_base if time_base.denominator < _LARGEST_DENOMINATOR else _FINEST
    format_name = CONTAINERS[target.suffix.lower()]
    with av.open(file_url(target), "w", format=format_name) as output:
        writer: _Writer | None = None
        for file, begin in zip(files, begins, strict=True):
            with av.open(file_url(file)) as source:
                track = source.streams.video[0]
                if writer is None:
                    writer = _Writer(output, track, unit, sound, begins[0] * time_base)
                writer.check(track)
                offset = round((begin - begins[0]) * time_base / unit)
                for packet in source.demux(track):
                    if packet.size:
                        at = round((packet.pts or 0) * packet.time_base / unit)
                        writer.write(packet, offset + at)
        if writer is not None:
            writer.finish()


class _Writer:
    """A video track whose packets come from several files, and the sound beside it."""

    def __init__(
        self, output: OutputContainer, track: VideoStream, unit: Fraction, sound: Sound | None, begin: Fraction
    ) -> None:
        self._output, self._unit, self._sound = output, unit, sound
        self._stream = output.add_stream_from_template(track)
        self._stream.time_base = unit
        self._header = track.codec_context.extradata
        self._held: av.Packet[VideoStream] | None = None
        self._step = max(1, round(1 / (track.average_rate or 25) / unit))
        self._last = -1
        if sound is not None:
            sound.attach(output, begin)

    def check(self, track: VideoStream) -> None:
        """StreamError where a track cannot follow the others."""
        if track.codec_context.extradata != self._header:
            raise StreamError(
                "the overlay's parts do not fit together, as where pictures change their size or the workers' x264 "
                "differs; give --jobs 1, or leave out overlay in --save"
            )

    def write(self, packet: av.Packet[VideoStream], at: int) -> None:
        """The next packet, one late, for its length is known only then."""
        at = max(at, self._last + 1)
        if self._held is not None:
            self._mux(at - self._last)
        packet.stream, packet.time_base = self._stream, self._unit
        packet.pts = packet.dts = at
        self._held, self._last = packet, at

    def finish(self) -> None:
        """The last packet is as long as the one before it."""
        if self._held is not None:
            self._mux(self._step)
        if self._sound is not None:
            self._sound.copy_until((self._last + self._step) * self._unit)

    def _mux(self, step: int) -> None:
        assert self._held is not None
        self._step = self._held.duration = step
        self._output.mux_one(self._held)
        if self._sound is not None:
            self._sound.copy_until(self._last * self._unit)

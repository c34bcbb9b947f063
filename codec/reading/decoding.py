"""Packets of one stream through its decoder: what every reader of pictures goes through."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from itertools import chain

import av
from av.video.stream import VideoStream

from ..errors import InvalidDataError
from .container import OpenSource, StartPoint

_INVALID_DATA = 1094995529  # AVERROR_INVALIDDATA
_ENDS = (errno.EIO, _INVALID_DATA)  # what FFmpeg's multipart JPEG has instead of an end


def decode_stream(
    source: OpenSource,
    stream: VideoStream,
    *,
    see: Callable[[av.Packet[VideoStream], float, float], object],
    lose: Callable[[av.Packet[VideoStream] | None], None],
    packets: Iterator[av.Packet[VideoStream]] | None = None,
) -> Iterator[av.VideoFrame]:
    """The pictures of `stream` in display order, as the decoder gives them.

    `see` is told of every packet with content, when it came (seconds of a monotonic clock) and how long it was waited
    for, and gives what is to be the `opaque` of its picture (None: nothing). Empty packets (AVI's null frames) say that
    nothing changes and are passed over. `lose` is told of packets that the decoder refuses (None when it is drained).
    `packets` are those to decode, None for all.
    Raises what `source.failure` makes of a source that breaks off, after the pictures before that.
    """
    context = stream.codec_context
    broken: Exception | None = None
    is_over = False
    packets = source.container.demux(stream) if packets is None else packets
    while not is_over:
        packet: av.Packet[VideoStream] | None = None  # None drains the decoder
        begin = time.monotonic()
        try:
            packet = next(packets)
        except (StopIteration, IndexError):  # PyAV's demux stumbles at its end where streams appeared on the way
            is_over = True
        except av.FFmpegError as error:
            is_over = True
            if source.container.format.name != "mpjpeg" or error.errno not in _ENDS:
                broken = source.failure(error)
        else:
            source.raise_reader_failure()
            if not packet.size:  # PyAV's mark of the end as well; to the decoder it would mean just that
                continue
            source.has_begun = True
            now = time.monotonic()
            tag = see(packet, now, now - begin)
            if tag is not None:
                packet.opaque = tag
        try:
            yield from context.decode(packet)
        except av.error.EOFError:
            is_over = True
        except av.FFmpegError:
            lose(packet)
    if broken is not None:
        raise broken


def packets_from(source: OpenSource, stream: VideoStream, point: StartPoint) -> Iterator[av.Packet[VideoStream]]:
    """The packets of `stream` from the keyframe `point` on; InvalidDataError where there is no such keyframe.

    The container is asked to go there; where it ends up behind it, as MPEG-TS may, it is read from its beginning.
    """
    for target in (point.dts, None):
        if target is None:
            source.container.seek(0)
        else:
            source.container.seek(target, stream=stream)
        packets = source.container.demux(stream)
        for packet in packets:
            if packet.size and packet.is_keyframe and packet.pts == point.pts:
                return chain([packet], packets)
            if packet.dts is not None and packet.dts > point.dts:
                break
    raise InvalidDataError(f"{source.name}: has no keyframe at {point.pts}; it has changed since it was looked through")

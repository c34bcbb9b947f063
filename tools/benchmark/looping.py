"""Long videos made of short ones, packet by packet."""

from __future__ import annotations

from pathlib import Path

import av

from ...codec import SourceError, file_url


def loop(video: Path, target: Path, seconds: float) -> int:
    """Repeat `video` in `target` until it lasts so many seconds, without encoding anything; the number of frames.

    Only for streams without reordering, whose frames are in the file in the order in which they are shown. SourceError
    where they are not, or where the video is empty.
    """
    with av.open(file_url(video)) as source:
        track = source.streams.video[0]
        packets = [packet for packet in source.demux(track) if packet.size]
        if not packets or any(packet.pts is None or packet.pts != packet.dts for packet in packets):
            raise SourceError(f"{video}: has B-frames, or no frames; take a video that `preprocess encode` made")
        first, unit = packets[0].pts or 0, packets[0].time_base
        step = packets[0].duration or round(1 / (track.average_rate or 25) / unit)
        length = (packets[-1].pts or 0) - first + (packets[-1].duration or step)
        data = [(bytes(packet), (packet.pts or 0) - first, packet.duration, packet.is_keyframe) for packet in packets]
        count = 0
        with av.open(file_url(target), "w") as output:
            stream = output.add_stream_from_template(track)
            stream.time_base = unit
            begin = 0
            while begin * unit < seconds:
                for content, at, duration, is_keyframe in data:
                    packet = av.Packet(content)
                    packet.stream, packet.time_base = stream, unit
                    packet.pts = packet.dts = begin + at
                    packet.duration, packet.is_keyframe = duration, is_keyframe
                    output.mux_one(packet)
                count += len(data)
                begin += length
    return count

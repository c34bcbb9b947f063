"""Rows without a network: decoding, reading, transcoding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

import av

from ....codec import file_url, open_video, open_with_mvextractor
from .rows import Row, timed

DECODING, TRANSCODING, READING, METADATA = "decoding", "transcoding", "reading with vectors", "metadata"


def reading_rows(video: Path, folder: Path, most: int) -> Iterator[Row]:
    """The rows for a video, of at most so many frames; `folder` is for what is written."""

    def row(name: str, work: Callable[[int], int], bound: str) -> Row:
        return Row(name, lambda frames: timed(lambda: work(frames)), min(most, 12), most, bound)

    one = "decoding, one thread"
    yield row(DECODING, partial(_decode, video, "SLICE"), one)
    yield row(f"{DECODING}, frame threads", partial(_decode, video, "AUTO"), "decoding")
    yield row(READING, partial(_read, video, pixels=True), one)
    yield row(METADATA, partial(_read, video, pixels=False), "entropy decoding and prediction, one thread")
    yield row("reading by mvextractor", partial(_read_by_mvextractor, video), "mvextractor's decoder, and ours beside")
    yield row(TRANSCODING, partial(_transcode, video, folder / "plain.mp4"), "decoding and x264")


def _decode(video: Path, threads: str, frames: int) -> int:
    with av.open(file_url(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = threads
        stream.codec_context.thread_count = 0
        return sum(1 for _ in islice(container.decode(stream), frames))


def _read(video: Path, frames: int, *, pixels: bool) -> int:
    with open_video(video, pixels=pixels) as opened:
        return sum(1 for _ in islice(opened, frames))


def _read_by_mvextractor(video: Path, frames: int) -> int:
    with open_with_mvextractor(os.fspath(video)) as opened:
        return sum(1 for _ in islice(opened, frames))


def _transcode(video: Path, target: Path, frames: int) -> int:
    """What a user of PyAV would write: decode, encode by x264's fastest preset, write an MP4."""
    with av.open(file_url(video)) as reader, av.open(file_url(target), "w") as writer:
        stream = reader.streams.video[0]
        rate = Fraction(stream.average_rate or 25)
        encoder = writer.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "22", "bf": "0"})
        encoder.height, encoder.width, encoder.pix_fmt = stream.height, stream.width, "yuv420p"
        encoder.codec_context.time_base = Fraction(stream.time_base or Fraction(1, 90000))
        encoder.codec_context.thread_count = 0
        count = 0
        for picture in islice(reader.decode(stream), frames):
            picture.pict_type = 0
            writer.mux(encoder.encode(picture))
            count += 1
        writer.mux(encoder.encode(None))
    return count

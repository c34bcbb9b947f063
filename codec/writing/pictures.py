"""Pictures for the encoder: upright yuv420p of even size with exact timestamps, from a video file or RGB images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, count

import av
import numpy as np
from av.filter import Graph
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..bitstream import SliceReader, nal_length_size, split_nal_units
from ..errors import EncodeError, InvalidDataError
from ..reading import (
    ColourTags,
    DamageWatcher,
    OpenSource,
    Orientation,
    TimeJump,
    TimeLine,
    choose_stream,
    decode_stream,
    describe_choice,
    matrix_of,
    raw_side_data,
    shown_frames,
)

_FULL = 2  # AVCOL_RANGE_JPEG
_LATE_SECONDS = 60.0  # a track may begin so much later than the others; a recording of a live stream, anywhere
_SCALER = "bicubic+accurate_rnd+full_chroma_int"
_BT709, _SRGB_TRANSFER, _UNSPECIFIED = 1, 13, 2  # ITU-T H.273
_MATRIX_CODES = {1: 1, 5: 6, 4: 4, 7: 7, 9: 9}  # swscale's matrices -> H.273


@dataclass
class Counts:
    """What was wrong with a source, counted while it is read.

    Timestamps that did not rise and were moved, packets that the decoder refused, frames that are damaged,
    where its clock jumped (by frames of the source), and the time at which it began.
    """

    repaired_timestamps: int = 0
    decode_errors: int = 0
    corrupt: int = 0
    time_jumps: list[TimeJump] = field(default_factory=list)
    start_seconds: float = 0.0


@dataclass
class Pictures:
    """A stream of yuv420p `av.VideoFrame`s that an encoder takes as they are, one pass.

    `size_hw` is the even, upright size of the pictures and `source_size_hw` the upright size before padding: an odd
    side grows by one replicated row or column at its far end. `filters` is what was done, as an ffmpeg filter chain.
    `pts` of the pictures count units of `time_base` and rise strictly. `counts` grows while they are read. Where ffmpeg
    would read a video otherwise, `reading` are its options before `-i`, and `mapping` those after it. `stream_choice`
    says in words which of a video's streams they are from.
    """

    source_size_hw: tuple[int, int]
    frame_rate: Fraction
    time_base: Fraction
    colour: ColourTags
    sample_aspect: Fraction | None
    filters: str
    frame_count: int | None
    frames: Iterator[av.VideoFrame] = field(repr=False)
    counts: Counts = field(repr=False)
    reading: str = ""
    mapping: str = ""
    stream_choice: str = ""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the pictures, both even."""
        height, width = self.source_size_hw
        return height + height % 2, width + width % 2

    @property
    def padding(self) -> tuple[int, int]:
        """Rows added at the bottom and columns added at the right."""
        return self.source_size_hw[0] % 2, self.source_size_hw[1] % 2

    def __iter__(self) -> Iterator[av.VideoFrame]:
        return self.frames


def pictures_of_video(
    path: str | os.PathLike[str], frame_rate: Fraction | None = None, *, stream: int | None = None
) -> Pictures:
    """The pictures of a video file, resampled to `frame_rate` (frames a second) if one is given.

    Of a source that stores no times, as raw streams, `frame_rate` is the rate itself, and every picture is kept. Times
    go on where the source's clock jumps, and begin at 0 where it began anywhere (MPEG-TS, live streams). `stream` is
    the number of the video stream, None for the best.
    Planes of yuv420p sources pass untouched. Raises SourceError or InvalidDataError where the file cannot be read.
    """
    source, video = _open(path, stream)
    # Never frame threads: what they make of damage depends on who is first, and the same source is to give the same
    # bytes; they say of which packet the decoder complains only roughly; and closing them midway could wait for ever
    # (see reading.video). Encoding takes many times as long as decoding anyway.
    video.thread_type = "SLICE"
    times = TimeLine(source.container, video, frame_rate)
    counts = Counts(time_jumps=times.jumps)
    decoded = _decode(source, video, times, counts)
    first = next(decoded, None)
    if first is None:
        raise InvalidDataError(f"{source.name}: no frame of it can be decoded; check that the file is whole")
    counts.start_seconds = float(first.pts * times.time_base) if first.pts else 0.0
    orientation = Orientation.from_display_matrix(raw_side_data(first, "DISPLAYMATRIX"))
    aspect = video.sample_aspect_ratio
    if aspect and orientation.transpose:
        aspect = 1 / Fraction(aspect)
    frames: Iterator[av.VideoFrame] = chain([first], decoded)
    if times.starts_anywhere or counts.start_seconds >= _LATE_SECONDS:
        frames = _from_zero(frames)
    new_rate = None if times.is_untimed else frame_rate
    total = _count(video, times.rate, new_rate)
    made = _prepare(frames, source.name, orientation, times.rate, new_rate, times.time_base, aspect, total, counts)
    made.reading = f"-framerate {times.rate}" if times.is_untimed else ""
    made.mapping = f"-map 0:{video.index}" if len(source.container.streams.video) > 1 else ""
    made.stream_choice = describe_choice(source.container, video)
    return made


def declared_frames(
    path: str | os.PathLike[str], frame_rate: Fraction | None = None, *, stream: int | None = None
) -> int | None:
    """The number of pictures that `pictures_of_video` should give, by the container's account, or None."""
    source, video = _open(path, stream)
    with source.container:
        return _count(video, TimeLine(source.container, video, frame_rate).rate, frame_rate)


def _open(path: str | os.PathLike[str], stream: int | None) -> tuple[OpenSource, VideoStream]:
    source = OpenSource(path, None, None)
    try:
        return source, choose_stream(source.container, source.name, stream)
    except InvalidDataError:
        source.container.close()
        raise


def _count(stream: VideoStream, rate: Fraction, new_rate: Fraction | None) -> int | None:
    shown = shown_frames(stream)
    return shown if shown is None or new_rate is None else round(shown * new_rate / rate)


def pictures_of_images(
    images: Iterable[NDArray[np.uint8]], name: str, frame_rate: Fraction, total: int | None = None
) -> Pictures:
    """The pictures of RGB images, (H, W, 3) uint8 of one size, at `frame_rate` frames a second.

    Written in limited range with BT.709 where players expect it (from 1280 wide or above 576 high), else BT.601.
    """
    time_base = 1 / frame_rate

    def frames() -> Iterator[av.VideoFrame]:
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = index, time_base
            yield frame

    return _prepare(frames(), name, Orientation(), frame_rate, None, time_base, None, total, Counts())


def _decode(source: OpenSource, stream: VideoStream, times: TimeLine, counts: Counts) -> Iterator[av.VideoFrame]:
    """The pictures with times that rise strictly."""
    packets = count()
    damage = DamageWatcher()
    is_h264 = stream.codec_context.name == "h264"
    slices = SliceReader(stream.codec_context.extradata)
    length_size = nal_length_size(stream.codec_context.extradata)

    def see(packet: av.Packet[VideoStream], arrival: float, waited: float) -> None:
        index = next(packets)
        times.see(index, packet, arrival, waited)
        if is_h264:
            units = split_nal_units(bytes(packet), length_size)
            damage.see_h264(index, units, slices.read(units))
        else:
            damage.see(index, packet.is_keyframe)
        packet.pts = index  # goes through the decoder with the picture

    def lose(packet: av.Packet[VideoStream] | None) -> None:
        counts.decode_errors += 1
        if packet is not None and packet.pts is not None:
            damage.damage(packet.pts)

    with source.container:
        for picture in decode_stream(source, stream, see=see, lose=lose):
            index = -1 if picture.pts is None else picture.pts
            picture.pts = None
            times.place(picture, index)
            counts.corrupt += picture.is_corrupt or damage.is_corrupt(index)
            counts.repaired_timestamps = times.repaired
            yield picture


def _from_zero(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    first: int | None = None
    for frame in frames:
        assert frame.pts is not None
        first = frame.pts if first is None else first
        frame.pts -= first
        yield frame


def _prepare(
    frames: Iterator[av.VideoFrame],
    name: str,
    orientation: Orientation,
    rate: Fraction,
    new_rate: Fraction | None,
    time_base: Fraction,
    aspect: Fraction | None,
    total: int | None,
    counts: Counts,
) -> Pictures:
    first = next(frames)
    source_hw = (first.height, first.width)
    colour = _tags(first)
    size_hw = orientation.size(source_hw)
    filters = _filters(first, orientation, new_rate, colour)
    frames = _one_size(chain([first], frames), name)
    if filters:
        frames = _filtered(frames, _description(first, time_base), filters)
    if new_rate is not None:
        rate, time_base = new_rate, 1 / new_rate
    return Pictures(size_hw, rate, time_base, colour, aspect, ",".join(filters), total, frames, counts)


def _tags(frame: av.VideoFrame) -> ColourTags:
    """How the frame's YUV is read; the matrix is always stated, as players guess it from the size otherwise."""
    size_hw = (frame.height, frame.width)
    if frame.format.is_rgb:
        return ColourTags(_MATRIX_CODES[int(matrix_of(_UNSPECIFIED, size_hw))], _BT709, _SRGB_TRANSFER, False)
    matrix = _MATRIX_CODES[int(matrix_of(frame.colorspace, size_hw))]
    full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    return ColourTags(matrix, frame.color_primaries, frame.color_trc, full)


def _filters(
    frame: av.VideoFrame, orientation: Orientation, new_rate: Fraction | None, colour: ColourTags
) -> list[str]:
    filters = [] if new_rate is None else [f"fps={new_rate}"]
    filters += ["transpose=cclock_flip"] if orientation.transpose else []
    filters += ["hflip"] if orientation.mirror_x else []
    filters += ["vflip"] if orientation.mirror_y else []
    height, width = orientation.size((frame.height, frame.width))
    is_odd = bool(height % 2 or width % 2)
    if is_odd or frame.format.name not in ("yuv420p", "yuvj420p"):
        filters += [_conversion(frame, colour), f"format={'yuv444p' if is_odd else 'yuv420p'}"]
    if is_odd:  # in 4:4:4, as `pad` cuts odd sizes off where chroma is subsampled
        filters += [
            f"pad={width + width % 2}:{height + height % 2}",
            f"fillborders=right={width % 2}:bottom={height % 2}:mode=smear",
            f"scale=flags={_SCALER}",
            "format=yuv420p",
        ]
    return filters


def _conversion(frame: av.VideoFrame, colour: ColourTags) -> str:
    matrix = {1: "bt709", 4: "fcc", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}[colour.matrix]
    source = "" if frame.format.is_rgb else f"in_color_matrix={matrix}:"
    target_range = "full" if colour.full_range else "limited"
    return f"scale={source}out_color_matrix={matrix}:out_range={target_range}:flags={_SCALER}"


def _one_size(frames: Iterable[av.VideoFrame], name: str) -> Iterator[av.VideoFrame]:
    size = None
    for index, frame in enumerate(frames):
        shape = (frame.width, frame.height, frame.format.name)
        size = size or shape
        if shape != size:
            raise EncodeError(
                f"{name}: frame {index} is {shape[0]}x{shape[1]} {shape[2]} where the first is "
                f"{size[0]}x{size[1]} {size[2]}; cut the video there and encode the parts"
            )
        yield frame


def _description(frame: av.VideoFrame, time_base: Fraction) -> str:
    text = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={time_base}:pixel_aspect=1/1"
    return text + (":colorspace=gbr:range=pc" if frame.format.is_rgb else _yuv_description(frame))


def _yuv_description(frame: av.VideoFrame) -> str:
    return f":colorspace={frame.colorspace}:range={frame.color_range}"


def _filtered(frames: Iterable[av.VideoFrame], source: str, filters: list[str]) -> Iterator[av.VideoFrame]:
    graph = Graph()
    nodes = [graph.add("buffer", source)]
    for text in filters:
        name, _, arguments = text.partition("=")
        nodes.append(graph.add(name, arguments))
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes)
    graph.configure()
    for frame in chain(frames, [None]):
        nodes[0].push(frame)
        while True:
            try:
                picture = nodes[-1].pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            assert isinstance(picture, av.VideoFrame)
            yield picture

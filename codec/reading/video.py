"""`open_video`: frames with their bitstream metadata, in display order, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from itertools import islice
from types import TracebackType
from typing import Literal

import av
import numpy as np
from av.codec.context import Flags
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..bitstream import CodedPicture, DecodedPictures, SliceReader, nal_length_size, split_nal_units
from ..errors import InvalidDataError
from ..frame import Frame, MotionAbsence, MotionVectors, quick_frame
from ..motion import with_references
from .colour import ColourTags, LazyPixels, RgbConverter
from .container import (
    OpenSource,
    Orientation,
    Source,
    StartPoint,
    TimeJump,
    TimeLine,
    choose_stream,
    describe_choice,
    shown_frames,
)
from .damage import DamageWatcher
from .decoding import decode_stream, packets_from
from .keyframes import KeyframePolicy
from .motion_absence import StructureWatcher
from .settling import Settling
from .sidedata import qp_map, raw_side_data, vectors_of

_JOIN_PACKETS = 2  # from the packet that is called corrupt where MPEG-TS files are joined, to the first of the second
_TYPES = {1: "I", 2: "P", 3: "B", 4: "P", 5: "I", 6: "P", 7: "B"}  # S, SI, SP and BI count as what they resemble


def open_video(
    source: Source,
    *,
    motion: bool = True,
    qp: bool = False,
    pixels: bool = True,
    references: bool = False,
    gop_max: int | None = None,
    threads: int | Literal["auto"] = "auto",
    stream: int | None = None,
    frame_rate: Fraction | None = None,
    by_arrival: bool = False,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
) -> CompressedVideo:
    """Open a video and decode its first frame.

    `source` is a path, an address that FFmpeg understands (`http://`, `rtsp://`), a file-like object with `read` (and
    `seek`, where it can), or "-" for standard input. `motion` and `qp` ask for vectors and quantisers; `pixels=False`
    makes a faster pass over the metadata only (loop filter and inverse transform are skipped, so there are no images).
    `references` finds out, in streams with B-frames or several references, which picture each vector points to
    (`Frame.references`); frames then come up to 16 frames later, and `motion` and `pixels` are needed for it.
    `gop_max` makes a frame a keyframe after so many frames without one; where it is None, that happens only in streams
    that have no keyframes, every REFRESH_GOP frames (see `KeyframePolicy`).
    `threads` is "auto" (every core) or a number, of threads for slices. `stream` is the number of the video stream, as
    FFmpeg counts streams, where it is not to be the best one (see `choose_stream`). `frame_rate` is for sources that
    store no times, as raw streams: frames a second, where the headers' own account is not to be used; where that is
    missing too, `by_arrival` makes times of the clock when such a source's pictures arrive. `format` names FFmpeg's
    demuxer where it cannot be guessed (`v4l2`), and `options` are the demuxer's.

    Raises SourceError where the source cannot be opened, InvalidDataError where it holds no video that decodes.
    """
    if threads != "auto" and threads < 1:
        raise ValueError(f"threads={threads} is impossible; give 'auto' or a number from 1")
    if references and not (motion and pixels):
        raise ValueError("references=True compares pixels along vectors; leave motion and pixels on")
    if gop_max is not None and gop_max < 1:
        raise ValueError(f"gop_max={gop_max} is impossible; give None or a number from 1")
    if frame_rate is not None and frame_rate <= 0:
        raise ValueError(f"frame_rate={frame_rate} is impossible; give a positive number of frames a second")
    return CompressedVideo(
        source,
        motion=motion,
        qp=qp,
        pixels=pixels,
        references=references,
        gop_max=gop_max,
        threads=threads,
        stream=stream,
        frame_rate=frame_rate,
        by_arrival=by_arrival,
        format=format,
        options=options,
    )


class CompressedVideo(Iterator[Frame]):
    """An open video: an iterator over its frames in display order (one pass, like a file), and a context manager.

    Images, vectors and quantisers are all in the orientation in which the video is displayed: the container's display
    matrix is applied to each of them, and `size_hw` is the displayed size.
    """

    def __init__(
        self,
        source: Source,
        *,
        motion: bool,
        qp: bool,
        pixels: bool,
        references: bool,
        gop_max: int | None,
        threads: int | Literal["auto"],
        stream: int | None,
        frame_rate: Fraction | None,
        by_arrival: bool,
        format: str | None,
        options: Mapping[str, str] | None,
    ) -> None:
        self._source = OpenSource(source, format, options)
        self.name = self._source.name
        self._motion, self._qp, self._pixels = motion, qp, pixels
        self._index = 0
        self._gop_max, self._rate = gop_max, frame_rate
        self._keyframes = KeyframePolicy(gop_max)
        self._start: StartPoint | None = None
        self._damage, self._settling = DamageWatcher(), Settling[av.VideoFrame]()
        self._doubts: list[int] = []
        self._orientation = Orientation()
        self._converter = RgbConverter()
        self._decode_errors = 0
        self._is_closed = False
        try:
            self._stream = self._configure(threads, stream)
            opened_at = self._source.opened_at if by_arrival else None
            self._times = TimeLine(self._source.container, self._stream, frame_rate, opened_at)
            self._structure = StructureWatcher(self._stream.codec_context)
            self._packets = 0
            self._slices = SliceReader(self._stream.codec_context.extradata)
            self._length_size = nal_length_size(self._stream.codec_context.extradata)
            self._is_h264 = self.codec_name == "h264"
            self._buffer = DecodedPictures() if references and self._is_h264 else None
            self._pictures = self._settled(self._times.watch(self._source.container.demux(self._stream)))
            self._ahead = deque(islice(self._pictures, 1 if self._structure.announces_b else 2))
            if not self._ahead:
                raise InvalidDataError(
                    f"{self.name}: not one frame of its {self.codec_name} stream can be decoded; check that it is whole"
                )
            for picture in self._ahead:
                self._structure.see_picture(picture)
            self._orientation = Orientation.from_display_matrix(raw_side_data(self._ahead[0], "DISPLAYMATRIX"))
            self._colour = ColourTags.of(self._ahead[0])
            self._size_hw = self._orientation.size((self._ahead[0].height, self._ahead[0].width))
            self._references = references
            self._frames = self._resolved()
        except BaseException:
            self._release()
            raise

    def _configure(self, threads: int | Literal["auto"], index: int | None) -> VideoStream:
        stream = choose_stream(self._source.container, self.name, index)
        context = stream.codec_context
        options = dict(context.options)
        if self._motion:
            options["flags2"] = "+export_mvs"
        if self._qp:
            options["export_side_data"] = "venc_params"
        if not self._pixels:
            options |= {"skip_loop_filter": "all", "skip_idct": "all"}
        context.options = options
        # Never frame threads: FFmpeg then exports a reordered picture's vectors and quantisers while another thread may
        # still be decoding it; and such threads free packets' tags, for which they need Python's lock, while PyAV holds
        # it to flush or free the decoder, so that closing a damaged stream midway could wait for ever.
        context.thread_type = "SLICE"
        context.thread_count = 0 if threads == "auto" else threads
        context.copy_opaque = True
        context.flags |= Flags.unaligned  # or FFmpeg would crop the left only where that keeps memory aligned
        return stream

    def __enter__(self) -> CompressedVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source; reading on raises ValueError."""
        self._is_closed = True
        self._pictures.close()
        self._ahead.clear()
        self._release()

    def __del__(self) -> None:
        if hasattr(self, "_source"):
            self._release()

    def _release(self) -> None:
        self._source.container.close()

    def __repr__(self) -> str:
        h, w = self.size_hw
        return f"CompressedVideo({self.name!r}, {self.codec_name}, {w}x{h}, {float(self.frame_rate):.6g} fps)"

    @property
    def codec_name(self) -> str:
        """FFmpeg's name of the codec: 'h264', 'hevc', 'mpeg4'."""
        return self._stream.codec_context.codec.canonical_name

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the first frame as displayed; a later frame of another size has its own."""
        return self._size_hw

    @property
    def sample_aspect(self) -> Fraction | None:
        """Width of a pixel by its height as displayed, in lowest terms; None where the source says nothing."""
        aspect = Fraction(self._stream.sample_aspect_ratio or 0)
        if aspect <= 0:
            return None
        return 1 / aspect if self._orientation.transpose else aspect

    @property
    def colour(self) -> ColourTags:
        """How the first picture's YUV is to be read, as it says itself."""
        return self._colour

    @property
    def frame_rate(self) -> Fraction:
        """Average frames per second; 25 where the source does not tell."""
        return self._times.rate

    @property
    def time_base(self) -> Fraction:
        """The unit in seconds of every frame's `pts`."""
        return self._times.time_base

    @cached_property
    def frame_count(self) -> int | None:
        """Number of frames shown by the container's account, None where it gives none (streams, some formats)."""
        return shown_frames(self._stream)

    @property
    def duration_seconds(self) -> float | None:
        """Length in seconds by the container's account, or None."""
        if self._stream.duration is not None:
            return float(self._stream.duration * (self._stream.time_base or self.time_base))
        return None if self._source.container.duration is None else self._source.container.duration / av.time_base

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn from coded to displayed pictures, already applied to everything read: 0, 90, 180 or 270."""
        return self._orientation.rotation_degrees

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the decoder's pixel format, for example 'yuv420p'."""
        return self._stream.codec_context.pix_fmt or "unknown"

    @property
    def has_intra_refresh(self) -> bool:
        """Whether an H.264 stream, as far as it was read, is refreshed bit by bit instead of by keyframes."""
        return self._damage.has_intra_refresh

    @property
    def has_own_times(self) -> bool:
        """Whether the source stores times; raw streams and multipart JPEG do not, and follow at `frame_rate`."""
        return not self._times.is_untimed

    @property
    def stated_rate(self) -> Fraction | None:
        """Frames a second by the headers of a source that stores no times; None where they say nothing sensible."""
        return self._times.stated_rate

    @property
    def stream_choice(self) -> str:
        """Which stream is read, and which are not, in a few words."""
        return describe_choice(self._source.container, self._stream)

    @property
    def time_jumps(self) -> list[TimeJump]:
        """Where the source's clock jumped, as far as it was read; the frames' times go on without these jumps."""
        return self._times.jumps

    @property
    def decode_errors(self) -> int:
        """Packets so far that the decoder refused; their frames are missing, the rest goes on."""
        return self._decode_errors

    @property
    def motion_absence(self) -> MotionAbsence | None:
        """Why this stream's vectors cannot be read as motion to the previous frame; None where they can.

        Judged by the stream's headers when it is opened, and again as frames are read (a B-frame that no header
        announced, for example). NOT_READ only if nothing but `motion=False` stands in the way.
        """
        return self._structure.absence or (None if self._motion else MotionAbsence.NOT_READ)

    @property
    def reference_frames(self) -> int | None:
        """The most reference frames that an H.264 stream's headers allow, as judged so far; None for other codecs."""
        return self._structure.references

    def __iter__(self) -> CompressedVideo:
        return self

    def __next__(self) -> Frame:
        if self._is_closed:
            raise ValueError(f"{self.name}: is closed; read its frames inside the `with` block")
        return next(self._frames)

    def start_at(self, point: StartPoint) -> None:
        """Go on at a keyframe of the file, before any frame was read: its frame is the next, with its number.

        Everything that was found out when the file was opened stays as it is. ValueError where frames were read,
        InvalidDataError where the file has no such keyframe.
        """
        if self._index:
            raise ValueError(f"{self.name}: frames were read already; open it again to start elsewhere")
        self._pictures.close()
        self._ahead.clear()
        packets = packets_from(self._source, self._stream, point)
        self._stream.codec_context.flush_buffers()
        self._start, self._index, self._packets = point, point.index, 0
        self._damage, self._settling, self._doubts = DamageWatcher(), Settling[av.VideoFrame](), []
        self._keyframes = KeyframePolicy(self._gop_max)
        self._times = TimeLine(self._source.container, self._stream, self._rate)
        self._buffer = None if self._buffer is None else DecodedPictures()
        self._pictures = self._settled(packets)
        self._frames = self._resolved()

    def _resolved(self) -> Iterator[Frame]:
        return with_references(self._read(), self._is_ambiguous) if self._references else self._read()

    def _read(self) -> Iterator[Frame]:
        while self._ahead:
            yield self._frame(self._ahead.popleft())
        for picture in self._pictures:
            if self._start is None or (picture.pts or 0) >= self._start.pts:  # what leads it lacks its references
                yield self._frame(picture)

    def _is_ambiguous(self) -> bool:
        absence = self._structure.absence
        return absence is not None and absence.is_recoverable

    def _tag(self, packet: av.Packet[VideoStream], arrival: float, waited: float) -> _Tag:
        index, is_keyframe, coded = self._packets, packet.is_keyframe, None
        self._packets += 1
        self._times.see(index, packet, arrival, waited)
        is_reference = True
        if self._is_h264:
            units = split_nal_units(bytes(packet), self._length_size)
            self._structure.see_h264(units, is_keyframe)
            headers = self._slices.read(units)
            is_reference = not headers or headers[0].is_reference
            self._damage.see_h264(index, units, headers)
            if self._buffer is not None:
                coded = self._buffer.decode(index, headers)
            if headers and not headers[0].is_field and not packet.is_discard:  # two fields make one picture
                self._settling.expect(index)
        else:
            self._damage.see(index, is_keyframe)
        if self._doubts:
            self._judge_doubts(index, is_keyframe)
        if packet.is_corrupt and is_reference:
            self._doubts.append(index)
        return _Tag(packet.size, index, is_reference, self._structure.crop_xy, coded)

    def _judge_doubts(self, index: int | None, is_keyframe: bool = False) -> None:
        """Whether packets that the demuxer calls corrupt are, now that packet `index` is here, or the end (None).

        MPEG-TS counts its packets, and where recordings or segments are joined the count breaks, though nothing is
        missing: of the packet before the last, or of the last, that is then said, and a keyframe follows. Where
        something is missing there, the decoder says so.
        """
        waiting: list[int] = []
        for doubtful in [] if is_keyframe else self._doubts:
            if index is None or index >= doubtful + _JOIN_PACKETS:
                self._damage.damage(doubtful)
            else:
                waiting.append(doubtful)
        self._doubts = waiting

    def _lose(self, packet: av.Packet[VideoStream] | None) -> None:
        """Note that the decoder refused `packet`."""
        self._decode_errors += 1
        tag = None if packet is None else packet.opaque
        index = self._settling.drop(tag.decode_index if isinstance(tag, _Tag) else None)
        if index is not None and (not isinstance(tag, _Tag) or tag.is_reference):
            self._damage.damage(index)

    def _settled(self, packets: Iterator[av.Packet[VideoStream]] | None = None) -> Generator[av.VideoFrame, None, None]:
        """Decoded pictures, as soon as it is known whether they are damaged."""
        is_over = False
        pictures = decode_stream(self._source, self._stream, see=self._tag, lose=self._lose, packets=packets)
        while not is_over:
            try:
                picture = next(pictures)
                tag = picture.opaque
                index = tag.decode_index if isinstance(tag, _Tag) else -1
                jump = self._times.place(picture, index)
                if isinstance(tag, _Tag):
                    tag.time_jump = jump
                    if tag.is_reference and picture.is_corrupt:
                        self._damage.damage(index)
                self._settling.put(index, picture)
            except StopIteration:
                is_over = True
                self._judge_doubts(None)
            if self._doubts:
                continue
            is_reordered = self._stream.codec_context.has_b_frames > 0
            while settled := self._settling.take(is_reordered=is_reordered, is_last=is_over):
                for lost in settled[1]:
                    self._damage.damage(lost)
                yield settled[0]

    def _frame(self, picture: av.VideoFrame) -> Frame:
        self._structure.see_picture(picture)
        is_marked = picture.key_frame
        pict_type = _TYPES.get(picture.pict_type, "I" if is_marked else "P")
        coded_hw = (picture.height, picture.width)
        size_hw = self._orientation.size(coded_hw)
        is_keyframe = self._keyframes.step(is_marked, pict_type, size_hw, self._damage.has_intra_refresh)
        tag = picture.opaque
        if not isinstance(tag, _Tag):
            tag = _Tag(0, -1, True, self._structure.crop_xy, None)
        motion, absence = self._motion_of(picture, pict_type, coded_hw, tag.crop_xy)
        pixels = LazyPixels(picture, self._converter, self._orientation) if self._pixels else None
        frame = quick_frame(
            index=self._index,
            pts=picture.pts,
            time_base=self._times.time_base,
            pict_type=pict_type,
            is_keyframe=is_keyframe,
            distance=self._keyframes.distance,
            size_hw=size_hw,
            packet_bytes=tag.packet_bytes,
            decode_index=tag.decode_index,
            key_index=self._index - self._keyframes.distance,
            coded=tag.coded,
            motion=motion,
            motion_absence=absence,
            qp=self._qp_of(picture, coded_hw) if self._qp else None,
            corrupt=self._damage.is_corrupt(tag.decode_index) or picture.is_corrupt,
            load_image=pixels.image if pixels else None,
            load_luma=pixels.luma if pixels else None,
            load_planes=pixels.planes if pixels else None,
            has_plain_planes=pixels is not None and pixels.are_plain and self._structure.chroma_is_left(picture),
            time_jump=tag.time_jump.seconds if tag.time_jump else None,
        )
        self._index += 1
        return frame

    def _motion_of(
        self, picture: av.VideoFrame, pict_type: str, coded_hw: tuple[int, int], crop_xy: tuple[int, int]
    ) -> tuple[MotionVectors | None, MotionAbsence | None]:
        if not self._structure.exports_motion:
            return None, MotionAbsence.CODEC
        if pict_type == "I":
            return None, MotionAbsence.INTRA
        if not self._motion:
            return None, MotionAbsence.NOT_READ
        vectors = self._orientation.vectors(MotionVectors(vectors_of(picture, crop_xy), coded_hw))
        return vectors, self._structure.absence

    def _qp_of(self, picture: av.VideoFrame, coded_hw: tuple[int, int]) -> NDArray[np.int8] | None:
        qp = qp_map(picture, coded_hw)
        return None if qp is None else self._orientation.array(qp)


class _Tag:
    """Travels with a packet through the decoder's reordering and threads to the frame it becomes."""

    __slots__ = ("coded", "crop_xy", "decode_index", "is_reference", "packet_bytes", "time_jump")

    def __init__(
        self,
        packet_bytes: int,
        decode_index: int,
        is_reference: bool,
        crop_xy: tuple[int, int],
        coded: CodedPicture | None,
    ) -> None:
        self.packet_bytes, self.decode_index, self.is_reference = packet_bytes, decode_index, is_reference
        self.crop_xy, self.coded = crop_xy, coded
        self.time_jump: TimeJump | None = None

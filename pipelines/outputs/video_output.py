"""The overlay video: H.264 with the source's size and exact timestamps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...codec import ColourTags, Frame, file_url
from ...processes import shared_cores
from ..errors import StreamUsageError
from ..prediction import Prediction
from .containers import CONTAINERS
from .overlay import Painter
from .progress import Point
from .reserve import ReservedFile
from .sinks import Output
from .sound import Sound

_BT601 = 6  # ITU-T H.273: SMPTE 170M, which is BT.601 at 525 lines
_SWSCALE_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    _BT601: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_UNSTATED = ColourTags()
_FINEST = 1_000_000
_INDEX_BYTES, _INDEX_BYTES_A_FRAME = 48 << 10, 64  # what is written at the end, with sound; FFmpeg buffers 32 KiB
_LARGEST_DENOMINATOR = 2**31 - 1


class OverlayVideo(Output):
    """Every frame's picture under its labels, as libx264 video of constant quality (CRF 22).

    Timestamps are the source's own, from 0, in the source's unit of time, so a variable frame rate is kept; frames
    without timestamps follow `frame_rate`. With `show_occlusion`, what motion cannot explain is hatched. Pictures of
    another size are fitted into the first, black beside. Odd sizes, which 4:2:0 cannot hold, are kept by 4:4:4 chroma.
    Decoded planes are blended as they are, without RGB. `sample_aspect` (as displayed) and `colour` are the source's,
    and are kept; a matrix that it does not state is stated as it was read, BT.601 or BT.709 by the size (of pictures
    without planes BT.601). `sound` is copied beside the pictures, as far as the first of
    `time_jumps` (frame and seconds), after which it would be out of step; the overlay closes it. `on_stage` is called
    with ('overlay' or 'encode', milliseconds) for each frame. StreamUsageError for a suffix not among `CONTAINERS`.
    """

    def __init__(
        self,
        target: Path,
        painter: Painter,
        frame_rate: Fraction,
        on_stage: Callable[[str, float], None],
        *,
        show_occlusion: bool = False,
        sample_aspect: Fraction | None = None,
        colour: ColourTags = _UNSTATED,
        sound: Sound | None = None,
        time_jumps: Sequence[tuple[int, float]] = (),
    ) -> None:
        super().__init__(target)
        if target.suffix.lower() not in CONTAINERS:
            raise StreamUsageError(f"'{target}': unknown kind of video; take one of {', '.join(CONTAINERS)}")
        self._painter, self._frame_rate, self._on_stage = painter, frame_rate, on_stage
        self._show_occlusion = show_occlusion
        self._aspect = sample_aspect
        self._primaries, self._transfer = colour.primaries, colour.transfer
        self._matrix = colour.matrix if colour.matrix in _SWSCALE_MATRICES else _BT601
        self._range = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
        self._sound, self._time_jumps = sound, time_jumps
        self._reformatter = VideoReformatter()
        self._stream: VideoStream | None = None
        self._held: av.Packet[VideoStream] | None = None
        self._first_pts = self._last_pts = 0
        self._last_step = 1
        self._muxed = 0
        self._is_ending = self._is_finished = False

    def recover(self, is_published: bool) -> int:
        """Frames of an interrupted run's video; one that was killed leaves a file without index, of no use."""
        if not (is_published and self.target.is_file()):
            return 0
        try:
            with av.open(file_url(self.target)) as old:
                return sum(packet.size > 0 for packet in old.demux(video=0))
        except (av.FFmpegError, IndexError):
            return 0

    def start(self, keep: int = 0, origin: Point | None = None) -> None:
        """Create the file; the frames to keep are copied, not encoded again, once the next one is there."""
        self.written, self._origin = keep, origin
        self._file = ReservedFile(self.part, self.reserve)
        self._container = av.open(self._file, "w", format=CONTAINERS[self.target.suffix.lower()])

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Blend and encode one frame."""
        begin = time.perf_counter()
        stream = self._stream or self._open_stream(frame)
        picture = self._drawn(frame, prediction, (stream.codec_context.height, stream.codec_context.width))
        blended = time.perf_counter()
        picture.pts, picture.time_base = self._timestamp(frame), stream.codec_context.time_base
        self._mux(stream.encode(picture))
        if any(index <= frame.index for index, _ in self._time_jumps):
            self._end_sound()
        self._copy_sound(0)
        self._on_stage("overlay", (blended - begin) * 1e3)
        self._on_stage("encode", (time.perf_counter() - blended) * 1e3)
        self.written += 1
        if self._file.failure is not None:
            raise self._file.failure

    def finish(self) -> None:
        """Flush the encoder and write the index."""
        self._is_ending = True
        if self._stream is not None and not self._is_finished:
            self._mux(self._stream.encode(None))
            self._mux_held(self._last_step)
            self._copy_sound(self._last_step)
        self._complete()

    def save(self) -> int:
        """Write the index of what is there; pictures that are still in the encoder are lost."""
        self._mux_held(self._last_step)
        self._complete()
        return self._muxed

    def _complete(self) -> None:
        if not self._is_finished:
            self._container.close()
            self._file.close()
            self._end_sound()
            if self._file.is_lost and self._file.failure is not None:
                raise self._file.failure
            self._is_finished = True

    def release(self) -> None:
        """Close the file."""
        self._end_sound()
        if hasattr(self, "_container"):
            with suppress(OSError, ValueError):  # it is thrown away: a full disk no longer matters
                self._container.close()
            self._file.close()

    def _open_stream(self, frame: Frame) -> VideoStream:
        height, width = frame.size_hw
        stream = self._container.add_stream(
            "libx264",
            rate=self._frame_rate,
            options={"preset": "ultrafast", "crf": "22", "bf": "0"},
        )
        context = stream.codec_context
        context.width, context.height = width, height
        context.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        planes = frame.planes(subsampled=context.pix_fmt == "yuv420p")
        if planes is not None:
            self._matrix = planes.matrix
            self._range = ColorRange.JPEG if planes.full_range else ColorRange.MPEG
        context.gop_size = max(1, round(2 * self._frame_rate))
        context.thread_count = shared_cores() or 0  # 0: as many as x264 likes for all cores
        context.colorspace, context.color_range = self._matrix, self._range
        context.color_primaries, context.color_trc = self._primaries, self._transfer
        if self._aspect is not None and self._aspect != 1:
            context.sample_aspect_ratio = self._aspect
        unit = frame.time_base if frame.pts is not None else 1 / self._frame_rate
        context.time_base = stream.time_base = unit if unit.denominator < _LARGEST_DENOMINATOR else Fraction(1, _FINEST)
        self._unit = context.time_base
        self._first_pts = self._source_pts(self._origin or frame, 0)
        self._last_pts = -1
        self._last_step = max(1, round(1 / self._frame_rate / self._unit))
        self._stream = stream
        first = self._origin or frame
        if self._sound is not None and first.pts is not None:
            self._sound.attach(self._container, first.pts * first.time_base)
        self._copy(self.written)
        return stream

    def _copy_sound(self, step: int) -> None:
        """Take over the sound up to `step` units after the last picture's time."""
        if self._sound is not None:
            self._sound.copy_until((self._last_pts + step) * self._unit)

    def _end_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()
            self._sound = None

    def _copy(self, count: int) -> None:
        """Take over the first `count` frames of the target."""
        if not count or self._stream is None:
            return
        with av.open(file_url(self.target)) as old:
            track = old.streams.video[0]
            plain = BitStreamFilterContext("h264_mp4toannexb", track)  # as the encoder's own packets come
            packets = (packet for packet in old.demux(track) if packet.size)
            for packet in islice(packets, count):
                self._last_pts = round((packet.pts or 0) * packet.time_base / self._unit)
                for copy in plain.filter(packet):
                    copy.stream, copy.time_base = self._stream, self._unit
                    copy.pts = copy.dts = self._last_pts
                    self._mux([copy])

    def _source_pts(self, frame: Frame | Point, otherwise: int) -> int:
        return otherwise if frame.pts is None else round(frame.pts * frame.time_base / self._unit)

    def _timestamp(self, frame: Frame) -> int:
        """Units since the first frame, rising strictly."""
        expected = self._last_pts + self._last_step if self.written else 0
        pts = self._source_pts(frame, expected + self._first_pts) - self._first_pts
        self._last_pts = max(pts, self._last_pts + 1)
        return self._last_pts

    def _drawn(self, frame: Frame, prediction: Prediction, size_hw: tuple[int, int]) -> av.VideoFrame:
        """The frame's picture under its labels, for the encoder."""
        occluded = prediction.occluded if self._show_occlusion else None
        is_even = size_hw[0] % 2 == 0 and size_hw[1] % 2 == 0
        planes = frame.planes(subsampled=is_even) if frame.size_hw == size_hw else None
        is_full = self._range == ColorRange.JPEG
        if planes is None or (planes.matrix, planes.full_range) != (self._matrix, is_full):
            return self._to_yuv(_fitted(self._painter.overlay(frame.image, prediction.labels, occluded), size_hw))
        picture = av.VideoFrame(size_hw[1], size_hw[0], "yuv420p" if is_even else "yuv444p")
        y, u, v = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
            for plane in picture.planes
        )
        self._painter.blend(planes, prediction.labels, (y, u, v), occluded)
        return picture

    def _to_yuv(self, image: NDArray[np.uint8]) -> av.VideoFrame:
        """(H, W, 3) uint8 RGB in the source's matrix and range, BT.601 and limited where it says nothing: 4:2:0, which
        OpenCV does for these in a third of FFmpeg's time, or 4:4:4."""
        is_even = image.shape[0] % 2 == 0 and image.shape[1] % 2 == 0
        if is_even and self._matrix == _BT601 and self._range == ColorRange.MPEG:
            planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), np.uint8)
            return av.VideoFrame.from_ndarray(planes, format="yuv420p")
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, format="rgb24"),
            format="yuv420p" if is_even else "yuv444p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=_SWSCALE_MATRICES[self._matrix],
            dst_color_range=self._range,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )

    def _mux(self, packets: list[av.Packet[VideoStream]]) -> None:
        """Write packets one late, each as long as the way to the next, the last as long as the one before it."""
        for packet in packets:
            if self._held is not None and packet.dts is not None and self._held.dts is not None:
                self._mux_held(packet.dts - self._held.dts)
            if self.reserve is not None and not self._is_ending:  # so that this packet can be ended, and the file too
                self.reserve.hold(_INDEX_BYTES + _INDEX_BYTES_A_FRAME * self._muxed + packet.size)
            self._held = packet

    def _mux_held(self, step: int) -> None:
        if self._held is not None:
            self._last_step = self._held.duration = step
            self._container.mux(self._held)
            self._held = None
            self._muxed += 1


def _fitted(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) scaled to fill `size_hw` as far as its shape allows, in the middle of black."""
    height, width = image.shape[:2]
    if (height, width) == size_hw:
        return image
    scale = min(size_hw[0] / height, size_hw[1] / width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    scaled = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    result = np.zeros((*size_hw, 3), np.uint8)
    top, left = (size_hw[0] - h) // 2, (size_hw[1] - w) // 2
    result[top : top + h, left : left + w] = scaled
    return result

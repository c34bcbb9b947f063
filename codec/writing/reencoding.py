"""Frames of any source with the types and motion of an H.264 stream made for gopseg, encoded in memory on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ..errors import EncodeError
from ..frame import Frame, MotionAbsence, MotionVectors
from ..reading import vectors_of
from .encoder import H264Encoder, coded_stats
from .settings import EncodeSettings

LIVE_SETTINGS = EncodeSettings(bitrate_bps=None, preset="veryfast", slots=1, low_delay=True)


def reencode(frames: Iterable[Frame], settings: EncodeSettings = LIVE_SETTINGS) -> Iterator[Frame]:
    """Encode each frame's image with libx264 and give the frame again, with what the new bitstream says of it.

    Index, pts, time base and image stay the original's; `pict_type`, `is_keyframe`, `distance`, `packet_bytes` and
    `motion` (backward, to the frame before, pixels of the original size, odd sizes included) are new. One frame goes in
    and out at a time, without delay (`settings.low_delay` is taken as set) and in constant memory. A frame of another
    size starts a new GOP. Raises EncodeError where libx264 cannot encode the size, ValueError for frames without
    pixels.
    """
    settings = replace(settings, low_delay=True)
    loop: _Loop | None = None
    for frame in frames:
        image = frame.image
        size_hw = image.shape[0], image.shape[1]
        if loop is None or loop.size_hw != size_hw:
            loop = _Loop(size_hw, settings)
        yield loop.step(frame, image)


class _Loop:
    """An encoder and a decoder for pictures of one size, back to back."""

    def __init__(self, size_hw: tuple[int, int], settings: EncodeSettings) -> None:
        height, width = self.size_hw = size_hw
        self._padding = ((0, height % 2), (0, width % 2), (0, 0))
        padded_hw = height + height % 2, width + width % 2
        rate = Fraction(25)  # rate control by frames: what the true rate is changes nothing at constant quality
        self._encoder = H264Encoder(settings, padded_hw, 1 / rate, rate)
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1
        decoder.options = {"flags2": "+export_mvs", "flags": "+low_delay"} | _WITHOUT_PIXELS
        self._decoder = decoder
        self._reformatter = VideoReformatter()
        self._count = 0
        self._distance = -1

    def step(self, frame: Frame, image: NDArray[np.uint8]) -> Frame:
        if any(self._padding[0]) or any(self._padding[1]):
            padded = np.pad(image, self._padding, mode="edge")
        else:
            padded = image
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), "rgb24")
        packets = self._encoder.encode(self._reformatter.reformat(rgb, format="yuv420p", threads=1), self._count)
        self._count += 1
        pictures = [picture for packet in packets for picture in self._decoder.decode(packet)]
        if len(packets) != 1 or len(pictures) != 1:
            raise EncodeError(
                f"frame {frame.index}: libx264 gave {len(packets)} packets and the decoder {len(pictures)} frames for "
                "one frame; this build of FFmpeg has no low-delay mode, encode the video with `preprocess encode` first"
            )
        packet, picture = packets[0], pictures[0]
        self._distance = 0 if packet.is_keyframe else self._distance + 1
        pict_type = coded_stats(packet).pict_type
        is_intra = pict_type == "I"
        return replace(
            frame,
            pict_type=pict_type,
            is_keyframe=packet.is_keyframe,
            distance=self._distance,
            packet_bytes=packet.size,
            motion=None if is_intra else MotionVectors(vectors_of(picture, (0, 0)), self.size_hw),
            motion_absence=MotionAbsence.INTRA if is_intra else None,
            key_index=frame.index - self._distance,
            coded=None,
            references=None,
            qp=None,
            load_image=_constant(image),
        )


_WITHOUT_PIXELS = {"skip_loop_filter": "all", "skip_idct": "all"}  # vectors do not depend on them


def _constant(image: NDArray[np.uint8]) -> Callable[[], NDArray[np.uint8]]:
    return lambda: image

"""What a stream's headers and frames say about how its vectors may be read."""

from __future__ import annotations

from collections.abc import Iterable

import av
from av.video.codeccontext import VideoCodecContext

from ..bitstream import SequenceParameters, is_reference, parameters_of_extradata, parameters_of_packet
from ..frame import MotionAbsence

_EXPORTING = frozenset(
    {"h264", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv1", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3"}
)
_INTERLACED_ORDERS = frozenset({2, 3, 4, 5})  # AV_FIELD_TT, BB, TB, BT
_SILENT = frozenset({"mpeg1video", "mpeg2video"})
_EXPORTING_B = frozenset({"h264", *_SILENT})
_B = 3


class StructureWatcher:
    """Judges a stream by its headers at first and by its packets and frames as they pass."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._is_h264 = context.codec.canonical_name == "h264"
        self.exports_motion = context.codec.canonical_name in _EXPORTING
        # all zero in MPEG-4 part 2: decoders of its family do not keep the vectors of B-frames
        self._exports_b = context.codec.canonical_name in _EXPORTING_B
        # MPEG-1 and MPEG-2 decoders always announce B-frames, so for them only what is seen counts
        self.announces_b = context.codec.canonical_name not in _SILENT
        self._has_b = bool(context.has_b_frames) and self.announces_b
        self._interlaced = context.field_order in _INTERLACED_ORDERS
        self._references = 1
        self.crop_xy = (0, 0)
        self._chroma_location = 0
        if self._is_h264:
            self._apply(parameters_of_extradata(context.extradata))

    @property
    def absence(self) -> MotionAbsence | None:
        """The reason by which no vector of this stream may be taken for motion to the previous frame, or None."""
        if not self.exports_motion:
            return MotionAbsence.CODEC
        if self._interlaced:
            return MotionAbsence.INTERLACED
        if self._has_b:
            return MotionAbsence.B_FRAMES if self._exports_b else MotionAbsence.B_VECTORS
        return MotionAbsence.REFERENCES if self._references > 1 else None

    @property
    def references(self) -> int | None:
        """The most reference frames that headers so far allow; None for codecs other than H.264."""
        return self._references if self._is_h264 else None

    def chroma_is_left(self, picture: av.VideoFrame) -> bool:
        """Whether a picture's chroma, if it is 4:2:0, is known to lie at the even columns, halfway between the rows."""
        return self._is_h264 and self._chroma_location == 0 and not picture.interlaced_frame

    def see_h264(self, units: Iterable[memoryview], is_keyframe: bool) -> None:
        """Look for parameter sets among the NAL units of a keyframe's packet, and for pictures that later ones cannot
        refer to.

        After such a picture (as in temporal layers) "the frame before" and "the reference" are no longer the same.
        """
        if is_keyframe:
            self._apply(parameters_of_packet(units))
        elif self._references == 1 and not is_reference(units):
            self._references = 2

    def see_picture(self, picture: av.VideoFrame) -> None:
        """Note B-frames and interlaced frames that no header announced."""
        self._has_b |= picture.pict_type == _B
        self._interlaced |= picture.interlaced_frame

    def _apply(self, parameters: SequenceParameters | None) -> None:
        if parameters is not None:
            self._references = max(self._references, parameters.max_references)
            self._interlaced |= not parameters.is_frames_only
            self._chroma_location = parameters.chroma_location
            self.crop_xy = (parameters.crop_left, parameters.crop_top)

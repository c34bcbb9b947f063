"""`Frame` and `MotionVectors`: what one decoded picture and the bitstream say about one moment."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from .bitstream import CodedPicture

if TYPE_CHECKING:
    from .motion import FrameReferences


class MotionAbsence(enum.Enum):
    """Why the motion of a frame or a stream cannot be used as "displacement to the previous frame"."""

    CODEC = "FFmpeg exports no motion vectors for this codec"
    INTRA = "the frame is intra-coded"
    B_FRAMES = "the stream has B-frames"
    B_VECTORS = "the stream has B-frames, of which FFmpeg exports no vectors for this codec"
    REFERENCES = "the stream predicts from several reference frames"
    INTERLACED = "the stream is coded as interlaced"
    NOT_READ = "motion vectors were not asked for"
    STILLS = "the source is a folder of still images"

    @property
    def is_recoverable(self) -> bool:
        """Whether `open_video(references=True)` finds out what the vectors mean all the same."""
        return self in (MotionAbsence.B_FRAMES, MotionAbsence.REFERENCES)


@dataclass(frozen=True, eq=False)
class MotionVectors:
    """The raw motion vectors of one frame, as the decoder exports them.

    `array` is a structured array (n,) with FFmpeg's `AVMotionVector` fields: `source` (-1: an earlier picture, +1: a
    later one; the reference index is not exported), `w`, `h` (block size in pixels), `src_x`, `src_y` (centre of the
    block in the reference), `dst_x`, `dst_y` (centre of the block in this frame), `flags`, `motion_x`, `motion_y`
    (displacement times `motion_scale`), `motion_scale` (4 for quarter-pel). `size_hw` is the picture's size in pixels.
    Places, shapes and displacements are in the orientation in which the video is displayed. The vectors are
    backward: `x_ref = x + motion_x / motion_scale`.
    """

    array: NDArray[np.void]
    size_hw: tuple[int, int]

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"MotionVectors({len(self)} blocks, size_hw={self.size_hw})"


@dataclass(frozen=True, eq=False)
class Planes:
    """A picture as it was decoded, in the orientation displayed: `y` (H, W), `u` and `v` (ceil(H / 2), ceil(W / 2)) or
    (H, W), all uint8 and not to be written to.

    `matrix` is the code of ITU-T H.273 by which they are to be read (by size, as players do, where the stream states
    none), `full_range` whether values go from 0 to 255 instead of 16 to 235 (240 in `u` and `v`).
    """

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]
    matrix: int
    full_range: bool


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame in display order, with what the bitstream says about it.

    `index` counts displayed frames from 0; `pts` in units of `time_base` is the exact timestamp (None where the source
    gives none); `pict_type` is 'I', 'P' or 'B'; `distance` is the number of frames since the last keyframe in display
    order (0 on a keyframe). Keyframes are the stream's own, the first frame of a size, and those that `gop_max` makes.
    `packet_bytes` is the size of the coded frame. `motion` is None where there is none, and `motion_absence` then says
    why; it may also be set beside vectors that cannot be read as "to the previous frame". `corrupt` marks a frame
    that is damaged or predicted, however indirectly, from a damaged or lost one. `qp` is the (ceil(H/16), ceil(W/16))
    int8 map of macroblock quantisers, or None. `image`, (H, W, 3) uint8 RGB, is
    converted when first asked for, and `luma`, (H, W) uint8, copied. `has_plain_planes` tells whether the picture was
    decoded as 8 bits of 4:2:0, with chroma at the even columns and halfway between the rows, and is displayed as coded,
    so that its subsampled `planes` are what `image` is made of.

    `decode_index` is the place of its packet in decoding order, from 0, or -1 where no packet is known. `key_index` is
    the `index` of the keyframe to which its motion leads: the last one shown, unless references say otherwise. With
    `open_video(references=True)`, `coded` is what H.264 headers say of the picture, and `references` which pictures its
    vectors point to, None in streams whose vectors all point to the previous frame.

    `time_jump` is how many seconds the source's clock jumped before this frame (negative: back), None where it did not;
    `pts` goes on without the jump.
    """

    index: int
    pts: int | None
    time_base: Fraction
    pict_type: str
    is_keyframe: bool
    distance: int
    size_hw: tuple[int, int]
    packet_bytes: int = 0
    motion: MotionVectors | None = None
    motion_absence: MotionAbsence | None = None
    qp: NDArray[np.int8] | None = field(default=None, repr=False)
    corrupt: bool = False
    load_image: Callable[[], NDArray[np.uint8]] | None = field(default=None, repr=False)
    load_luma: Callable[[], NDArray[np.uint8]] | None = field(default=None, repr=False)
    load_planes: Callable[[bool], Planes | None] | None = field(default=None, repr=False)
    has_plain_planes: bool = False
    decode_index: int = -1
    key_index: int = -1
    coded: CodedPicture | None = field(default=None, repr=False)
    references: FrameReferences | None = field(default=None, repr=False)
    time_jump: float | None = None

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The picture, (H, W, 3) uint8 RGB, rotated as the container asks; ValueError if pixels were not decoded."""
        if self.load_image is None:
            raise ValueError(f"frame {self.index} was read without pixels; open the video with pixels=True")
        return self.load_image()

    @cached_property
    def luma(self) -> NDArray[np.uint8]:
        """The decoded luma, (H, W) uint8 in the stream's own range, rotated as the container asks.

        Costs a copy, no conversion; more than 8 bits are reduced to 8. Where no decoder made the frame it is the
        image's BT.601 luma in full range. ValueError if pixels were not decoded.
        """
        if self.load_luma is not None:
            return self.load_luma()
        return np.asarray(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), np.uint8)

    def shrunk_luma(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """The luma at a smaller size, (h, w) uint8, each value the mean of what it covers; kept for the size asked for
        last."""
        kept = self._shrunk
        if size_hw not in kept:
            kept.clear()
            kept[size_hw] = np.asarray(cv2.resize(self.luma, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        return kept[size_hw]

    @cached_property
    def _shrunk(self) -> dict[tuple[int, int], NDArray[np.uint8]]:
        return {}

    def planes(self, *, subsampled: bool) -> Planes | None:
        """The picture's planes of 8 bits, with a quarter of the chroma (4:2:0) or all of it (4:4:4).

        Costs nothing where it was decoded in this form and is displayed as coded, else a conversion. None where there
        are none: the picture is RGB or grey, was not decoded, or by no decoder.
        """
        return None if self.load_planes is None else self.load_planes(subsampled)

    @property
    def has_image(self) -> bool:
        """Whether `image` is at hand already."""
        return "image" in vars(self)

    @property
    def pts_seconds(self) -> float | None:
        """The presentation time in seconds, or None."""
        return None if self.pts is None else float(self.pts * self.time_base)


if TYPE_CHECKING:
    quick_frame = Frame
else:

    def quick_frame(**fields: object) -> Frame:
        """`Frame(...)`, which sets its fields one by one, as a frozen dataclass does, and takes five times as long."""
        frame = object.__new__(Frame)
        vars(frame).update(fields)
        return frame

"""Decoded pictures to RGB, with the matrix and range that the stream states or that players would guess."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from ..frame import Planes
from .container import Orientation

_FLAGS = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# AVCOL_SPC_* (ITU-T H.273, MatrixCoefficients) -> swscale's matrices
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_GUESSED = {Colorspace.ITU709: 1, Colorspace.ITU601: 6}
_YUV = ("yuv", "nv1", "nv2", "nv4", "p0", "p2", "p4", "uyvy", "yvyu", "y2")  # names of formats begin like this
_AS_THEY_ARE = {True: ("yuv420p", "yuvj420p"), False: ("yuv444p", "yuvj444p")}
_LIMITED_TO_FULL = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


_HDR_TRANSFERS = (16, 18)
TO_SDR = (
    "make it SDR first: ffmpeg -i IN -vf zscale=t=linear:npl=100,format=gbrpf32le,tonemap=hable,"
    "zscale=p=709:t=709:m=709:r=tv,format=yuv420p OUT"
)
"""What to do about HDR, for messages."""


@dataclass(frozen=True)
class ColourTags:
    """How a stream's YUV is to be read: codes of ITU-T H.273 (2 = unspecified), and whether it has the full range."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False

    @classmethod
    def of(cls, picture: av.VideoFrame) -> ColourTags:
        """What a decoded picture states of itself."""
        is_full = picture.color_range == ColorRange.JPEG and not picture.format.is_rgb
        return cls(picture.colorspace, picture.color_primaries, picture.color_trc, is_full)

    @property
    def is_hdr(self) -> bool:
        """Whether values mean light of high dynamic range: PQ (SMPTE ST 2084) or HLG (ARIB STD-B67)."""
        return self.transfer in _HDR_TRANSFERS


def matrix_of(colour_space: int, size_hw: tuple[int, int]) -> Colorspace:
    """The YUV matrix of a stream that states `colour_space` (H.273), by size as players do where it states none."""
    if colour_space in _MATRICES:
        return _MATRICES[colour_space]
    height, width = size_hw
    return Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601


class RgbConverter:
    """Converts decoded pictures to (H, W, 3) uint8 RGB; safe to call from several threads."""

    def __init__(self) -> None:
        self._local = threading.local()

    def convert(self, picture: av.VideoFrame, orientation: Orientation) -> NDArray[np.uint8]:
        """The picture as displayed. Transfer and primaries are kept as they are: no tone mapping."""
        rgb = self._reformatter("rgb").reformat(
            picture,
            format="rgb24",
            src_colorspace=matrix_of(picture.colorspace, (picture.height, picture.width)),
            dst_color_range=ColorRange.JPEG,
            interpolation=_FLAGS,
            threads=1,
        )
        image = np.asarray(rgb.to_ndarray(), np.uint8)
        if picture.format.name.startswith("gray") and picture.color_range == ColorRange.MPEG:
            image = _LIMITED_TO_FULL[image]  # swscale takes every grey picture for full range
        return orientation.array(image)

    def luma(self, picture: av.VideoFrame, orientation: Orientation) -> NDArray[np.uint8]:
        """The picture's luma as displayed, (H, W) uint8 in the stream's range: a copy of the plane where that is it."""
        if not _has_luma_plane(picture.format):
            picture = self._reformatter("luma").reformat(
                picture,
                format="yuv420p",
                dst_color_range=picture.color_range,
                interpolation=_FLAGS,
                threads=1,
            )
        return orientation.view(_pixels_of(picture.planes[0])).copy()

    def planes(self, picture: av.VideoFrame, orientation: Orientation, subsampled: bool) -> Planes | None:
        """The picture's planes as displayed, 4:2:0 or 4:4:4 in 8 bits; None where it is no YUV picture."""
        if not picture.format.name.startswith(_YUV):
            return None
        matrix, is_full = int(picture.colorspace), picture.color_range == ColorRange.JPEG
        if matrix not in _MATRICES:
            matrix = _GUESSED[matrix_of(matrix, (picture.height, picture.width))]
        if picture.format.name not in _AS_THEY_ARE[subsampled]:
            picture = self._reformatter("planes").reformat(
                picture,
                format=_AS_THEY_ARE[subsampled][0],
                src_colorspace=_MATRICES[matrix],
                dst_colorspace=_MATRICES[matrix],
                src_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
                interpolation=_FLAGS,
                threads=1,
            )
        parts = (_pixels_of(plane) for plane in picture.planes[:3])
        y, u, v = (part if orientation.is_identity else orientation.array(part) for part in parts)
        return Planes(y, u, v, matrix, is_full)

    def _reformatter(self, use: str) -> VideoReformatter:
        """One for each thread and use: it keeps swscale's context for the formats that it last saw."""
        reformatter = getattr(self._local, use, None)
        if reformatter is None:
            reformatter = VideoReformatter()
            setattr(self._local, use, reformatter)
        return reformatter


class LazyPixels:
    """A picture's pixels in the forms that are asked for; RGB and luma are made once."""

    def __init__(self, picture: av.VideoFrame, converter: RgbConverter, orientation: Orientation) -> None:
        self._picture = picture
        self._converter, self._orientation = converter, orientation
        self._image: NDArray[np.uint8] | None = None
        self._luma: NDArray[np.uint8] | None = None

    @property
    def are_plain(self) -> bool:
        """Whether it was decoded as 4:2:0 of 8 bits and is displayed as coded."""
        return self._orientation.is_identity and self._picture.format.name in _AS_THEY_ARE[True]

    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB as displayed."""
        if self._image is None:
            self._image = self._converter.convert(self._picture, self._orientation)
        return self._image

    def luma(self) -> NDArray[np.uint8]:
        """(H, W) uint8 luma as displayed, in the stream's range."""
        if self._luma is None:
            self._luma = self._converter.luma(self._picture, self._orientation)
        return self._luma

    def planes(self, subsampled: bool) -> Planes | None:
        """See `Frame.planes`."""
        return self._converter.planes(self._picture, self._orientation, subsampled)


def _pixels_of(plane: VideoPlane) -> NDArray[np.uint8]:
    """(h, w) uint8: a view of a plane of 8-bit values."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _has_luma_plane(format: av.VideoFormat) -> bool:
    first = format.components[0]
    return first.bits == 8 and first.is_luma and (format.is_planar or format.name == "gray")

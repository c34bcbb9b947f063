"""Vectors and quantisers out of a decoded picture's side data."""

from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
from av.sidedata.encparams import VideoEncParams
from av.sidedata.sidedata import SideDataContainer, Type
from numpy.typing import NDArray

VECTOR_DTYPE = np.dtype(
    [
        ("source", "i4"),
        ("w", "u1"),
        ("h", "u1"),
        ("src_x", "i2"),
        ("src_y", "i2"),
        ("dst_x", "i2"),
        ("dst_y", "i2"),
        ("flags", "u8"),
        ("motion_x", "i4"),
        ("motion_y", "i4"),
        ("motion_scale", "u2"),
    ],
    align=True,
)
"""FFmpeg's AVMotionVector (libavutil/motion_vector.h)."""

_CONTAINER: Any = SideDataContainer  # whose stub does not say how it is made
_VECTORS = Type.MOTION_VECTORS
_BLOCK_DTYPE = np.dtype([("x", "i4"), ("y", "i4"), ("w", "i4"), ("h", "i4"), ("delta_qp", "i4")])


def raw_side_data(picture: av.VideoFrame, kind: str) -> bytes | None:
    """The bytes of one kind of side data, by FFmpeg's name ("DISPLAYMATRIX"), or None."""
    data = _side_data(picture, Type[kind])
    return None if data is None else bytes(data)


def _side_data(picture: av.VideoFrame, kind: Type) -> Any | None:
    """What `picture.side_data` has of one kind, but not kept by the picture.

    That property ties picture and side data into a cycle, which holds hundreds of megabytes of decoded pictures until
    Python's collector comes by.
    """
    try:
        return _CONTAINER(picture)[kind]
    except KeyError:
        return None


def vectors_of(picture: av.VideoFrame, crop_xy: tuple[int, int] = (0, 0)) -> NDArray[np.void]:
    """The exported vectors (n,) of VECTOR_DTYPE; n is 0 where the picture has none: every block is intra-coded,
    or the picture is the one that FFmpeg flushes last out of a reordering MPEG decoder, for which it exports nothing.

    FFmpeg places blocks in the picture as coded; `crop_xy` is what the stream then cuts off its left and top.
    """
    data = _side_data(picture, _VECTORS)
    if data is None:
        return np.zeros(0, VECTOR_DTYPE)
    return cropped(np.frombuffer(bytes(data), VECTOR_DTYPE), crop_xy)


def cropped(vectors: NDArray[np.void], crop_xy: tuple[int, int]) -> NDArray[np.void]:
    """Vectors placed in the picture as coded, placed in the one that is left when `crop_xy` is cut off."""
    if crop_xy != (0, 0):
        vectors = vectors.copy()
        for name, crop in zip(("src_x", "src_y", "dst_x", "dst_y"), crop_xy * 2, strict=True):
            vectors[name] -= crop
    return vectors


def qp_map(picture: av.VideoFrame, size_hw: tuple[int, int]) -> NDArray[np.int8] | None:
    """Quantiser of each macroblock, (ceil(H / 16), ceil(W / 16)) int8, or None where the decoder exports none."""
    data = _side_data(picture, Type.VIDEO_ENC_PARAMS)
    if not isinstance(data, VideoEncParams) or data.nb_blocks == 0:
        return None
    raw, start, stride = bytes(cast(Any, data)), data.blocks_offset, data.block_size
    records = np.ndarray(data.nb_blocks, _BLOCK_DTYPE, raw, start, (stride,))
    rows, cols = -(-size_hw[0] // 16), -(-size_hw[1] // 16)
    row, col = records["y"] >> 4, records["x"] >> 4
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    result = np.zeros((rows, cols), np.int8)
    result[row[inside], col[inside]] = (records["delta_qp"] + data.qp)[inside]
    return result

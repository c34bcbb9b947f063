"""Pictures of few values as PNG files, several times faster than general encoders."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _INDEXED = 0, 3
_UP, _MOST_MEMORY = 2, 9


def png_of(values: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> bytes:
    """(H, W) uint8 as a PNG file of 8 bits a pixel (W3C, PNG, third edition): grey, or with a `palette` (256, 3) uint8.

    Each row is written as its difference to the one above, which in label maps is mostly zeros, and only runs of equal
    bytes are looked for. That takes a third of the time of libpng's way at its lowest level, and files are smaller.
    """
    height, width = values.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = values[0]
    np.subtract(values[1:], values[:-1], out=rows[1:, 1:])
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, _MOST_MEMORY, zlib.Z_RLE)
    kind = _GREY if palette is None else _INDEXED
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
            b"" if palette is None else _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", packer.compress(rows.data) + packer.flush()),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))

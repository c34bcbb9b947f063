"""The schema of `preprocess extract`'s archives, and reading them: `load_metadata`."""

from __future__ import annotations

import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codec import BLOCK, InvalidDataError, MotionField, SourceError
from .array_names import ARRAYS

SCHEMA_VERSION = 3
QUARTER = 4
"""Steps of displacement in a pixel."""
GRID = 4
"""Side in pixels of the cells of `composed`."""
UNKNOWN_PTS = int(np.iinfo(np.int64).min)
UNKNOWN_QP = -128
NO_PICTURE = -1
"""In `reference`: no picture, or one that is not known."""
VECTOR_DTYPE = np.dtype(
    [
        ("frame", "<i4"),
        ("list", "u1"),
        ("width", "u1"),
        ("height", "u1"),
        ("x", "<i2"),
        ("y", "<i2"),
        ("motion_x", "<i2"),
        ("motion_y", "<i2"),
        ("reference", "<i4"),
        ("confidence", "u1"),
    ]
)
"""A row of `vectors`; see CONVENTIONS."""

CONVENTIONS = MappingProxyType(
    {
        "order": "frames in display order; N frames of H rows and W columns as displayed; grids have ceil(H/cell) rows",
        "pict_type": "(N,) one letter: I, P or B",
        "pts": f"(N,) int64 presentation time in units of time_base seconds; {UNKNOWN_PTS} where unknown",
        "packet_bytes": "(N,) int64 size of the coded frame",
        "key_index": "(N,) int64 index of the last keyframe at or before the frame; with recovered references the "
        "intra-coded picture to which most of its motion leads, the frame itself where none is known",
        "qp": f"(N, ceil(H/16), ceil(W/16)) int8 quantiser of each macroblock; {UNKNOWN_QP} where unknown",
        "motion": "(N, ceil(H/8), ceil(W/8), 2) int16 backward displacement to the previous frame in quarter pixels, "
        "x then y: x_ref = x + motion[..., 0] / 4; 0 where intra; with `reference` to the picture that it names",
        "reference": "(N, ceil(H/8), ceil(W/8)) int32 index of the picture to which motion leads; "
        f"{NO_PICTURE} where there is none",
        "confidence": "(N, ceil(H/8), ceil(W/8)) uint8 how sure the reference is, in 255ths; 0 where the cell has none "
        "of its own that leads to key_index, and moves like a neighbour",
        "vectors": "(V,) records, in the order of frames: frame (index), list (0 or 1), width, height, x, y (the "
        "block's size and first pixel), motion_x, motion_y (backward, quarter pixels), reference (index of the "
        f"picture, {NO_PICTURE} where the vector is not used or its picture not known), confidence (255ths)",
        "composed": "(N, ceil(H/4), ceil(W/4), 2) int16 the same to the frame key_index, for the cells' centres",
        "intra": "(N, ceil(H/8), ceil(W/8)) bool: no vector covers the cell's centre; true all over on I-frames",
        "residual": "(N, ceil(H/8), ceil(W/8)) uint8 root of the mean squared luma residual stand-in, in grey levels; "
        "0 on the first frame",
        "novelty": "(N,) float32 share of the picture that the previous frame does not explain, 0 to 1; 1 on the first",
    }
)


def fields_of(size_hw: tuple[int, int]) -> dict[str, tuple[np.dtype[Any], tuple[int, ...] | None]]:
    """Name, dtype and shape for one frame of every array, for pictures of this size; None: any number of rows."""

    def grid(cell: int) -> tuple[int, int]:
        return -(-size_hw[0] // cell), -(-size_hw[1] // cell)

    return {
        "pict_type": (np.dtype("<U1"), ()),
        "pts": (np.dtype("<i8"), ()),
        "packet_bytes": (np.dtype("<i8"), ()),
        "key_index": (np.dtype("<i8"), ()),
        "qp": (np.dtype("i1"), grid(16)),
        "motion": (np.dtype("<i2"), (*grid(BLOCK), 2)),
        "reference": (np.dtype("<i4"), grid(BLOCK)),
        "confidence": (np.dtype("u1"), grid(BLOCK)),
        "vectors": (VECTOR_DTYPE, None),
        "composed": (np.dtype("<i2"), (*grid(GRID), 2)),
        "intra": (np.dtype("?"), grid(BLOCK)),
        "residual": (np.dtype("u1"), grid(BLOCK)),
        "novelty": (np.dtype("<f4"), ()),
    }


@dataclass(frozen=True, eq=False)
class Metadata:
    """What `preprocess extract` wrote of one video; N frames in display order, units as `CONVENTIONS` says.

    Arrays that were left out, or not asked for, are None. `info` is the archive's `meta`.
    """

    info: Mapping[str, Any] = field(repr=False)
    pict_type: NDArray[np.str_] = field(repr=False)
    pts: NDArray[np.int64] = field(repr=False)
    packet_bytes: NDArray[np.int64] = field(repr=False)
    key_index: NDArray[np.int64] = field(repr=False)
    qp: NDArray[np.int8] | None = field(default=None, repr=False)
    motion: NDArray[np.int16] | None = field(default=None, repr=False)
    reference: NDArray[np.int32] | None = field(default=None, repr=False)
    confidence: NDArray[np.uint8] | None = field(default=None, repr=False)
    vectors: NDArray[np.void] | None = field(default=None, repr=False)
    composed: NDArray[np.int16] | None = field(default=None, repr=False)
    intra: NDArray[np.bool_] | None = field(default=None, repr=False)
    residual: NDArray[np.uint8] | None = field(default=None, repr=False)
    novelty: NDArray[np.float32] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.pts)

    def __repr__(self) -> str:
        height, width = self.size_hw
        names = ", ".join(name for name in ARRAYS if getattr(self, name) is not None)
        return f"Metadata({len(self)} frames of {width}x{height} from {self.info['source']['name']!r}: {names})"

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the frames as displayed."""
        height, width = self.info["size_hw"]
        return int(height), int(width)

    @property
    def frame_rate(self) -> Fraction:
        """Average frames per second."""
        return Fraction(self.info["frame_rate"])

    @property
    def time_base(self) -> Fraction:
        """The unit in seconds of `pts`."""
        return Fraction(self.info["time_base"])

    @property
    def is_recovered(self) -> bool:
        """Whether vectors point to several pictures, which `reference` names, instead of to the frame before."""
        return bool(self.info["references"] == "recovered")

    def motion_field(self, index: int) -> MotionField:
        """Frame `index`'s field as the codec front end gives it, in pixels; what `MotionChain.push` takes.

        Raises ValueError where `motion` or `intra` was left out or not loaded, and where motion does not lead to the
        frame before.
        """
        if self.is_recovered:
            raise ValueError(
                "motion_field is for motion to the frame before; these vectors point to several pictures: take "
                "`composed`, or follow `motion` to the picture in `reference`"
            )
        if self.motion is None or self.intra is None:
            raise ValueError("motion_field needs the arrays motion and intra; extract and load both")
        displacement = self.motion[index].astype(np.float32) / np.float32(QUARTER)
        return MotionField(displacement, self.intra[index], self.size_hw)


def load_metadata(file: str | os.PathLike[str], arrays: Collection[str] = ARRAYS) -> Metadata:
    """Read an archive of `preprocess extract`, and check its schema, shapes and types.

    `arrays` names those of `ARRAYS` to load; ones that the archive was written without are None. Nothing pickled is
    ever loaded. Raises SourceError where the file cannot be read, InvalidDataError where it is no such archive, of a
    newer schema, or damaged, and ValueError for unknown names.
    """
    name = os.fspath(file)
    if unknown := set(arrays) - set(ARRAYS):
        raise ValueError(f"arrays {sorted(unknown)} are unknown; name some of {', '.join(ARRAYS)}")
    try:
        loaded = np.load(name, allow_pickle=False)
    except OSError as error:
        raise SourceError(f"{name}: cannot be read ({error.strerror or error}); check the path and rights") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidDataError(f"{name}: is no archive of `preprocess extract`; make one from the video") from error
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise InvalidDataError(
            f"{name}: is a single array, no archive of `preprocess extract`; make one from the video"
        )
    with loaded:
        try:
            return _read(name, loaded, arrays)
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, InvalidDataError):
                raise
            raise InvalidDataError(f"{name}: is damaged ({error}); extract it again") from error


def _read(name: str, loaded: np.lib.npyio.NpzFile, arrays: Collection[str]) -> Metadata:
    if "meta" not in loaded:
        raise InvalidDataError(f"{name}: has no `meta`, so it is no archive of `preprocess extract`; make one")
    info = json.loads(str(loaded["meta"]))
    version = info["schema_version"]
    if version != SCHEMA_VERSION:
        raise InvalidDataError(
            f"{name}: is of schema version {version}, and this gopseg reads {SCHEMA_VERSION}; "
            "extract it again, or use the gopseg that wrote it"
        )
    count = info["frame_count"]
    values: dict[str, NDArray[Any]] = {}
    for field_name, (dtype, shape) in fields_of((info["size_hw"][0], info["size_hw"][1])).items():
        if field_name in ARRAYS and (field_name not in arrays or field_name not in info["arrays"]):
            continue
        array = loaded[field_name]
        due = array.shape[:1] if shape is None else (count, *shape)
        if array.shape != due or array.dtype != dtype:
            raise InvalidDataError(
                f"{name}: its {field_name} is {array.dtype} {array.shape} where {dtype} {due} is due; extract it again"
            )
        values[field_name] = array
    return Metadata(info, **values)

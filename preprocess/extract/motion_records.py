"""One frame's motion as the arrays of an archive: to the frame before, or to the pictures that were found out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codec import (
    BLOCK,
    CompressedVideo,
    Frame,
    FrameReferences,
    MotionAbsence,
    MotionChain,
    MotionField,
    MotionVectors,
    intra_cells,
    quarter_pixels,
    with_references,
)
from .archive import GRID, NO_PICTURE, QUARTER, VECTOR_DTYPE

_SURE = 255

Arrays = dict[str, NDArray[Any]]


class PreviousFrames:
    """The records of a stream all of whose vectors point to the frame before; frames in display order."""

    def __init__(self, size_hw: tuple[int, int], *, composes: bool) -> None:
        self._size_hw = size_hw
        self._cells_hw = -(-size_hw[0] // BLOCK), -(-size_hw[1] // BLOCK)
        self._chain = MotionChain(size_hw) if composes else None

    def arrays(self, frame: Frame) -> Arrays:
        """`motion` and `intra` of the frame, and `composed` if that was asked for."""
        field = None if frame.motion is None else MotionField.from_vectors(frame.motion)
        values: Arrays = {
            "motion": np.zeros((*self._cells_hw, 2), "<i2") if field is None else _quarters(field),
            "intra": np.ones(self._cells_hw, "?") if field is None else field.unreferenced,
        }
        if self._chain is not None:
            if frame.distance == 0:
                self._chain.reset()
            else:
                self._chain.push(field)
            values["composed"] = _quarters(self._chain.compose(GRID))
        return values


class RecoveredReferences:
    """The records of a stream with `Frame.references`; before the first frame that has them, those of PreviousFrames.

    `confidence_mean` is that of all cells so far that have a reference of their own, from 0 to 1, None before any.
    """

    def __init__(self, size_hw: tuple[int, int], *, composes: bool) -> None:
        self._size_hw, self._composes = size_hw, composes
        self._previous = PreviousFrames(size_hw, composes=composes)
        self._sum = self._count = 0

    @property
    def confidence_mean(self) -> float | None:
        """See the class."""
        return self._sum / self._count / _SURE if self._count else None

    def arrays(self, frame: Frame) -> Arrays:
        """`motion`, `intra` and the arrays of RECOVERED of the frame, and `composed` if that was asked for."""
        references = frame.references
        if references is None:
            values = self._previous.arrays(frame)
            known = ~values["intra"]
            values["reference"] = np.where(known, frame.index - 1, NO_PICTURE).astype("<i4")
            values["confidence"] = np.where(known, _SURE, 0).astype("u1")
            picture = np.full(0 if frame.motion is None else len(frame.motion), frame.index - 1, np.int32)
            sure = np.full(len(picture), _SURE, np.uint8)
        else:
            values = self._of(frame, references)
            picture, sure = references.picture, np.rint(_SURE * references.confidence).astype(np.uint8)
        values["vectors"] = _vectors(frame.index, frame.motion, picture, sure)
        own = values["confidence"] > 0
        self._sum += int(values["confidence"].sum(dtype=np.int64))
        self._count += int(own.sum())
        return values

    def _of(self, frame: Frame, references: FrameReferences) -> Arrays:
        cells, intra = references.cells(), intra_cells(frame)
        cells_hw = -(-self._size_hw[0] // BLOCK), -(-self._size_hw[1] // BLOCK)
        values: Arrays = {"intra": np.ones(cells_hw, "?") if intra is None else intra}
        if cells is None:
            values["motion"] = np.zeros((*cells_hw, 2), "<i2")
            values["reference"] = np.full(cells_hw, NO_PICTURE, "<i4")
            values["confidence"] = np.zeros(cells_hw, "u1")
        else:
            values["motion"] = cells.displacement.astype("<i2")
            values["reference"] = cells.picture.astype("<i4")
            values["confidence"] = cells.confidence
        if self._composes:
            values["composed"] = _quarters(references.compose(GRID))
        return values


def with_known_vectors(video: CompressedVideo, by_order: bool) -> Iterator[Frame]:
    """The frames, in streams of which FFmpeg exports zeros for B-frames' vectors without those, but with references.

    With `by_order` all frames get references, by the order of the pictures' types.
    Each P-frame of MPEG-4 part 2 points to the I- or P-frame before (ISO/IEC 14496-2, 7.6): its motion is known.
    """

    def is_silent() -> bool:
        return video.motion_absence is MotionAbsence.B_VECTORS

    frames = (replace(frame, motion=None) if is_silent() and frame.pict_type == "B" else frame for frame in video)
    return with_references(frames, (lambda: True) if by_order else is_silent)


def _quarters(field: MotionField) -> NDArray[np.int16]:
    quarters: NDArray[np.int16] = np.rint(field.displacement * np.float32(QUARTER)).astype("<i2")
    return quarters


def _vectors(
    index: int, motion: MotionVectors | None, picture: NDArray[np.int32], confidence: NDArray[np.uint8]
) -> NDArray[np.void]:
    """All vectors of a frame with what they point to, (n,) of VECTOR_DTYPE."""
    if motion is None:
        return np.zeros(0, VECTOR_DTYPE)
    array = motion.array
    records = np.zeros(len(array), VECTOR_DTYPE)
    records["frame"], records["list"] = index, array["source"] > 0
    records["width"], records["height"] = array["w"], array["h"]
    records["x"] = array["dst_x"] - (array["w"].astype(np.int16) >> 1)
    records["y"] = array["dst_y"] - (array["h"].astype(np.int16) >> 1)
    records["motion_x"], records["motion_y"] = quarter_pixels(array).T
    records["reference"], records["confidence"] = picture, confidence
    return records

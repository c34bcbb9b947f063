"""A second, independent reader of vectors and frame types: mvextractor (Bommes et al.), which has its own FFmpeg."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..errors import CodecError, InvalidDataError, SourceError
from ..frame import Frame, MotionAbsence, MotionVectors
from .container import count_streams
from .sidedata import VECTOR_DTYPE, cropped
from .video import CompressedVideo

_COLUMNS = ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")


class ReaderMissingError(CodecError, InputError, ImportError):
    """The extra with the second reader is not installed."""


def open_with_mvextractor(
    source: str | os.PathLike[str],
    *,
    qp: bool = False,
    pixels: bool = True,
    threads: int | Literal["auto"] = "auto",
    stream: int | None = None,
) -> CompressedVideo:
    """`open_video` whose vectors and frame types come from mvextractor; a check on ours, and slower.

    Everything that mvextractor does not give (times, sizes, quantisers, images, what the headers say) is read by our
    reader beside it. `source` is a file. Of streams with B-frames mvextractor 2.0 gives vectors that vary from run to
    run, and of several video streams it reads one of its own choice, so that such a file is refused. Raises
    ReaderMissingError where it is not installed, SourceError or InvalidDataError where the file cannot be read, and
    while reading InvalidDataError where the two readers disagree on the number of frames.
    """
    return _MvextractorVideo(os.fspath(source), qp, pixels, threads, stream)


class _MvextractorVideo(CompressedVideo):
    def __init__(self, source: str, qp: bool, pixels: bool, threads: int | Literal["auto"], stream: int | None) -> None:
        capture = _capture_class()()
        if "://" in source or source == "-":
            raise SourceError(f"{source}: the reader mvextractor needs a file; use the reader av")
        super().__init__(
            source,
            motion=False,
            qp=qp,
            pixels=pixels,
            references=False,
            gop_max=None,
            threads=threads,
            stream=stream,
            frame_rate=None,
            by_arrival=False,
            format=None,
            options=None,
        )
        self._capture = capture
        if count_streams(self._source.container) > 1:
            self.close()
            raise SourceError(f"{source}: has several video streams, of which mvextractor chooses; use the reader av")
        if not capture.open(str(Path(source).absolute())):
            self.close()
            raise SourceError(f"{source}: mvextractor cannot open it; use the reader av")
        capture.set_decode_frames(False)

    @property
    def motion_absence(self) -> MotionAbsence | None:
        return self._structure.absence

    def close(self) -> None:
        super().close()
        self._capture.release()

    def __next__(self) -> Frame:
        try:
            frame = super().__next__()
        except StopIteration:
            if self._capture.read()[0]:
                raise self._disagreement("more") from None
            raise
        success, _, rows, pict_type = self._capture.read()
        if not success:
            raise self._disagreement("fewer")
        absence = self._structure.absence
        if absence is MotionAbsence.CODEC:
            return replace(frame, pict_type=pict_type)
        if pict_type == "I":
            return replace(frame, pict_type=pict_type, motion_absence=MotionAbsence.INTRA)
        vectors = cropped(_records(rows), self._structure.crop_xy)
        coded_hw = self._orientation.size(frame.size_hw)  # a transposition is its own inverse
        motion = self._orientation.vectors(MotionVectors(vectors, coded_hw))
        return replace(frame, pict_type=pict_type, motion=motion, motion_absence=absence)

    def _disagreement(self, how_many: str) -> InvalidDataError:
        return InvalidDataError(
            f"{self.name}: mvextractor gives {how_many} frames than FFmpeg's {self._index}; use the reader av"
        )


def _capture_class() -> Any:
    try:
        from mvextractor.videocap import VideoCap
    except ImportError as error:
        raise ReaderMissingError(
            "the reader mvextractor is not installed; pip install 'gopseg[mvextractor]' (x86-64 Linux), "
            "or use the reader av"
        ) from error
    return VideoCap


def _records(rows: Any) -> NDArray[np.void]:
    """mvextractor's (n, 10) integers as FFmpeg's records."""
    table = np.asarray(rows).reshape(-1, len(_COLUMNS))
    vectors = np.zeros(len(table), VECTOR_DTYPE)
    for column, name in enumerate(_COLUMNS):
        vectors[name] = table[:, column]
    return vectors

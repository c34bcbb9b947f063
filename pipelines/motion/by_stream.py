"""Motion by the codec, whichever way a stream gives it."""

from __future__ import annotations

from ...codec import Frame, MotionField
from .codec_sources import CodecVectors, RecoveredReferences
from .mending import MendedReferences
from .source import MotionSource


class CodecMotion(MotionSource):
    """`RecoveredReferences` for frames that have references, `CodecVectors` for others; a stream may turn from one to
    the other as its headers are read. Where it `bridges`, motion leads over intra-coded frames; only recovered
    references may be mended (`mends`), and bridge them only then."""

    stage = "motion"
    reads_codec = True
    mixes_lost = True

    def __init__(self, cell: int, *, bridges: bool = False, mends: bool = False) -> None:
        self._vectors = CodecVectors(cell, bridges=bridges)
        self._recovered = MendedReferences(cell, bridges=bridges) if mends else RecoveredReferences(cell)

    def is_other_stream(self, frame: Frame) -> bool:
        """See `MotionSource`."""
        return self._of(frame).is_other_stream(frame)

    def observe(self, frame: Frame, *, anew: bool) -> Frame:
        """See `MotionSource`."""
        return self._of(frame).observe(frame, anew=anew)

    def begin_at(self, frame: Frame) -> None:
        """See `MotionSource`."""
        self._of(frame).begin_at(frame)

    def field(self, frame: Frame) -> MotionField:
        """See `MotionSource`."""
        return self._of(frame).field(frame)

    def _of(self, frame: Frame) -> MotionSource:
        return self._vectors if frame.references is None else self._recovered

"""Motion by the codec: a chain of vectors, or recovered references."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from ...codec import Frame, MotionChain, MotionField, filled
from .bridging import bridge
from .source import MotionSource, index_in_stream

_STEPS: WeakKeyDictionary[Frame, MotionField] = WeakKeyDictionary()


class CodecVectors(MotionSource):
    """Vectors that mean 'the previous frame', followed back to the keyframe (`MotionChain`).

    The motion is sampled once, at the centres of cells of `cell` pixels; a block without reference moves like the
    nearest one that has one. Motion begins anew at intra-coded frames and those whose vectors are missing; one that
    `bridges` leads over intra-coded frames by what is decoded (`bridge`).
    """

    stage = "motion"
    reads_codec = True
    mixes_lost = True

    def __init__(self, cell: int, *, bridges: bool = False) -> None:
        self.cell, self.bridges = cell, bridges
        self._chain: MotionChain | None = None
        self._reference: Frame | None = None
        self._last: Frame | None = None

    def observe(self, frame: Frame, *, anew: bool) -> Frame:
        """See `MotionSource`."""
        last, self._last = self._last, frame if self.bridges else None
        is_followed = frame.motion is not None and frame.motion_absence is None
        is_intra = frame.pict_type == "I"
        if not anew and is_intra and last is not None and self._chain is not None and last.size_hw == frame.size_hw:
            self._chain.push(filled(bridge(last.luma, frame.luma)))
        elif anew or self._chain is None or frame.is_keyframe or is_intra or not is_followed:
            self.begin_at(frame)
        else:
            self._chain.push(last_step(frame))
        assert self._reference is not None
        return self._reference

    def begin_at(self, frame: Frame) -> None:
        """See `MotionSource`."""
        if self._chain is None or self._chain.size_hw != frame.size_hw:
            self._chain = MotionChain(frame.size_hw)
        self._chain.reset()
        self._reference = frame

    def field(self, frame: Frame) -> MotionField:  # noqa: ARG002
        """See `MotionSource`."""
        assert self._chain is not None
        return self._chain.compose(self.cell)


class RecoveredReferences(MotionSource):
    """Frames read with `references`, whose motion leads through whichever pictures their blocks refer to.

    The reference is the keyframe that most of a frame leads to, which in an open GOP may be shown later, or a frame
    after it at which motion had to begin.
    """

    stage = "motion"
    reads_codec = True
    mixes_lost = True

    def __init__(self, cell: int) -> None:
        self.cell = cell
        self._reference: Frame | None = None
        self._begun: Frame | None = None

    def is_other_stream(self, frame: Frame) -> bool:
        """See `MotionSource`."""
        return frame.references is not None and frame.decode_index == 0

    def observe(self, frame: Frame, *, anew: bool) -> Frame:  # noqa: ARG002
        """See `MotionSource`; beginning anew is left to `begin_at`, as others may yet lead to where this frame does."""
        assert frame.references is not None
        if self.is_other_stream(frame):
            self._begun = None
        keyframe, begun = frame.references.keyframe or frame, self._begun
        is_later = (
            begun is not None
            and keyframe.decode_index < begun.decode_index < frame.decode_index
            and not index_in_stream(begun) < index_in_stream(keyframe) < index_in_stream(frame)  # none refers over it
        )
        self._reference = begun if begun is not None and is_later else keyframe
        return self._reference

    def begin_at(self, frame: Frame) -> None:
        """See `MotionSource`. Later frames lead to this one only if others may refer to it."""
        self._reference = frame
        if frame.references is not None and frame.references.is_reference:
            self._begun = frame

    def field(self, frame: Frame) -> MotionField:
        """See `MotionSource`."""
        assert frame.references is not None
        assert self._reference is not None
        return frame.references.compose(self.cell, to=index_in_stream(self._reference))


def last_step(frame: Frame) -> MotionField:
    """A P-frame's motion to the frame before it, on cells of 8 pixels, blocks without reference filled. It is kept as
    long as the frame is."""
    assert frame.motion is not None
    step = _STEPS.get(frame)
    if step is None:
        step = _STEPS[frame] = filled(MotionField.from_vectors(frame.motion))
    return step

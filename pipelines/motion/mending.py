"""Recovered references, mended: what intra-coded blocks and frames hide of the motion is found by other pictures and by
optical flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ...codec import Frame, MotionField
from .bridging import bridge
from .codec_sources import RecoveredReferences
from .later import is_reference, joined, merged, way_between
from .source import index_in_stream

ABOVE = 0.1
"""Share of cells with texture whose way is lost above which a frame's motion is mended."""

FLAT = 2.0
"""Deviation of the luma, in grey levels, below which a cell has no texture: labels carried there are right anyway."""

WIDTH = 320
"""Pixels in a row, at most, of the pictures between which optical flow is sought (but half of the whole, at most)."""

_BRIDGED = 2  # intra-coded frames that later ones may lead to


@dataclass(frozen=True, eq=False)
class Bridged:
    """An intra-coded `frame` over which motion leads on, along `field`, to an earlier `reference`."""

    frame: Frame
    field: MotionField
    reference: Frame


class MendedReferences(RecoveredReferences):
    """`RecoveredReferences` that also follow what P-frames code anew, as x264 does with all that moves fast.

    Between two P-frames that are several frames apart a near car is mostly intra-coded: its way is lost for the rest of
    the GOP. Where more than the share ABOVE of a frame's cells is lost like this, their way is sought by the last
    reference picture, whose own way was mended, and, on reference pictures, by optical flow (`bridge`) from the frame
    shown before.

    One that `bridges` also leads over intra-coded frames, by optical flow from the frame shown before.
    """

    def __init__(self, cell: int, *, bridges: bool = False) -> None:
        super().__init__(cell)
        self.bridges = bridges
        self._bridged: dict[int, Bridged] = {}
        self._over: Bridged | None = None
        self._to: int | None = None
        self._last: tuple[Frame, MotionField] | None = None
        self._picture: tuple[Frame, MotionField] | None = None

    def observe(self, frame: Frame, *, anew: bool) -> Frame:
        """See `MotionSource`."""
        before = self._reference
        if self.is_other_stream(frame):
            self._last, self._bridged = None, {}
        reference = super().observe(frame, anew=anew)
        self._over = self._bridged.get(index_in_stream(reference))
        if reference is frame and before is not None and before is not frame and not anew:
            self._over = self._bridge(frame, before)
        if self._over is not None:
            reference = self._reference = self._over.reference
        elif reference is frame:
            self._start(frame)
        return reference

    def begin_at(self, frame: Frame) -> None:
        """See `MotionSource`."""
        super().begin_at(frame)
        self._bridged.pop(index_in_stream(frame), None)
        self._over = None
        self._start(frame)

    def field(self, frame: Frame) -> MotionField:
        """See `MotionSource`."""
        assert self._reference is not None
        own = super().field(frame) if self._over is None else self._led_over(frame, self._over)
        to = index_in_stream(self._reference)
        if self._to != to or (self._last is not None and self._last[1].size_hw != own.size_hw):
            self._to, self._last, self._picture = to, None, None
        found = own
        if _lost_in_texture(frame, own) > ABOVE:
            found = merged(self._ways(frame, own), enough=0) or own
        self._last = frame, found
        if is_reference(frame):
            self._picture = self._last
        return found

    def _ways(self, frame: Frame, own: MotionField) -> Iterator[MotionField]:
        yield own
        if self._picture is not None:
            picture, onward = self._picture
            way = way_between(frame, picture, self.cell)
            if way is not None:
                yield joined(way, onward)
        if self._last is not None and is_reference(frame):
            before, onward = self._last
            smaller = max(2, round(frame.size_hw[1] / WIDTH))
            yield joined(bridge(before.luma, frame.luma, self.cell, smaller=smaller), onward)

    def _bridge(self, frame: Frame, reference: Frame) -> Bridged | None:
        """An intra-coded frame, if motion can be led over it to the reference so far."""
        is_intra = frame.pict_type == "I"
        if not self.bridges or not is_intra or self._last is None or self._last[1].size_hw != frame.size_hw:
            return None
        before, onward = self._last
        found = Bridged(frame, joined(bridge(before.luma, frame.luma, self.cell), onward), reference)
        self._bridged = dict([*self._bridged.items(), (index_in_stream(frame), found)][-_BRIDGED:])
        return found

    def _led_over(self, frame: Frame, over: Bridged) -> MotionField:
        """A frame's motion by way of an intra-coded one that is bridged, or that frame's own."""
        if frame is over.frame:
            return over.field
        way = way_between(frame, over.frame, self.cell)
        if way is None:
            still, lost = np.zeros_like(over.field.displacement), np.ones_like(over.field.unreferenced)
            return MotionField(still, lost, over.field.size_hw, over.field.cell)
        return joined(way, over.field)

    def _start(self, frame: Frame) -> None:
        """Motion begins at this frame: it leads to itself."""
        rows, columns = (-(-side // self.cell) for side in frame.size_hw)
        still, known = np.zeros((rows, columns, 2), np.float32), np.zeros((rows, columns), np.bool_)
        self._to, self._picture = index_in_stream(frame), None
        self._last = frame, MotionField(still, known, frame.size_hw, (self.cell, self.cell))


def _lost_in_texture(frame: Frame, field: MotionField) -> float:
    """The share of cells, 0 to 1, that have texture and no known way."""
    if np.count_nonzero(field.unreferenced) <= ABOVE * field.unreferenced.size:
        return 0.0
    rows, columns = field.unreferenced.shape
    luma = frame.shrunk_luma((rows, columns)).astype(np.float32)
    variance = cv2.blur(luma * luma, (3, 3)) - np.square(cv2.blur(luma, (3, 3)))
    return float(np.mean(field.unreferenced & (variance > FLAT * FLAT)))

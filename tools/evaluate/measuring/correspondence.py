"""Which pixel of a frame is which of the frame before it, for temporal consistency: by optical flow or by the codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ....codec import Frame, MotionField
from ....data import LabelledSequence
from ....segnet import Flow, match_pixels, not_occluded

Match = NDArray[np.int32]


@dataclass(frozen=True)
class PairMotion:
    """What is known of the motion between a frame and the one before it.

    `match` is the frame's pixels' counterparts in the frame before, (H, W), that temporal consistency follows, and
    `by_codec` those by its own motion vectors. `onward` (H, W, 2) is the flow from the frame before to this one, in
    pixels, x before y, which the published metrics take. Each is None where it is unknown.
    """

    match: Match | None = None
    by_codec: Match | None = None
    onward: NDArray[np.float32] | None = None


Matcher = Callable[[int, Frame], PairMotion]
"""From a frame's position in its sequence and the frame itself to the motion from and to the frame before."""


class FlowMatcher:
    """Optical flow between a sequence's frames as they were before encoding: DIS (Kroeger et al., ECCV 2016) or `flow`.

    Both directions, and only pixels that are not occluded; the codec's match beside it. What a pair needs is kept,
    since every mode and every clip of the sequence asks for it: 12 bytes a pixel.
    """

    def __init__(self, sequence: LabelledSequence, flow: Flow | None = None) -> None:
        self._sequence = sequence
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow = flow
        self._known: dict[int, tuple[Match, NDArray[np.float32]]] = {}

    def __call__(self, position: int, frame: Frame) -> PairMotion:
        """The motion between the sequence's frame `position` and the one before it."""
        if position not in self._known:
            before, now = (self._sequence.image(p) for p in (position - 1, position))
            there, back = self._between(now, before), self._between(before, now)
            self._known[position] = match_pixels(there, not_occluded(there, back)), back
        match, onward = self._known[position]
        return PairMotion(match, match_by_codec(frame, (match.shape[0], match.shape[1])), onward)

    def _between(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._flow is not None:
            found = self._flow(torch.from_numpy(first)[None], torch.from_numpy(second)[None])
            return np.ascontiguousarray(found[0].numpy(), np.float32)
        grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (first, second)]
        return np.asarray(self._search.calc(grey[0], grey[1], None), np.float32)


def follow_codec(position: int, frame: Frame, size_hw: tuple[int, int] | None = None) -> PairMotion:  # noqa: ARG001
    """The motion vectors alone, as `match_by_codec` takes them."""
    match = match_by_codec(frame, size_hw)
    return PairMotion(match, match)


def match_by_codec(frame: Frame, size_hw: tuple[int, int] | None = None) -> Match | None:
    """The match that a P-frame's own motion vectors give; None on keyframes, which have none.

    `size_hw` is what of the frame is matched, from its upper left corner: the size before it was padded to even sides.
    Costs nothing, but flatters modes that carry labels along these very vectors, and is blind to what changes at
    keyframes.
    """
    if frame.motion is None or frame.motion_absence is not None or frame.distance == 0:
        return None
    field = MotionField.from_vectors(frame.motion)
    height, width = size_hw or frame.size_hw
    side = int(field.cell[0])
    dense = field.displacement.repeat(side, 0).repeat(side, 1)[:height, :width]
    known = ~field.unreferenced.repeat(side, 0).repeat(side, 1)[:height, :width]
    return match_pixels(np.ascontiguousarray(dense), known)


def no_match(position: int, frame: Frame) -> PairMotion:  # noqa: ARG001
    """No temporal consistency."""
    return PairMotion()

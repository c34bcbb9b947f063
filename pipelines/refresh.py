"""When the network looks: the stream's keyframes, a fixed interval, a bound on lost cells."""

from __future__ import annotations

from abc import ABC
from typing import Generic, TypeVar

import numpy as np

from ..codec import Frame, MotionField
from .carriers import Carrier
from .pipeline import Scores

P = TypeVar("P")

REFRESH_FRAMES = 4
"""Frames that must be left until the next keyframe, as far as the last GOP's length tells, for a look to be worth it
below CUT_ABOVE."""

CUT_ABOVE = 0.6
"""Share of lost cells above which the network sees a frame however near the next keyframe is."""


class Refresh(ABC, Generic[P]):
    """A rule that decides, frame by frame, whether the network looks, or which carrier is to serve instead.

    `observe` and `choose` are asked once for every frame, `observe` before its motion is followed, `choose` after that
    and only where the frame's labels are wanted and motion leads elsewhere. One object serves one stream.
    """

    @property
    def expected(self) -> float | None:
        """The share of the last frame's pixels, 0 to 1, whose labels are expected to be those that the network would
        have given; None from rules that expect nothing."""
        return None

    def observe(self, frame: Frame, since: int) -> bool:  # noqa: ARG002
        """Take note of the next frame; whether motion begins anew at it, `since` frames after it last did."""
        return False

    def choose(self, frame: Frame, field: MotionField, carrier: Carrier[P]) -> Carrier[P] | None:  # noqa: ARG002
        """What serves a frame with this motion to its reference: the `carrier` that is proposed, another of the same
        payload, or None where the network is to look."""
        return carrier

    def refer_to(self, reference: Frame) -> None:
        """Motion leads to this frame from now on, until told otherwise."""

    def looked(self, frame: Frame, logits: Scores) -> None:
        """The network has run on this frame, the present reference, and gave these logits (h, w, classes)."""

    def took(self, milliseconds: float, from_network: bool) -> None:
        """What a frame's labels took, and whether the network saw it."""


class StreamKeyframes(Refresh[P]):
    """The stream's own keyframes, those that `gop_max` makes among them.

    With `spares_bridged`, none that motion may lead over: intra-coded ones.
    """

    def __init__(self, *, spares_bridged: bool = False) -> None:
        self.spares_bridged = spares_bridged

    def observe(self, frame: Frame, since: int) -> bool:  # noqa: ARG002
        """See `Refresh`."""
        return frame.distance == 0 and not (self.spares_bridged and may_be_bridged(frame))


def leads_on(frame: Frame) -> bool:
    """Whether a look at this frame helps those after it. Frames after the P-frame that follows a B-frame were coded
    before the B-frame, and lead to the look before it."""
    return frame.references is None or frame.pict_type != "B"


def may_be_bridged(frame: Frame) -> bool:
    """Whether motion that bridges intra-coded frames can lead over this one."""
    return frame.pict_type == "I"


class FixedInterval(Refresh[P]):
    """Every `frames`-th frame. Motion by the codec's vectors also begins anew at the stream's own keyframes."""

    def __init__(self, frames: int) -> None:
        if frames < 1:
            raise ValueError(f"an interval of {frames} frames is impossible; give 1 or more")
        self.frames = frames

    def observe(self, frame: Frame, since: int) -> bool:  # noqa: ARG002
        """See `Refresh`."""
        return since >= self.frames


class LostCells(Refresh[P]):
    """Frames of which more than the share `above` (0..1) of the cells is not explained by motion, as after a cut.

    The bound is CUT_ABOVE, if that is higher, for frames to which none of those lead that come later (`leads_on`), and,
    with `spares_ends`, where by the last GOP's length a keyframe is due within REFRESH_FRAMES frames.
    """

    def __init__(self, above: float, *, spares_ends: bool) -> None:
        self.above, self.spares_ends = above, spares_ends
        self._distance: int | None = None
        self._last_gop: int | None = None

    def observe(self, frame: Frame, since: int) -> bool:  # noqa: ARG002
        """See `Refresh`."""
        if frame.distance == 0:
            self._last_gop = None if self._distance is None else self._distance + 1
        self._distance = frame.distance
        return False

    def choose(self, frame: Frame, field: MotionField, carrier: Carrier[P]) -> Carrier[P] | None:
        """See `Refresh`."""
        left = 0 if self._last_gop is None else self._last_gop - frame.distance
        is_near = self.spares_ends and 0 < left < REFRESH_FRAMES
        limit = max(self.above, CUT_ABOVE) if is_near or not leads_on(frame) else self.above
        return carrier if np.count_nonzero(field.unreferenced) / field.unreferenced.size <= limit else None


class AnyOf(Refresh[P]):
    """Several rules: the network looks where any of them wants it to; a carrier goes through all in turn."""

    def __init__(self, *rules: Refresh[P]) -> None:
        self.rules = rules

    def observe(self, frame: Frame, since: int) -> bool:
        """See `Refresh`."""
        answers = [rule.observe(frame, since) for rule in self.rules]  # all of them take note
        return any(answers)

    def choose(self, frame: Frame, field: MotionField, carrier: Carrier[P]) -> Carrier[P] | None:
        """See `Refresh`."""
        for rule in self.rules:
            chosen = rule.choose(frame, field, carrier)
            if chosen is None:
                return None
            carrier = chosen
        return carrier

    @property
    def expected(self) -> float | None:
        """See `Refresh`: what the most pessimistic rule expects."""
        return min((rule.expected for rule in self.rules if rule.expected is not None), default=None)

    def refer_to(self, reference: Frame) -> None:
        """See `Refresh`."""
        for rule in self.rules:
            rule.refer_to(reference)

    def looked(self, frame: Frame, logits: Scores) -> None:
        """See `Refresh`."""
        for rule in self.rules:
            rule.looked(frame, logits)

    def took(self, milliseconds: float, from_network: bool) -> None:
        """See `Refresh`."""
        for rule in self.rules:
            rule.took(milliseconds, from_network)

"""Which earlier frames a clip network looks at: by fixed offsets, by seconds, or guided by the codec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

OFFSETS = (9, 6, 3)
"""Frames from the references to the target in which MRCFA was trained, at 15 frames a second."""

SECONDS = (0.6, 0.4, 0.2)
"""The same in seconds."""

_EARLY: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {3: (0, 1, 2), 4: (0, 2, 3), 5: (0, 2, 4), 6: (0, 2, 4), 7: (0, 3, 5), 8: (0, 3, 6)}
)


@dataclass(frozen=True)
class Moment:
    """What the choice of references knows of a frame.

    `index` counts frames from the first, `seconds` is the time shown or None, `travelled` the mean length of motion
    summed up since the first frame, as a share of the picture's height, `is_intra` whether the frame is an I-frame, and
    `qp` its mean quantiser, None where it is not known.
    """

    index: int
    seconds: float | None = None
    travelled: float = 0.0
    is_intra: bool = False
    qp: float | None = None


class ReferenceChoice(ABC):
    """How references are chosen.

    `uses_signals` tells whether it needs motion, quantisers and cuts; `seconds` how far back frames must be kept, and
    `frames` the same where there are no times or `seconds` is 0; `alone_per_frame` whether a frame without references
    gets per-frame logits, as the released code has it, or is its own reference.
    """

    uses_signals: ClassVar[bool] = False
    frames: ClassVar[int] = max(OFFSETS)
    seconds: ClassVar[float] = 0.0
    alone_per_frame: ClassVar[bool] = False

    @abstractmethod
    def choose(self, past: Sequence[Moment], now: Moment) -> tuple[int, ...]:
        """Positions in `past` (oldest first, without `now`) of up to three references, ascending, none twice."""


class FixedReferences(ReferenceChoice):
    """The frames 9, 6 and 3 before; where the stream is not that old, its oldest frame instead."""

    def choose(self, past: Sequence[Moment], now: Moment) -> tuple[int, ...]:  # noqa: ARG002
        """See `ReferenceChoice`."""
        return tuple(sorted({max(0, len(past) - offset) for offset in OFFSETS})) if past else ()


class PublishedReferences(ReferenceChoice):
    """As the released code has it: 9, 6 and 3 frames before, a table for frames 3 to 8, none for frames 0 to 2."""

    alone_per_frame = True

    def choose(self, past: Sequence[Moment], now: Moment) -> tuple[int, ...]:
        """See `ReferenceChoice`."""
        if now.index >= max(OFFSETS):
            return tuple(len(past) - offset for offset in OFFSETS)
        return _EARLY.get(now.index, ())


class TimedReferences(ReferenceChoice):
    """The frames nearest to 0.6, 0.4 and 0.2 seconds before, whatever the frame rate; by offsets where there are no
    times. A slower stream gives fewer of them, its nearest ones."""

    seconds = max(SECONDS)

    def choose(self, past: Sequence[Moment], now: Moment) -> tuple[int, ...]:
        """See `ReferenceChoice`."""
        times = [moment.seconds for moment in past]
        if not past or now.seconds is None or any(time is None for time in times):
            return FixedReferences().choose(past, now)
        ages = now.seconds - np.array(times, np.float64)
        return tuple(sorted({int(np.abs(ages - wanted).argmin()) for wanted in SECONDS}))


class GuidedReferences(ReferenceChoice):
    """References at equal steps of motion, I-frames and finely quantised frames first; the pipeline forgets what lies
    before a cut.

    A step is `step` of the picture's height in accumulated mean motion, or 0.6 seconds, whichever comes first, so that
    a fast scene is looked at closely and a still one from afar. Reference k = 1, 2, 3 is the frame whose distance d in
    steps, plus a penalty, is nearest to k: the least of |d - k| + `qp_weight` (qp - least qp) for predicted frames.
    """

    uses_signals = True
    seconds = 1.8
    frames = 54

    def __init__(self, step: float = 0.02, qp_weight: float = 0.02) -> None:
        self.step, self.qp_weight = step, qp_weight

    def choose(self, past: Sequence[Moment], now: Moment) -> tuple[int, ...]:
        """See `ReferenceChoice`."""
        if not past:
            return ()
        distance = np.array([self._steps(moment, now) for moment in past])
        qp = np.array([np.nan if moment.qp is None else moment.qp for moment in past])
        penalty = np.zeros(len(past)) if np.isnan(qp).all() else self.qp_weight * np.nan_to_num(qp - np.nanmin(qp))
        penalty = np.where([moment.is_intra for moment in past], 0.0, penalty + self.qp_weight)
        taken: list[int] = []
        for wanted in range(1, min(len(OFFSETS), len(past)) + 1):
            cost = np.abs(distance - wanted) + penalty
            cost[taken] = np.inf
            taken.append(int(cost.argmin()))
        return tuple(sorted(taken))

    def _steps(self, moment: Moment, now: Moment) -> float:
        if moment.seconds is None or now.seconds is None:
            in_time = (now.index - moment.index) / max(OFFSETS)
        else:
            in_time = (now.seconds - moment.seconds) / max(SECONDS)
        return max(in_time, (now.travelled - moment.travelled) / self.step)


CHOICES: dict[str, type[ReferenceChoice]] = {
    "seconds": TimedReferences,
    "fixed": FixedReferences,
    "guided": GuidedReferences,
    "published": PublishedReferences,
}

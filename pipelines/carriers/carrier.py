"""`Carrier`: what is kept of a reference frame, and how it is brought to another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, Generic, TypeVar

import numpy as np

from ...codec import Frame, MotionField
from ..pipeline import Clock, Occluded, Scores

P = TypeVar("P")


@dataclass(frozen=True, eq=False)
class Seen(Generic[P]):
    """What a look at a reference frame gave: its `logits`, and the `payload` for later frames."""

    logits: Scores
    payload: P


@dataclass(frozen=True, eq=False)
class Passenger(Generic[P]):
    """A frame to which something is to be brought.

    `motion` leads from it to the reference whose payload is at hand, `carrier` brings it, and `timings` are the
    milliseconds that the frame has taken so far. `expected` is what a refresh rule expects of what is brought, and
    `since` how many frames ago motion began.
    """

    frame: Frame
    motion: MotionField
    payload: P
    carrier: Carrier[P]
    timings: dict[str, float] = field(default_factory=dict)
    expected: float | None = None
    since: int = 0


@dataclass(frozen=True, eq=False)
class Carried:
    """What was brought to one frame: `scores` (h, w, classes), logits or where `are_probabilities`, those; `occluded`
    (h, w) bool is where they are not to be trusted, on cells that span the picture, or gives that once the labels are
    there. `left_wrong` is the part of the
    wrong pixels expected by a refresh rule which is left, about, because more was known than the rule could know."""

    scores: Scores
    occluded: Occluded
    are_probabilities: bool = False
    left_wrong: float = 1.0


class Carrier(ABC, Generic[P]):
    """Makes a payload of type P of a reference frame, and brings it to others.

    `batch` is how many frames it takes at once at best, and `reads_pictures` whether it looks at the pictures of frames
    between references, too. One carrier serves one stream.
    """

    batch: int = 1
    reads_pictures: ClassVar[bool] = False

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """Look at a black picture, so that one-time preparations are not counted with the first frame."""
        self.see(black_frame(size_hw), uncounted)

    @abstractmethod
    def see(self, frame: Frame, clock: Clock) -> Seen[P]:
        """Look at a reference frame's picture."""

    @abstractmethod
    def carry(self, passengers: Sequence[Passenger[P]], clock: Clock) -> list[Carried]:
        """Bring one payload, which all share, to one or more frames in display order."""

    def carry_between(
        self,
        passengers: Sequence[Passenger[P]],
        later: Frame,  # noqa: ARG002
        payload: P,  # noqa: ARG002
        clock: Clock,
    ) -> list[Carried]:
        """As `carry`, where the network has looked at the frame `later` since, to which motion could be followed; its
        `payload` may be used, too."""
        return self.carry(passengers, clock)

    def begin(self) -> None:
        """Motion begins at another reference frame: forget what was followed."""

    def follow(self, frame: Frame) -> None:
        """Take note of the next frame that is no reference itself, after its motion was followed and whether or not
        its labels are wanted; never the network."""


def black_frame(size_hw: tuple[int, int]) -> Frame:
    """A keyframe of no stream."""
    return Frame(0, None, Fraction(1), "I", True, 0, size_hw, load_image=lambda: np.zeros((*size_hw, 3), np.uint8))


def uncounted(stage: str) -> AbstractContextManager[None]:  # noqa: ARG001
    """A clock that counts nothing."""
    return nullcontext()

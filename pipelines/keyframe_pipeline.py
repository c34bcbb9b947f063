"""`KeyframePipeline`: the network on some frames, and what it said brought to the others along motion."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Generic, TypeVar

from ..codec import Frame
from .carriers import Carried, Carrier, Passenger, Seen
from .motion import MotionSource, index_in_stream
from .pipeline import Pipeline, Scored, Unlabelled
from .prediction import Prediction
from .refresh import Refresh
from .runner import NetworkRunner

P = TypeVar("P")
_KEPT = 3


class KeyframePipeline(Pipeline, Generic[P]):
    """A motion source, a carrier and a refresh rule put together.

    `motion` follows frames back to a reference frame. `carrier` makes a payload of the reference where the network
    looks, and brings it to other frames. `refresh` says where the network looks. Each is used by one pipeline only.

    References lie ahead of their turn where a stream leads motion to a keyframe that is shown later: that frame is
    seen when it is needed first, and not again in its turn. Frames that a carrier takes several at a time wait in
    `push` until there are enough, or until the network looks.
    """

    def __init__(
        self,
        runner: NetworkRunner,
        motion: MotionSource,
        carrier: Carrier[P],
        refresh: Refresh[P],
        *,
        keep_logits: bool = False,
    ) -> None:
        super().__init__(runner, keep_logits=keep_logits)
        self.motion, self.carrier, self.refresh = motion, carrier, refresh
        self.needs_motion = motion.reads_codec
        self.needs_pictures = carrier.reads_pictures or not motion.reads_codec
        self._memory: Memory[P] = Memory()
        self._since = 0
        self._index = -1
        self._waiting: list[Passenger[P]] = []

    def needs_image(self, frame: Frame) -> bool:
        """See `Pipeline`."""
        return self.motion.reads_images or super().needs_image(frame)

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """See `Pipeline`."""
        self.carrier.warm_up(size_hw)

    def _observe(self, frame: Frame) -> None:
        self._since += 1
        self._index = index_in_stream(frame)
        is_due = self.refresh.observe(frame, self._since)
        with self._clock(self.motion.stage):
            if self.motion.is_other_stream(frame):
                self._memory = Memory()
            self._refer_to(self.motion.observe(frame, anew=is_due), frame)
            if is_due and self._memory.reference is not frame:
                self._begin_at(frame)
            if self._memory.reference is frame:
                self._since = 0
            else:
                self.carrier.follow(frame)

    def _segment(self, frame: Frame) -> Scored:
        passenger = self._board(frame)
        if passenger is None:
            return self._seen_now()
        return _scored(passenger.carrier.carry([passenger], self._clock)[0], passenger)

    def _push(self, frame: Frame) -> Iterator[Unlabelled]:
        self._timings = {}
        self._observe(frame)
        passenger = self._board(frame)
        if passenger is not None:
            self._waiting.append(passenger)
            if len(self._waiting) >= passenger.carrier.batch:
                yield from self._flush()
            return
        scored, own = self._seen_now(), self._timings
        yield from self._flushed(frame)
        yield Unlabelled(frame, scored, own)

    def _flush(self) -> Iterator[Unlabelled]:
        """The frames that wait, each keyframe's in one pass."""
        yield from self._flushed(None)

    def _flushed(self, later: Frame | None) -> Iterator[Unlabelled]:
        """The same; `later` is a frame after them at which the network has looked."""
        waiting, self._waiting = self._waiting, []
        for _, group in groupby(waiting, lambda one: (id(one.carrier), id(one.payload))):
            passengers, self._timings = list(group), {}
            carrier, payload = passengers[0].carrier, self._memory.payload
            if later is None or payload is None:
                carried = carrier.carry(passengers, self._clock)
            else:
                carried = carrier.carry_between(passengers, later, payload, self._clock)
            shared = {stage: value / len(passengers) for stage, value in self._timings.items()}
            for passenger, one in zip(passengers, carried, strict=True):
                own = passenger.timings
                timings = {stage: own.get(stage, 0) + shared.get(stage, 0) for stage in {**own, **shared}}
                yield Unlabelled(passenger.frame, _scored(one, passenger), timings)

    def _known(self, prediction: Prediction) -> Prediction:
        self.refresh.took(sum(prediction.timings.values()), prediction.from_network)
        return prediction

    def _board(self, frame: Frame) -> Passenger[P] | None:
        """The frame with what is brought to it, or None where the network looks at this very frame."""
        if self._memory.reference is frame:
            return None
        with self._clock(self.motion.stage):
            field = self.motion.field(frame)
        with self._clock("refresh"):
            carrier = self.refresh.choose(frame, field, self.carrier)
        if carrier is None:
            self._begin_at(frame)
            return None
        payload = self._memory.payload
        if payload is None:  # the reference was skipped so far
            payload = self._look().payload
        return Passenger(frame, field, payload, carrier, self._timings, self.refresh.expected, self._since)

    def _begin_at(self, frame: Frame) -> None:
        """Make `frame` the one that motion leads back to; the network runs on it once that is needed."""
        self._since = 0
        self.motion.begin_at(frame)
        self._refer_to(frame, frame)

    def _refer_to(self, reference: Frame, now: Frame) -> None:
        if reference is not self._memory.reference:
            self.carrier.begin()
            self._memory.turn_to(reference, returns=now.references is not None)
            self.refresh.refer_to(reference)

    def _seen_now(self) -> Scored:
        return Scored(self._look().logits, expected=self.refresh.expected)

    def _look(self) -> Seen[P]:
        """What the network says of the reference."""
        memory = self._memory
        assert memory.reference is not None
        index = index_in_stream(memory.reference)
        seen = memory.ahead.pop(index, None)
        if seen is None:
            seen = self.carrier.see(memory.reference, self._clock)
            self.refresh.looked(memory.reference, seen.logits)
        if index > self._index:
            memory.ahead = {index: seen}
        memory.payload = seen.payload
        return seen


class Memory(Generic[P]):
    """The present reference frame and its payload, those that motion may lead back to, and what was seen ahead."""

    def __init__(self) -> None:
        self.reference: Frame | None = None
        self.payload: P | None = None
        self.ahead: dict[int, Seen[P]] = {}
        self._kept: dict[int, P] = {}

    def turn_to(self, frame: Frame, *, returns: bool) -> None:
        """Make `frame` the reference, with its payload if that is remembered; `returns` tells whether motion may lead
        back to earlier ones, as recovered references do, or leads to one keyframe after the other."""
        if returns and self.reference is not None and self.payload is not None:
            index = index_in_stream(self.reference)
            self._kept.pop(index, None)
            self._kept = dict([*self._kept.items(), (index, self.payload)][-_KEPT:])
        self.reference, self.payload = frame, self._kept.get(index_in_stream(frame)) if returns else None


def _scored(carried: Carried, passenger: Passenger[P]) -> Scored:
    expected = passenger.expected
    if expected is not None:
        expected = 1 - (1 - expected) * carried.left_wrong
    return Scored(carried.scores, False, carried.occluded, carried.are_probabilities, expected)

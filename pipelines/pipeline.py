"""`Pipeline`: the base of every inference strategy over a stream of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..codec import Frame
from .labels import upsample_labels
from .prediction import Prediction
from .runner import NetworkRunner
from .timing import Clock as Clock
from .timing import clocked

LABELS_BEHIND = 4
"""Frames whose labels are being made while the next ones are followed."""


class LateScores(Protocol):
    """Scores that are worked out as far as they are needed, or that are on an accelerator."""

    def full(self) -> NDArray[np.float32]:
        """All of them, (h, w, classes)."""

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """The labels (H, W) that `upsample_labels` makes of them."""


Scores = NDArray[np.float32] | LateScores

Occluded = NDArray[np.bool_] | Callable[[], NDArray[np.bool_]]
"""Where motion could not tell what is there, (h, w) bool, or what gives it when the labels are there."""


def all_scores(scores: Scores) -> NDArray[np.float32]:
    """(h, w, classes), worked out where they are not yet."""
    return scores if isinstance(scores, np.ndarray) else scores.full()


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of one frame: `scores` (h, w, classes), whose upsampled argmax is the labels.

    `from_network` tells whether the network saw this very frame. `occluded` is where motion could not tell what is
    there. The scores are logits, or where `are_probabilities`, those. `expected` is the
    share of pixels expected to have the network's own labels, None where nobody says.
    """

    scores: Scores
    from_network: bool = True
    occluded: Occluded | None = None
    are_probabilities: bool = False
    expected: float | None = None


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """A frame whose labels are yet to be made of what is known of it; `timings` are the milliseconds so far."""

    frame: Frame
    scored: Scored
    timings: dict[str, float]


class Pipeline(ABC):
    """Frames in display order to predictions; one pipeline serves one stream.

    `needs_motion` tells whether P-frames must carry vectors that mean 'the previous frame', or references. A subclass
    has the two methods `_observe` and `_segment`. With `keep_logits` predictions hold them. `needs_pictures` tells
    whether every frame's RGB picture is looked at, and not only a keyframe's: a reader can then convert them ahead.
    """

    needs_motion: bool = False
    needs_pictures: bool = False

    def __init__(self, runner: NetworkRunner, *, keep_logits: bool = False) -> None:
        self.runner = runner
        self.keep_logits = keep_logits
        self._timings: dict[str, float] = {}

    def needs_image(self, frame: Frame) -> bool:
        """Whether a frame's `image` is going to be looked at, as far as is known before: not where its planes go to an
        accelerator instead."""
        return (self.needs_pictures or frame.is_keyframe) and self.runner.needs_image(frame)

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """Run what runs on frames of that size once on a black picture, so that one-time preparations are not counted
        with the first ones."""
        self.runner.warm_up(size_hw)

    @abstractmethod
    def _observe(self, frame: Frame) -> None:
        """Update the state from the next frame of the stream; cheap, and never the network."""

    @abstractmethod
    def _segment(self, frame: Frame) -> Scored:
        """The scores of the frame observed last."""

    def step(self, frame: Frame) -> Prediction:
        """Segment the next frame. Frames must come in display order, none left out but through `skip`."""
        return self._known(self._label(self._unlabelled(frame)))

    def push(self, frame: Frame) -> Iterator[Prediction]:
        """Take the next frame; yield the predictions that are known by now, in order. A mode may wait for more frames,
        to look at several at once; `flush` ends that."""
        for each in self._push(frame):
            yield self._known(self._label(each))

    def flush(self) -> Iterator[Prediction]:
        """The predictions of frames that were pushed and not yet yielded."""
        for each in self._flush():
            yield self._known(self._label(each))

    def skip(self, frame: Frame) -> None:
        """Pass over a frame whose labels nobody wants, keeping what later frames need of it."""
        self._timings = {}
        self._observe(frame)

    def run(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Predictions of all frames, in order; the same labels as `step` by `step`.

        Labels are made in a thread of their own, at most LABELS_BEHIND frames behind, while the next frames are
        followed. What fails on the way, or Ctrl-C, is raised after the predictions of all frames before.
        """
        waiting: deque[Future[Prediction]] = deque()
        labeller = ThreadPoolExecutor(1, thread_name_prefix="labels")
        found = self._unlabelled_of(frames)
        failure: BaseException | None = None
        try:
            while True:
                try:
                    one = next(found)
                except StopIteration:
                    break
                except (Exception, KeyboardInterrupt) as error:
                    failure = error
                    break
                waiting.append(labeller.submit(self._label, one))
                while waiting and (waiting[0].done() or len(waiting) > LABELS_BEHIND):
                    yield self._known(waiting.popleft().result())
            while waiting:
                yield self._known(waiting.popleft().result())
            if failure is not None:
                raise failure
        finally:
            labeller.shutdown(cancel_futures=True)

    def _unlabelled_of(self, frames: Iterable[Frame]) -> Iterator[Unlabelled]:
        for frame in frames:
            yield from self._push(frame)
        yield from self._flush()

    def _push(self, frame: Frame) -> Iterator[Unlabelled]:
        """See `push`."""
        yield self._unlabelled(frame)

    def _flush(self) -> Iterator[Unlabelled]:
        """See `flush`."""
        return iter(())

    def _unlabelled(self, frame: Frame) -> Unlabelled:
        self._timings = {}
        self._observe(frame)
        return Unlabelled(frame, self._segment(frame), self._timings)

    def _label(self, one: Unlabelled) -> Prediction:
        """A frame's labels from its scores. In `run` it is called in another thread, one frame after the other."""
        frame, scored, timings = one.frame, one.scored, one.timings
        with clocked(timings, "labels"):
            scores = scored.scores
            if self.keep_logits:
                scores = all_scores(scores)
            if isinstance(scores, np.ndarray):
                labels = upsample_labels(
                    scores, self.runner.stride, frame.size_hw, are_probabilities=scored.are_probabilities
                )
                logits = _logits(scores, scored.are_probabilities) if self.keep_logits else None
            else:
                labels, logits = scores.labels(frame.size_hw), None
            occluded = scored.occluded() if callable(scored.occluded) else scored.occluded
        return Prediction(
            frame=frame,
            labels=labels,
            classes=self.runner.classes,
            logits=logits,
            occluded=None if scored.from_network else occluded,
            from_network=scored.from_network,
            expected_agreement=scored.expected,
            timings=timings,
        )

    def _known(self, prediction: Prediction) -> Prediction:
        """Take note of a prediction that is ready; returns it."""
        return prediction

    def _clock(self, stage: str) -> AbstractContextManager[None]:
        """Add the body's milliseconds to the frame's timing of `stage`."""
        return clocked(self._timings, stage)


def _logits(scores: NDArray[np.float32], are_probabilities: bool) -> NDArray[np.float32]:
    return np.log(np.maximum(scores, np.float32(1e-6))) if are_probabilities else scores

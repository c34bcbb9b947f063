"""`Pipeline`: the base of every inference strategy over a stream of frames."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..codec import Frame
from .labels import upsample_labels
from .prediction import Prediction
from .runner import NetworkRunner

Clock = Callable[[str], AbstractContextManager[None]]
"""Adds the milliseconds of a `with` block to the frame's timing of a stage."""


class LateScores(Protocol):
    """Scores that are worked out as far as they are needed."""

    def full(self) -> NDArray[np.float32]:
        """All of them, (h, w, classes)."""

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """The labels (H, W) that `upsample_labels` makes of them."""


Scores = NDArray[np.float32] | LateScores


def all_scores(scores: Scores) -> NDArray[np.float32]:
    """(h, w, classes), worked out where they are not yet."""
    return scores if isinstance(scores, np.ndarray) else scores.full()


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of one frame: `scores` (h, w, classes), whose upsampled argmax is the labels.

    `from_network` tells whether the network saw this very frame. `occluded` (h, w) bool is where motion could not tell
    what is there. The scores are logits, or where `are_probabilities`, those. `expected` is the
    share of pixels expected to have the network's own labels, None where nobody says.
    """

    scores: Scores
    from_network: bool = True
    occluded: NDArray[np.bool_] | None = None
    are_probabilities: bool = False
    expected: float | None = None


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

    @abstractmethod
    def _observe(self, frame: Frame) -> None:
        """Update the state from the next frame of the stream; cheap, and never the network."""

    @abstractmethod
    def _segment(self, frame: Frame) -> Scored:
        """The scores of the frame observed last."""

    def step(self, frame: Frame) -> Prediction:
        """Segment the next frame. Frames must come in display order, none left out but through `skip`."""
        self._timings = {}
        self._observe(frame)
        return self._predict(frame, self._segment(frame))

    def push(self, frame: Frame) -> Iterator[Prediction]:
        """Take the next frame; yield the predictions that are known by now, in order. A mode may wait for more frames,
        to look at several at once; `flush` ends that."""
        yield self.step(frame)

    def flush(self) -> Iterator[Prediction]:
        """The predictions of frames that were pushed and not yet yielded."""
        return iter(())

    def skip(self, frame: Frame) -> None:
        """Pass over a frame whose labels nobody wants, keeping what later frames need of it."""
        self._timings = {}
        self._observe(frame)

    def run(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Predictions of all frames, in order; the same labels as `step` by `step`."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def _predict(self, frame: Frame, scored: Scored) -> Prediction:
        """A frame's labels from its scores."""
        with self._clock("labels"):
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
        return Prediction(
            frame=frame,
            labels=labels,
            classes=self.runner.classes,
            logits=logits,
            occluded=None if scored.from_network else scored.occluded,
            from_network=scored.from_network,
            expected_agreement=scored.expected,
            timings=self._timings,
        )

    def _picture(self, frame: Frame) -> NDArray[np.uint8]:
        """The frame's picture, (H, W, 3) uint8 RGB; the stage `rgb` counts the conversion if it is still to be made."""
        if frame.has_image:
            return frame.image
        with self._clock("rgb"):
            return frame.image

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        """Add the body's milliseconds to the frame's timing of `stage`."""
        begin = time.perf_counter()
        yield
        self._timings[stage] = self._timings.get(stage, 0.0) + (time.perf_counter() - begin) * 1e3


def _logits(scores: NDArray[np.float32], are_probabilities: bool) -> NDArray[np.float32]:
    return np.log(np.maximum(scores, np.float32(1e-6))) if are_probabilities else scores

"""`Pipeline`: the base of every inference strategy over a stream of frames."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..codec import Frame
from .labels import upsample_labels
from .prediction import Prediction
from .runner import NetworkRunner

Clock = Callable[[str], AbstractContextManager[None]]
"""Adds the milliseconds of a `with` block to the frame's timing of a stage."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of one frame: `scores` (h, w, classes), whose upsampled argmax is the labels.

    `from_network` tells whether the network saw this very frame. `occluded` (h, w) bool is where motion could not tell
    what is there. The scores are logits, or where `are_probabilities`, those. `expected` is the
    share of pixels expected to have the network's own labels, None where nobody says.
    """

    scores: NDArray[np.float32]
    from_network: bool = True
    occluded: NDArray[np.bool_] | None = None
    are_probabilities: bool = False
    expected: float | None = None


class Pipeline(ABC):
    """Frames in display order to predictions; one pipeline serves one stream.

    `needs_motion` tells whether P-frames must carry vectors that mean 'the previous frame', or references. A subclass
    has the two methods `_observe` and `_segment`. With `keep_logits` predictions hold them.
    """

    needs_motion: bool = False

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
            labels = upsample_labels(scored.scores, self.runner.stride, frame.size_hw)
        return Prediction(
            frame=frame,
            labels=labels,
            classes=self.runner.classes,
            logits=_logits(scored) if self.keep_logits else None,
            occluded=None if scored.from_network else scored.occluded,
            from_network=scored.from_network,
            expected_agreement=scored.expected,
            timings=self._timings,
        )

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        """Add the body's milliseconds to the frame's timing of `stage`."""
        begin = time.perf_counter()
        yield
        self._timings[stage] = self._timings.get(stage, 0.0) + (time.perf_counter() - begin) * 1e3


def _logits(scored: Scored) -> NDArray[np.float32]:
    return np.log(np.maximum(scored.scores, np.float32(1e-6))) if scored.are_probabilities else scored.scores

"""`Pipeline`: the base of every inference strategy over a stream of frames."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame
from ..labels import upsample_labels
from ..prediction import Prediction
from ..runner import NetworkRunner


class Pipeline(ABC):
    """Frames in display order to predictions.

    A mode is a subclass with a `mode` name, `needs_motion` (whether P-frames must carry vectors that mean 'the previous
    frame'; an instance may differ from its class), and the two methods `_observe` and `_scores`; `registry.MODES` lists
    it. One pipeline serves one stream.
    """

    mode: ClassVar[str]
    needs_motion: bool = False

    def __init__(self, runner: NetworkRunner, *, keep_logits: bool = False) -> None:
        self.runner = runner
        self.keep_logits = keep_logits
        self._timings: dict[str, float] = {}
        self._occluded: NDArray[np.bool_] | None = None

    @abstractmethod
    def _observe(self, frame: Frame) -> None:
        """Update the state from the next frame of the stream; cheap, and never the network."""

    @abstractmethod
    def _scores(self, frame: Frame) -> tuple[NDArray[np.float32], bool]:
        """Scores (h, w, classes) of the frame observed last, whose upsampled argmax is the labels, and whether the
        network saw this very frame."""

    def _as_logits(self, scores: NDArray[np.float32], from_network: bool) -> NDArray[np.float32]:  # noqa: ARG002
        """Scores as logits, for a mode whose scores are something else."""
        return scores

    def step(self, frame: Frame) -> Prediction:
        """Segment the next frame. Frames must come in display order, none left out but through `skip`."""
        self._timings, self._occluded = {}, None
        self._observe(frame)
        scores, from_network = self._scores(frame)
        return self._predict(frame, scores, from_network=from_network)

    def push(self, frame: Frame) -> Iterator[Prediction]:
        """Take the next frame; yield the predictions that are known by now, in order. A mode may wait for more frames,
        to look at several at once; `flush` ends that."""
        yield self.step(frame)

    def flush(self) -> Iterator[Prediction]:
        """The predictions of frames that were pushed and not yet yielded."""
        return iter(())

    def _predict(self, frame: Frame, scores: NDArray[np.float32], *, from_network: bool) -> Prediction:
        """Scores (h, w, classes) to a frame's labels."""
        with self._clock("labels"):
            labels = upsample_labels(scores, self.runner.stride, frame.size_hw)
        return Prediction(
            index=frame.index,
            pts=frame.pts,
            time_base=frame.time_base,
            pict_type=frame.pict_type,
            distance=frame.distance,
            labels=labels,
            logits=self._as_logits(scores, from_network) if self.keep_logits else None,
            occluded=None if from_network else self._occluded,
            from_network=from_network,
            timings=self._timings,
        )

    def skip(self, frame: Frame) -> None:
        """Pass over a frame whose labels nobody wants, keeping what later frames need of it."""
        self._observe(frame)

    def run(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Predictions of all frames, in order; the same labels as `step` by `step`."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def _network(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._clock("network"):
            return self.runner.logits(image)

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        """Add the body's milliseconds to the frame's timing of `stage`."""
        begin = time.perf_counter()
        yield
        self._timings[stage] = self._timings.get(stage, 0.0) + (time.perf_counter() - begin) * 1e3

"""What the steps of a mode cost on the frames that it saw: seconds, operations, and how often the network looked."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ....codec import Frame
from ....pipelines import Pipeline, Prediction
from .flops import FrameKind
from .shared_runner import SharedRunner


class Costs:
    """Kept apart for keyframes (index 0) and other frames (index 1).

    `frames`, `network_frames` (those that the network saw), `seconds` of the mode's own steps and `decode_seconds` are
    sums, (2,). `operations` are those of a step by the kind of frame, as `operations_by_kind` counts them.
    """

    def __init__(self) -> None:
        self.operations: dict[FrameKind, float] = {}
        self.frames = np.zeros(2, np.int64)
        self.network_frames = np.zeros(2, np.int64)
        self.seconds = np.zeros(2)
        self.decode_seconds = np.zeros(2)

    def step(self, runner: SharedRunner, pipeline: Pipeline, frame: Frame, decode_seconds: float) -> Prediction:
        """The pipeline's prediction of the next frame, its cost added; what remembered features saved counts, too."""
        (prediction,) = self._count(runner, lambda: [pipeline.step(frame)], frame, decode_seconds)
        return prediction

    def push(self, runner: SharedRunner, pipeline: Pipeline, frame: Frame, decode_seconds: float) -> list[Prediction]:
        """As `step`, but where the pipeline waits for more frames, so do the predictions; `flush` ends that."""
        return self._count(runner, lambda: list(pipeline.push(frame)), frame, decode_seconds)

    def flush(self, runner: SharedRunner, pipeline: Pipeline) -> list[Prediction]:
        """The predictions that the pipeline still owes."""
        return self._timed(runner, lambda: list(pipeline.flush()), 1)

    def _count(
        self, runner: SharedRunner, work: Callable[[], list[Prediction]], frame: Frame, decode_seconds: float
    ) -> list[Prediction]:
        kind = int(frame.distance != 0)
        self.decode_seconds[kind] += decode_seconds
        self.frames[kind] += 1
        return self._timed(runner, work, kind)

    def _timed(self, runner: SharedRunner, work: Callable[[], list[Prediction]], kind: int) -> list[Prediction]:
        saved, start = runner.saved_seconds, time.perf_counter()
        predictions = work()
        self.seconds[kind] += time.perf_counter() - start + runner.saved_seconds - saved
        for prediction in predictions:
            self.network_frames[int(prediction.distance != 0)] += prediction.from_network
        return predictions

    @property
    def gflops(self) -> tuple[float, float]:
        """1e9 operations (2 a multiply-accumulate) of a keyframe and, on average, of another frame."""
        both = []
        for kind, is_key in enumerate((True, False)):
            share = self.network_frames[kind] / max(1, self.frames[kind])
            whole = self.operations.get((True, True), 0.0)  # a refresh costs what a keyframe does
            seen = self.operations.get((is_key, True), whole)
            other = self.operations.get(
                (not is_key, False), whole
            )  # where keyframes are carried, too, but none was yet
            carried = self.operations.get((is_key, False), other)
            both.append((share * seen + (1 - share) * carried) / 1e9)
        return both[0], both[1]

"""Agreement with the per-frame network: what modes lose on video that nobody has labelled.

The reference is the network's own labels of every decoded frame. Agreement says how much of them a mode keeps, not how
right they are: it is no accuracy.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....codec import Frame
from ....pipelines import PerFramePipeline, Pipeline, Prediction
from ....segnet import ConfusionMatrix
from ..variants import Variant
from .costs import Costs
from .false_alarms import Absent, FalseAlarms
from .flicker import Flicker
from .flops import operations_by_kind
from .label_store import LabelStore
from .shared_runner import SharedRunner

Labels = NDArray[np.uint8]

EXACT = 32
"""Distances below this are told apart; those beyond share a matrix up to the next power of two."""
BINS = EXACT + 8
"""So many matrices, however long a GOP: the last one holds every distance from 4096."""
COUNTED = 8
"""Frames of a stream on which operations are counted."""


def bin_of(distance: int) -> int:
    """The matrix, 0 to BINS - 1, that frames at a distance to their keyframe share."""
    return distance if distance < EXACT else min(BINS - 1, EXACT + (distance // EXACT).bit_length() - 1)


def bin_name(index: int) -> str:
    """The distances of a matrix in words: '7', '32-63', '4096+'."""
    if index < EXACT:
        return str(index)
    first = EXACT << (index - EXACT)
    return f"{first}+" if index == BINS - 1 else f"{first}-{2 * first - 1}"


class ModeAgreement(Costs):
    """One variant against the per-frame network: a confusion matrix for each bin of distances, and the cost.

    Rows of the matrices are the network's labels, columns the mode's. `worst_frame` is the lowest share of equal pixels
    in a single frame. Predictions may come later than their frames: `expect` the network's labels of each frame, in
    order, and `compare` the predictions as they come. `absent` are classes that the stream does not show.
    """

    def __init__(self, variant: Variant, classes: Sequence[str], absent: Sequence[Absent] = ()) -> None:
        super().__init__()
        self.false_alarms = FalseAlarms(absent)
        self.variant, self.classes = variant, tuple(classes)
        self.worst_frame = 1.0
        self._bins: dict[int, ConfusionMatrix] = {}
        self._frames = np.zeros(BINS, np.int64)
        self._distances = np.zeros(BINS, np.int64)
        self._awaited: deque[Labels] = deque()
        self._foreseen, self._foreseen_frames = 0.0, 0

    def expect(self, reference: Labels) -> None:
        """The network's labels (H, W) of the next frame."""
        self._awaited.append(reference)

    def compare(self, predictions: Iterable[Prediction]) -> None:
        """Add the mode's predictions of the frames whose reference has waited longest."""
        for prediction in predictions:
            if prediction.expected_agreement is not None:
                self._foreseen += prediction.expected_agreement
                self._foreseen_frames += 1
            self._compare(prediction.distance, prediction.labels, self._awaited.popleft())

    def _compare(self, distance: int, labels: Labels, reference: Labels) -> None:
        at = bin_of(distance)
        self._bins.setdefault(at, ConfusionMatrix(len(self.classes))).update(labels, reference)
        self._frames[at] += 1
        self._distances[at] += distance
        self.worst_frame = min(self.worst_frame, float(np.mean(labels == reference)))
        self.false_alarms.update(labels)

    def pooled(self) -> ConfusionMatrix:
        """The confusion matrix over all frames."""
        pooled = ConfusionMatrix(len(self.classes))
        for matrix in self._bins.values():
            pooled.counts += matrix.counts
        return pooled

    def by_distance(self) -> list[dict[str, Any]]:
        """For each bin that frames fell into: its `distances` in words, their mean, `frames`, and both agreements."""
        return [
            {
                "distances": bin_name(at),
                "distance_mean": float(self._distances[at] / self._frames[at]),
                "frames": int(self._frames[at]),
                "pixel_agreement": matrix.pixel_accuracy,
                "miou_agreement": matrix.mean_iou,
            }
            for at, matrix in sorted(self._bins.items())
        ]

    def record(self, reference_gflops: float = math.nan, flicker: float = math.nan) -> dict[str, Any]:
        """The entry in `report.json`; agreements with the per-frame network are fractions of 1.

        `pixel_agreement` and `miou_agreement` are of all frames together; `..._mean` and `..._min` of the values by
        distance, each distance counting the same. `expected_agreement` is there for mode auto, what it expected itself,
        and `false_alarms` where classes are absent: the share of frames in which each is seen.

        `operations_share` is of the per-frame network's, which takes `reference_gflops` a frame. `flicker` is the share
        of pixels by which the network differs from itself carried over one frame: `ceiling` is the agreement of a mode
        that loses just this on every frame that the network does not see, and `below_ceiling` what it falls short.
        """
        pooled, rows, frames = self.pooled(), self.by_distance(), int(self.frames.sum())
        of_kinds = np.array(self.gflops) * self.frames
        found: dict[str, Any] = {
            "mode": self.variant.mode,
            "variant": self.variant.name,
            "model": self.variant.model,
            "options": dict(self.variant.options),
            "pixel_agreement": pooled.pixel_accuracy,
            "miou_agreement": pooled.mean_iou,
        }
        for key in ("pixel_agreement", "miou_agreement"):
            values = [row[key] for row in rows]
            found |= {f"{key}_mean": float(np.mean(values)), f"{key}_min": float(np.min(values))} if values else {}
        if self._foreseen_frames:
            found["expected_agreement"] = self._foreseen / self._foreseen_frames
        if self.false_alarms.absent:
            found["false_alarms"] = self.false_alarms.compute()
        seen = int(self.network_frames.sum())
        ceiling = 1 - (1 - seen / max(1, frames)) * flicker
        gflops = float(of_kinds.sum() / max(1, frames))
        return found | {
            "pixel_agreement_worst_frame": self.worst_frame,
            "ceiling": ceiling,
            "below_ceiling": ceiling - pooled.pixel_accuracy,
            "by_distance": rows,
            "iou_agreement": pooled.iou.tolist(),
            "gflops_per_frame": gflops,
            "operations_share": gflops / reference_gflops,
            "fps": float(frames / max(1e-9, self.seconds.sum() + self.decode_seconds.sum())),
            "fps_without_decoding": float(frames / max(1e-9, self.seconds.sum())),
            "frames": frames,
            "network_frames": seen,
        }


class Agreement:
    """Steps variants of modes through one stream, each frame beside the per-frame network `runners[reference]`.

    `runners` maps a variant's model to its runner; all have the same classes. Modes that look at the same picture share
    the network's work. Nothing is kept of a frame but the network's labels until the next. `flicker` and `false_alarms`
    (of the classes that are `absent`) are the per-frame network's own, and `reference_gflops` what it takes for a
    frame, once operations are counted.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        runners: dict[str, SharedRunner],
        reference: str,
        absent: Sequence[Absent] = (),
    ) -> None:
        self._reference, self._runners = runners[reference], runners
        self.results = [ModeAgreement(variant, self._reference.classes, absent) for variant in variants]
        self.flicker, self.false_alarms = Flicker(), FalseAlarms(absent)
        self.labels = LabelStore()
        self.frames = 0
        self.reference_gflops = math.nan

    def run(
        self,
        frames: Iterable[Frame],
        on_frame: Callable[[], object] = lambda: None,
        known_labels: LabelStore | None = None,
    ) -> None:
        """Compare every frame of a stream, in display order; `known_labels` are the network's, from an earlier run."""
        pipelines = [self._build(result) for result in self.results]
        network = PerFramePipeline(self._reference)
        known = None if known_labels is None else iter(known_labels)
        began = time.perf_counter()
        for frame in frames:
            _ = frame.image
            decode_seconds = time.perf_counter() - began
            reference = self.labels.add(network.step(frame).labels) if known is None else next(known)
            self.flicker.update(frame, reference)
            self.false_alarms.update(reference)
            for result, pipeline in zip(self.results, pipelines, strict=True):
                runner = self._runners[result.variant.model]
                result.expect(reference)
                result.compare(result.push(runner, pipeline, frame, decode_seconds))
            self.frames += 1
            on_frame()
            began = time.perf_counter()
        for result, pipeline in zip(self.results, pipelines, strict=True):
            result.compare(result.flush(self._runners[result.variant.model], pipeline))

    def count_operations(self, open_frames: Callable[[], Iterable[Frame]]) -> None:
        """Count what each variant's steps cost on the stream's first frames; `open_frames` opens it anew for each."""
        with self._reference.forgetful():
            counted = operations_by_kind(PerFramePipeline(self._reference), islice(open_frames(), 1))
        self.reference_gflops = sum(counted.values()) / 1e9
        for result in self.results:
            with self._runners[result.variant.model].forgetful():
                result.operations = operations_by_kind(self._build(result), islice(open_frames(), COUNTED))

    def _build(self, result: ModeAgreement) -> Pipeline:
        return result.variant.build(self._runners[result.variant.model])

"""Accuracy by distance to the keyframe: what `evaluate-segnet` does with one stream of frames, and what it measures."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....codec import Frame
from ....errors import InputError
from ....pipelines import AUTO, Pipeline, Prediction
from ....segnet import (
    ConfusionMatrix,
    LegacyTemporalConsistency,
    TemporalConsistency,
    VideoConsistency,
    VSPWTemporalConsistency,
    present_mean_iou,
    weighted_iou,
)
from ..variants import Variant
from .correspondence import PairMotion
from .costs import Costs
from .flops import operations_by_kind
from .shared_runner import SharedRunner

Labels = NDArray[np.uint8]


@dataclass
class ModeResult(Costs):
    """What one variant of a mode scored: a confusion matrix per distance 0..L-1, and the cost of its steps.

    Costs are kept apart for keyframes (index 0) and other frames (index 1), because protocols show them in other
    proportions than a stream does; `per_frame` puts them together as in an endless stream with GOPs of L frames.
    """

    variant: Variant
    classes: tuple[str, ...]
    gop: int
    confusions: list[ConfusionMatrix] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.confusions = [ConfusionMatrix(len(self.classes)) for _ in range(self.gop)]
        self.consistency = TemporalConsistency(len(self.classes))
        self.consistency_by_codec = TemporalConsistency(len(self.classes))
        self.published = {
            "tc_legacy": LegacyTemporalConsistency(len(self.classes)),
            "tc_vspw": VSPWTemporalConsistency(len(self.classes)),
        }
        self.video_consistency = VideoConsistency()

    @property
    def miou_d(self) -> list[float]:
        """mIoU at each distance, pooled over all frames seen at it; NaN where there were none."""
        return [confusion.mean_iou for confusion in self.confusions]

    def pooled(self) -> ConfusionMatrix:
        """The confusion matrix over all distances."""
        pooled = ConfusionMatrix(len(self.classes))
        pooled.counts += sum(confusion.counts for confusion in self.confusions)
        return pooled

    def by_interval(self) -> list[dict[str, float]]:
        """What the first i + 1 distances give, for i = 0..L-1 frames between keyframes: accuracy and cost.

        `miou_pooled` is that of one matrix over them (GSVNet, SwNet-seq), `miou_mean` the mean of theirs (Deep Feature
        Flow), `miou_last` that at the largest (GSVNet's minimum), `miou_min` the smallest; `gflops` and `fps` (without
        decoding) are of a stream with a keyframe every i + 1 frames.
        """
        keyframe, other = self.gflops
        seconds = self.seconds / np.maximum(1, self.frames)
        table = []
        for interval, miou_last in enumerate(self.miou_d):
            pool = ConfusionMatrix(len(self.classes))
            pool.counts += sum(confusion.counts for confusion in self.confusions[: interval + 1])
            so_far = self.miou_d[: interval + 1]
            table.append(
                {
                    "miou_pooled": pool.mean_iou,
                    "miou_mean": float(np.mean(so_far)),
                    "miou_last": miou_last,
                    "miou_min": float(np.min(so_far)),
                    "gflops": (keyframe + interval * other) / (interval + 1),
                    "fps": float((interval + 1) / (seconds[0] + interval * seconds[1])) if seconds[0] else np.nan,
                }
            )
        return table

    def compare(self, now: Labels, before: Labels, motion: PairMotion) -> None:
        """Add a frame's labels and those of the frame before to every temporal metric that the motion allows."""
        if motion.match is not None:
            self.consistency.update(now, before, motion.match)
        if motion.by_codec is not None:
            self.consistency_by_codec.update(now, before, motion.by_codec)
        if motion.onward is not None:
            for metric in self.published.values():
                metric.update(before, now, motion.onward)

    def end_stream(self) -> None:
        """What follows is another stream."""
        self.consistency.end_clip()
        self.consistency_by_codec.end_clip()
        self.video_consistency.end_video()

    def temporal(self) -> dict[str, Any]:
        """All temporal metrics: what `temporal_consistency` is made of, and tc_mv, tc_legacy and tc_vspw."""
        found = self.consistency.compute()
        found |= {name: metric.compute()["tc"] for name, metric in self.published.items()}
        by_codec = self.consistency_by_codec.compute()
        return found | {"tc_mv": by_codec["tc"], "tc_mv_detail": by_codec}

    def per_frame(self, keyframe: float, other: float) -> float:
        """The mean over a GOP of what a keyframe costs and what each of the other frames does."""
        return (keyframe + (self.gop - 1) * other) / self.gop

    def seconds_per_frame(self, *, decoding: bool) -> float:
        """Mean seconds of a frame."""
        seconds = self.seconds + self.decode_seconds if decoding else self.seconds
        return self.per_frame(*(seconds / np.maximum(1, self.frames)).tolist())

    def record(self) -> dict[str, Any]:
        """The entry in `report.json`; accuracies are fractions of 1, None where there was nothing to score."""
        pooled, miou_d = self.pooled(), self.miou_d
        known = np.array([value for value in miou_d if np.isfinite(value)] or [np.nan])
        keyframe, other = self.gflops
        gflops = self.per_frame(keyframe, other)
        temporal = self.temporal()
        return {
            "mode": self.variant.mode,
            "variant": self.variant.name,
            "model": self.variant.model,
            "options": dict(self.variant.options),
            "gop": self.gop,
            "miou_d": miou_d,
            "miou_mean": float(known.mean()),
            "miou_min": float(known.min()),
            "miou_pooled": pooled.mean_iou,
            "by_interval": self.by_interval(),
            "iou_d": [confusion.iou.tolist() for confusion in self.confusions],
            "iou": pooled.iou.tolist(),
            "pixel_accuracy": pooled.pixel_accuracy,
            "confusion": pooled.counts.tolist(),
            "temporal_consistency": temporal["tc"],
            "temporal": temporal,
            "miou_present": present_mean_iou(pooled),
            "weighted_iou": weighted_iou(pooled),
            **self.video_consistency.compute(),
            "gflops_per_frame": gflops,
            "gmacs_per_frame": gflops / 2,
            "gflops_keyframe": keyframe,
            "gflops_other": other,
            "fps": 1 / self.seconds_per_frame(decoding=True),
            "fps_without_decoding": 1 / self.seconds_per_frame(decoding=False),
            "frames": int(self.frames.sum()),
            "network_frames": int(self.network_frames.sum()),
        }


class Evaluation:
    """Scores variants of modes on streams of frames that they all share.

    `runners` maps a variant's model to its runner, `relabel` to a table from its labels to those of `classes` where
    they are not the same. Every stream is seen by fresh pipelines. `on_scored`, if given, is
    shown every scored frame with its truth and the labels of each variant by name.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        runners: dict[str, SharedRunner],
        classes: tuple[str, ...],
        gop: int,
        *,
        relabel: Mapping[str, Labels | None] | None = None,
        on_scored: Callable[[str, Frame, Labels, dict[str, Labels]], object] = lambda *_: None,
    ) -> None:
        self.results = [ModeResult(variant, classes, gop) for variant in variants]
        self._runners, self._relabel = runners, relabel or {}
        self._on_scored = on_scored

    @property
    def reads_qp(self) -> bool:
        """Whether any variant reads the codec's quantisers."""
        return any(result.variant.reads.qp for result in self.results)

    def run(
        self,
        frames: Iterable[Frame],
        truth: Callable[[int], Labels | None],
        *,
        name: Callable[[int], str] = str,
        match: Callable[[Frame], PairMotion] = lambda _: PairMotion(),
        every_frame: bool = True,
        size_hw: tuple[int, int] | None = None,
    ) -> None:
        """Step every variant through one stream; `truth` gives the labels by the frame's index, None if not scored.

        Of frames that are not scored, keyframes are segmented and the others only passed over, unless `every_frame`.
        `match` tells the motion from and to the frame before; `name` is what a frame is called; `size_hw` is what of a
        frame counts, from its upper left corner: the size before it was padded to even sides. InputError where labels
        have another size.
        """
        courses = [_Course(result, self._build(result)) for result in self.results]
        is_followed = False
        began = time.perf_counter()
        for frame in frames:
            _ = frame.image
            decode_seconds = time.perf_counter() - began
            labels = truth(frame.index)
            wanted = every_frame or labels is not None or frame.distance == 0
            if wanted:
                motion = match(frame) if frame.index and is_followed else PairMotion()
                shown = _Shown(frame, labels, motion, name(frame.index), every_frame)
                for course in courses:
                    course.awaited.append(shown)
                    self._take(course, self._step(course, frame, decode_seconds), size_hw)
            else:
                for course in courses:
                    course.pipeline.skip(frame)
            is_followed = wanted
            began = time.perf_counter()
        for course in courses:
            self._take(course, course.result.flush(self._runner(course.result), course.pipeline), size_hw)
            course.result.end_stream()

    def _take(self, course: _Course, predictions: Iterable[Prediction], size_hw: tuple[int, int] | None) -> None:
        """Score the predictions of the frames that a variant owes longest."""
        result, table = course.result, self._relabel.get(course.result.variant.model)
        for prediction in predictions:
            shown = course.awaited.popleft()
            now = prediction.labels if table is None else table[prediction.labels]
            now = now if size_hw is None else now[: size_hw[0], : size_hw[1]]
            previous, course.before = course.before, now
            if previous is not None:
                result.compare(now, previous, shown.motion)
            if shown.truth is None:
                continue
            if shown.truth.shape != now.shape:
                raise InputError(_sizes_differ(shown.name, shown.truth, now))
            result.confusions[shown.frame.distance].update(now, shown.truth)
            if shown.every_frame:
                result.video_consistency.update(now, shown.truth)
            shown.labels[result.variant.name] = now
            if len(shown.labels) == len(self.results):
                self._on_scored(shown.name, shown.frame, shown.truth, shown.labels)

    def count_operations(self, frames: Callable[[], Iterable[Frame]]) -> None:
        """Count what each variant's steps cost, on one GOP; `frames` opens it anew for each."""
        for result in self.results:
            with self._runners[result.variant.model].forgetful():
                result.operations = operations_by_kind(self._build(result), frames())

    def _build(self, result: ModeResult) -> Pipeline:
        return result.variant.build(self._runners[result.variant.model])

    def _step(self, course: _Course, frame: Frame, decode_seconds: float) -> list[Prediction]:
        """What is known after the next frame. Only modes that look both ways wait for more: a step's cost is then not
        that of its own frame."""
        result, runner = course.result, self._runner(course.result)
        if result.variant.mode == AUTO:
            return result.push(runner, course.pipeline, frame, decode_seconds)
        return [result.step(runner, course.pipeline, frame, decode_seconds)]

    def _runner(self, result: ModeResult) -> SharedRunner:
        return self._runners[result.variant.model]


@dataclass(eq=False)
class _Shown:
    """A frame that all variants are shown: its truth, if it is scored, the motion to and from the frame before, and the
    labels of the variants so far, by name."""

    frame: Frame
    truth: Labels | None
    motion: PairMotion
    name: str
    every_frame: bool
    labels: dict[str, Labels] = field(default_factory=dict)


@dataclass(eq=False)
class _Course:
    """A variant's way through one stream: the frames whose predictions it owes, and its labels of the one before."""

    result: ModeResult
    pipeline: Pipeline
    awaited: deque[_Shown] = field(default_factory=deque)
    before: Labels | None = None


def _sizes_differ(name: str, labels: Labels, frame: Labels) -> str:
    sizes = [f"{array.shape[1]}x{array.shape[0]}" for array in (labels, frame)]
    return f"the labels of '{name}' are {sizes[0]} pixels, its frame is {sizes[1]}; make them equal"

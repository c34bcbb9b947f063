"""Mode `ar`: AR-Seg, the HR network on keyframes, the LR branch fused with the warped keyframe between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, MotionField
from ...segnet import CODEC_MOTION, Carried
from ..carriers import AlteringRunner
from ..prediction import Prediction
from ..runner import NetworkRunner
from .flow_pipeline import FlowPipeline
from .motion_pipeline import CUT_ABOVE

BATCH = 12
"""Frames between keyframes that `push` gathers at most for one pass of the LR branch: a GOP of usual length."""


class AlteringPipeline(FlowPipeline):
    """Altering resolution (AR-Seg: Hu et al., CVPR 2023) on a codec stream.

    Keyframes are found, and motion is composed, as in mode `motion`; but every frame between keyframes is also seen by
    the LR branch, shrunk to `lr_scale`, and fused with what the keyframe said. So the HR network sees another frame
    only where most of the motion is lost (`refresh_above`). `push` and `run` take up to BATCH frames between keyframes
    in one pass. The branch's weights lie beside the network's, as `NAME-ar0.5.safetensors`; StreamUsageError where
    there are none. `flow_source` and `interval` are as in mode `flow`; the branch was trained on codec motion.
    """

    mode = "ar"
    needs_motion = True

    def __init__(
        self,
        runner: NetworkRunner,
        *,
        keep_logits: bool = False,
        refresh_above: float = CUT_ABOVE,
        lr_scale: float = 0.5,
        flow_source: str = CODEC_MOTION,
        interval: int = 0,
    ) -> None:
        super().__init__(
            runner,
            keep_logits=keep_logits,
            refresh_above=refresh_above,
            flow_source=flow_source,
            interval=interval,
        )
        self.altering = AlteringRunner.of(runner, lr_scale)
        self._waiting: list[_Waiting] = []

    def _scores(self, frame: Frame) -> tuple[NDArray[np.float32], bool]:
        field = self._field(frame)
        if field is None:
            return self._look_at_reference()[0], True
        self._occluded = field.unreferenced
        return self._fuse([_Waiting(frame, field, self._from_reference())])[0], False

    def push(self, frame: Frame) -> Iterator[Prediction]:
        """Frames between keyframes wait until there are BATCH of them, or until a keyframe comes."""
        self._timings = {}
        self._observe(frame)
        field = self._field(frame)
        if field is None:
            yield from self.flush()
            yield self._predict(frame, self._look_at_reference()[0], from_network=True)
            return
        self._waiting.append(_Waiting(frame, field, self._from_reference(), self._timings))
        if len(self._waiting) == BATCH:
            yield from self.flush()

    def flush(self) -> Iterator[Prediction]:
        """The frames that wait, in one pass for each keyframe."""
        waiting, self._waiting = self._waiting, []
        for _, group in groupby(waiting, lambda item: id(item.carried)):
            items, self._timings = list(group), {}
            scores = self._fuse(items)
            shared = {stage: value / len(items) for stage, value in self._timings.items()}
            for item, own in zip(items, scores, strict=True):
                self._timings, self._occluded = {**item.timings, **shared}, item.field.unreferenced
                yield self._predict(item.frame, own, from_network=False)
            self._timings = {}

    def _see(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Carried]:
        with self._clock("network"):
            return self.altering.keyframe(image)

    def _fuse(self, items: list[_Waiting]) -> NDArray[np.float32]:
        with self._clock("fusion"):
            return self.altering.fused(
                [item.frame.image for item in items],
                items[0].carried,
                [item.field for item in items],
                [item.frame.distance for item in items],
            )

    def _as_logits(self, scores: NDArray[np.float32], from_network: bool) -> NDArray[np.float32]:  # noqa: ARG002
        return scores


@dataclass(frozen=True)
class _Waiting:
    """A frame between keyframes, with its motion, what is carried from its keyframe, and the time that took."""

    frame: Frame
    field: MotionField
    carried: Carried
    timings: dict[str, float] = dataclass_field(default_factory=dict)

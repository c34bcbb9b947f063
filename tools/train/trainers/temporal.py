"""Training of per-frame networks that shall agree over time: ETC's motion loss and distillation (ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ....data import FrameGroup, LabelledVideo, draw_group, vary_group
from ....segnet import (
    FLOWS,
    MultiFrameDistillation,
    SegmentationNetwork,
    consistent_motion,
    motion_loss,
    motion_on_grid,
    pair_distillation,
    published_motion_loss,
    single_frame_distillation,
)
from .image import ImageTrainer
from .trainer import Batch

Form = Literal["probabilities", "kl", "legacy"]


@dataclass(frozen=True, kw_only=True)
class TemporalSettings:
    """What temporal training adds to the loss of labelled frames.

    `weight` is the motion loss's, `form` what it compares (`legacy`: logits, as ETC's released code), `flow` where its
    motion comes from, `gap` the largest distance of neighbours in frames. `groups` frames with their neighbours are
    drawn from `videos` in each step; with `group_labels` their labels count as well, which are warped where the videos
    were made from stills. `distillation` are the weights of SF (one frame), PF (two) and MF (three);
    with `flip` teachers see each frame mirrored too, and SF follows the mean.
    """

    weight: float = 0.0
    form: Form = "probabilities"
    flow: str = "codec"
    gap: int = 3
    groups: int = 2
    group_labels: bool = False
    distillation: tuple[float, float, float] = (1.0, 0.1, 0.1)
    flip: bool = False


class TemporalTrainer(ImageTrainer):
    """An `ImageTrainer` with groups of neighbouring frames of `videos` and with frozen `teachers`.

    SF is taken on the training frames and on the groups' middle ones, from the mean of the teachers' probabilities; PF
    on logits and MF on the features of the first teacher. Without videos there is SF only.
    """

    def __init__(
        self,
        *arguments: Any,
        temporal: TemporalSettings,
        videos: Sequence[LabelledVideo] = (),
        teachers: Sequence[SegmentationNetwork] = (),
    ) -> None:
        super().__init__(*arguments)
        device = self.accelerator.device
        self.temporal, self.videos = temporal, videos
        self.teachers = [teacher.eval().requires_grad_(False).to(device) for teacher in teachers]
        self.flow = None if temporal.flow == "codec" else FLOWS[temporal.flow]()
        self.multi_frame = MultiFrameDistillation(seed=self.settings.seed).to(device)

    def batch(self, step: int) -> Batch:
        """Images and labels; then of the groups: images, previous and following frames, labels, displacement, known."""
        batch = super().batch(step)
        if not self.videos:
            return batch
        rng = np.random.default_rng([self.settings.seed, 1 << 41, step, self.accelerator.process_index])
        crop = (batch[1].shape[1], batch[1].shape[2])
        groups = []
        for _ in range(self.temporal.groups):
            video = self.videos[int(rng.integers(len(self.videos)))]
            group = draw_group(video, self.temporal.gap, rng)
            groups.append(vary_group(group, crop, self.settings.scale, rng))
        return *batch, *stack(groups)

    def loss(self, *batch: Tensor) -> Tensor:
        """The labelled frames' loss, the motion loss and the distillation terms."""
        images, labels, *rest = batch
        count = len(images)
        if rest:
            now, before, after, group_labels, displacement, known = rest
            images = torch.cat([images, now])
            if self.temporal.group_labels:
                labels = torch.cat([labels, group_labels])
            frames = torch.cat([images, before, after] if self.multi else [images, before])
        else:
            now, before, frames = images[:0], images[:0], images
        parts = Groups(count, len(images))
        with self.accelerator.autocast():
            p, outputs = self.model(self.network.normalise(frames))
        loss = self.supervised([o[: len(labels)] for o in outputs], labels)
        if rest and self.temporal.weight:
            loss = loss + self.temporal.weight * self.motion(now, before, displacement, known, *parts.pair(outputs[0]))
        if self.teachers:
            loss = loss + self.distilled(frames, p, outputs[0], parts)
        return loss

    @property
    def multi(self) -> bool:
        """Whether the following frames are needed."""
        return bool(self.teachers) and self.temporal.distillation[2] > 0

    def motion(
        self, now: Tensor, before: Tensor, displacement: Tensor, known: Tensor, logits: Tensor, other: Tensor
    ) -> Tensor:
        """The motion loss of a frame and the one before it."""
        validity = known[:, None]
        if self.flow is not None:
            displacement, validity = consistent_motion(self.flow, now, before)
        images, neighbours = self.network.normalise(now), self.network.normalise(before)
        if self.temporal.form == "legacy":
            size = (now.shape[1], now.shape[2])
            displacement = motion_on_grid(displacement, size, size)
            return published_motion_loss(images, neighbours, displacement, logits, other)
        measure: Literal["kl", "squared"] = "kl" if self.temporal.form == "kl" else "squared"
        return motion_loss(images, neighbours, displacement, logits, other, validity, measure=measure)

    def distilled(self, frames: Tensor, p: Tensor, logits: Tensor, parts: Groups) -> Tensor:
        """The weighted sum of SF, PF and MF."""
        single, pair, multi = self.temporal.distillation
        with torch.no_grad(), self.accelerator.autocast():
            features = [teacher.features(teacher.normalise(frames)) for teacher in self.teachers]
            found = [t.classify(f).float() for t, f in zip(self.teachers, features, strict=True)]
            views = list(found)
            if self.temporal.flip:
                views += [t(t.normalise(frames.flip(2))).float().flip(3) for t in self.teachers]
        target = torch.stack([x.softmax(1) for x in views]).mean(0).clamp(min=1e-7).log()
        loss = single * single_frame_distillation(logits[: parts.middles], target[: parts.middles])
        if pair and parts.groups:
            loss = loss + pair * pair_distillation(parts.pair(logits), parts.pair(found[0]))
        if multi and parts.groups:
            loss = loss + multi * self.multi_frame(parts.triplet(p), parts.triplet(features[0]))
        return loss


@dataclass(frozen=True)
class Groups:
    """Where the groups' frames lie in a step's batch: `count` other frames, then middle ones up to `middles`, previous
    and following frames."""

    count: int
    middles: int

    @property
    def groups(self) -> int:
        """How many there are."""
        return self.middles - self.count

    def pair(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Of the groups' middle frames and of the previous ones."""
        return maps[self.count : self.middles], maps[self.middles : self.middles + self.groups]

    def triplet(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of previous, middle and following frames."""
        now, before = self.pair(maps)
        return before, now, maps[self.middles + self.groups :]


def stack(groups: Sequence[FrameGroup]) -> Batch:
    """Groups of one size as tensors: images, previous and following frames, labels, displacement, known."""
    names = ("image", "previous", "following", "labels", "displacement")
    tensors = [torch.from_numpy(np.stack([getattr(group, name) for group in groups])) for name in names]
    return *tensors, torch.from_numpy(np.stack([group.known for group in groups])).float()

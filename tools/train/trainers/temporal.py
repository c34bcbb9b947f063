"""Training of per-frame networks that shall agree over time: ETC's motion loss and distillation (ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

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
    resize_logits,
    single_frame_distillation,
)
from ..samples import check_labels
from .image import FrameTrainer

Form = Literal["probabilities", "kl", "legacy"]


@dataclass(frozen=True, kw_only=True)
class TemporalSettings:
    """What temporal training adds to the loss of labelled frames.

    `weight` is the motion loss's, `form` what it compares (`legacy`: logits, as ETC's released code), `flow` where its
    motion comes from, `gap` the largest distance of neighbours in frames. `groups` frames with their neighbours are
    drawn from `videos` in each step; with `group_labels` their labels count as well, which are warped where the videos
    were made from stills. `distillation` are the weights of SF (one frame), PF (two) and MF (three);
    SF follows the mean of what teachers see in each frame at `scales` times its size, and with `flip` mirrored too.
    """

    weight: float = 0.0
    form: Form = "probabilities"
    flow: str = "codec"
    gap: int = 3
    groups: int = 2
    group_labels: bool = False
    distillation: tuple[float, float, float] = (1.0, 0.1, 0.1)
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)


class GroupBatch(NamedTuple):
    """Frames with neighbours: `images`, `before` and `after` (G, H, W, 3) uint8 RGB, `labels` (G, H, W) uint8 of the
    images, `displacement` (G, ., ., 2) in pixels to the frame before, and `known` (G, ., .) 0..1 where there is any."""

    images: Tensor
    before: Tensor
    after: Tensor
    labels: Tensor
    displacement: Tensor
    known: Tensor


class TemporalBatch(NamedTuple):
    """Labelled frames as of `ImageBatch`, and groups of neighbours or None."""

    images: Tensor
    labels: Tensor
    groups: GroupBatch | None

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        groups = None if self.groups is None else GroupBatch(*(part.to(device) for part in self.groups))
        return self._replace(images=self.images.to(device), labels=self.labels.to(device), groups=groups)

    def excerpt(self) -> Self:
        """A frame and a group of neighbours."""
        groups = None if self.groups is None else GroupBatch(*(part[:1] for part in self.groups))
        return self._replace(images=self.images[:1], labels=self.labels[:1], groups=groups)


class TemporalTrainer(FrameTrainer[TemporalBatch]):
    """Trains a network on labelled frames, on groups of neighbouring frames, and by frozen `teachers`.

    Groups come from each corpus of `videos` alike often, and their frames need no labels.
    SF is taken on the training frames and on the groups' middle ones, from the mean of the teachers' probabilities; PF
    on logits and MF on the features of the first teacher. Without videos there is SF only.
    """

    def __init__(
        self,
        *arguments: Any,
        temporal: TemporalSettings,
        videos: Sequence[Sequence[LabelledVideo]] = (),
        teachers: Sequence[SegmentationNetwork] = (),
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.temporal, self.videos = temporal, videos
        self.teachers = [teacher.eval().requires_grad_(False).to(self.device) for teacher in teachers]
        self.flow = None if temporal.flow == "codec" else FLOWS[temporal.flow]()
        self.multi_frame = MultiFrameDistillation(seed=self.settings.seed).to(self.device)

    def own_settings(self) -> dict[str, Any]:
        """Those of `ImageSettings`, and of `TemporalSettings` as `temporal`."""
        return super().own_settings() | {"temporal": asdict(self.temporal)}

    def batch(self, step: int) -> TemporalBatch:
        """Labelled frames, and groups if there are videos."""
        images, labels = self.labelled(step)
        if not self.videos:
            return TemporalBatch(images, labels, None)
        crop = (labels.shape[1], labels.shape[2])
        groups = [self.group(step, number, crop) for number in self.own_part(self.temporal.groups)]
        return TemporalBatch(images, labels, stack(groups))

    def group(self, step: int, number: int, crop_hw: tuple[int, int]) -> FrameGroup:
        """A random view of neighbouring frames."""
        rng = np.random.default_rng([self.settings.seed, 1 << 41, step, number])
        corpus = self.videos[int(rng.integers(len(self.videos)))]
        video = corpus[int(rng.integers(len(corpus)))]
        group = draw_group(video, self.temporal.gap, rng)
        check_labels(group.labels, video.name, len(self.network.classes))
        return vary_group(group, crop_hw, self.own.augmentation.scale, rng)

    def loss(self, batch: TemporalBatch) -> Tensor:
        """The labelled frames' loss, the motion loss and the distillation terms."""
        images, labels, groups = batch
        count = len(images)
        frames = images
        if groups is not None:
            images = torch.cat([images, groups.images])
            if self.temporal.group_labels:
                labels = torch.cat([labels, groups.labels])
            frames = torch.cat([images, groups.before, groups.after] if self.multi else [images, groups.before])
        parts = Groups(count, len(images))
        with self.autocast():
            p, outputs = self.model(self.inputs(frames))
        loss = self.supervised([o[: len(labels)] for o in outputs], labels)
        if groups is not None and self.temporal.weight:
            loss = loss + self.temporal.weight * self.motion(groups, *parts.pair(outputs[0].float()))
        if self.teachers:
            loss = loss + self.distilled(frames, p.float(), outputs[0].float(), parts)
        return loss

    @property
    def multi(self) -> bool:
        """Whether the following frames are needed."""
        return bool(self.teachers) and self.temporal.distillation[2] > 0

    def motion(self, groups: GroupBatch, logits: Tensor, other: Tensor) -> Tensor:
        """The motion loss of frames and those before them."""
        displacement, validity = groups.displacement, groups.known[:, None]
        if self.flow is not None:
            displacement, validity = consistent_motion(self.flow, groups.images, groups.before)
        images, neighbours = self.network.normalise(groups.images), self.network.normalise(groups.before)
        if self.temporal.form == "legacy":
            size = (groups.images.shape[1], groups.images.shape[2])
            displacement = motion_on_grid(displacement, size, size)
            return published_motion_loss(images, neighbours, displacement, logits, other)
        measure: Literal["kl", "squared"] = "kl" if self.temporal.form == "kl" else "squared"
        return motion_loss(images, neighbours, displacement, logits, other, validity, measure=measure)

    def distilled(self, frames: Tensor, p: Tensor, logits: Tensor, parts: Groups) -> Tensor:
        """The weighted sum of SF, PF and MF."""
        single, pair, multi = self.temporal.distillation
        loss = logits.new_zeros(())
        with torch.no_grad(), self.autocast():
            if single:
                target = self.seen(frames[: parts.middles], (logits.shape[2], logits.shape[3]))
            if (pair or multi) and parts.groups:
                features = self.teachers[0].features(self.teachers[0].normalise(frames))
                found = self.teachers[0].classify(features).float()
        if single:
            loss = loss + single * single_frame_distillation(logits[: parts.middles], target)
        if pair and parts.groups:
            loss = loss + pair * pair_distillation(parts.pair(logits), parts.pair(found))
        if multi and parts.groups:
            loss = loss + multi * self.multi_frame(parts.triplet(p), parts.triplet(features))
        return loss

    def seen(self, frames: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """The logarithm of the mean of the teachers' probabilities of RGB frames, (N, C, h, w), over all views."""
        views = []
        for teacher in self.teachers:
            images = teacher.normalise(frames)
            for scale in self.temporal.scales:
                sized = images if scale == 1 else functional.interpolate(images, scale_factor=scale, mode="bilinear")
                views.append(teacher(sized))
                if self.temporal.flip:
                    views.append(teacher(sized.flip(3)).flip(3))
        return torch.stack([resize_logits(x, grid_hw).softmax(1) for x in views]).mean(0).clamp(min=1e-7).log()


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


def stack(groups: Sequence[FrameGroup]) -> GroupBatch:
    """Groups of one size as tensors."""
    return GroupBatch(
        torch.from_numpy(np.stack([group.image for group in groups])),
        torch.from_numpy(np.stack([group.previous for group in groups])),
        torch.from_numpy(np.stack([group.following for group in groups])),
        torch.from_numpy(np.stack([group.labels for group in groups])),
        torch.from_numpy(np.stack([group.displacement for group in groups])),
        torch.from_numpy(np.stack([group.known for group in groups])).float(),
    )

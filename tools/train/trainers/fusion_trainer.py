"""Training of the AR branch: LR frames fused with warped keyframes, on labelled GOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....data import KeyedSample, LabelledVideo
from ....segnet import (
    AlteringResolution,
    ConfusionMatrix,
    Motion,
    ParameterGroup,
    SegmentationLoss,
    SegmentationNetwork,
    head_groups,
    heads_loss,
    resize_logits,
    single_frame_distillation,
    to_grid,
)
from ..loop import Trainer, TrainSettings
from ..samples import KeyedSource, check_labels, vary
from .image import feature_distance, head_step

PER_GOP = 2
"""Frames of one GOP in a batch."""


@dataclass(frozen=True, kw_only=True)
class FusionSettings:
    """What decides the weights of an AR branch, beside the loop's settings and the data.

    `auxiliary` is the weight of the LR branch's own loss, `deep` that of its auxiliary heads, `fst` that of feature
    similarity, `distillation` that of the HR network's output on the same frame, `low_lr` the LR branch's share of the
    learning rate (0: frozen), `keep` the share of hardest pixels whose loss counts, `confidence` the other measure of
    them (`SegmentationLoss`); `published` as in `ImageSettings`.
    """

    auxiliary: float = 0.4
    deep: float = 0.0
    fst: float = 0.5
    distillation: float = 0.0
    low_lr: float = 0.2
    keep: float = 1.0
    confidence: float | None = None
    published: bool = False


class FusionBatch(NamedTuple):
    """Frames between keyframes: `images` (N, H, W, 3) and their `labels` (N, H, W), uint8; `keys` (K, H, W, 3) uint8,
    their keyframes, each once, and the keyframe's number `of` (N,) each frame; of the motion from it `displacement`
    (N, h, w, 2) in pixels, `unreferenced` (N, h, w) 0..1 and `distance` (N,) in frames."""

    images: Tensor
    keys: Tensor
    of: Tensor
    labels: Tensor
    displacement: Tensor
    unreferenced: Tensor
    distance: Tensor

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return type(self)(*(part.to(device) for part in self))

    def excerpt(self) -> Self:
        """The first frame."""
        return type(self)(*(part[:1] for part in self))

    @property
    def motion(self) -> Motion:
        """From the keyframes."""
        return Motion(self.displacement, self.unreferenced, self.distance)


class FusionTask(nn.Module):
    """A branch with all that is supervised of it, as one module for data-parallel wrapping. Batch statistics of the LR
    branch stay as they are. `deep` adds the auxiliary heads of the LR branch's network."""

    def __init__(self, branch: AlteringResolution, *, deep: bool = False) -> None:
        super().__init__()
        self.branch = branch
        self.heads = branch.low.auxiliary() if deep else nn.ModuleList()

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the LR branch."""
        super().train(mode)
        self.branch.low.eval()
        return self

    def parameter_groups(self) -> list[ParameterGroup]:
        """The branch's, and "auxiliary" for heads that are no part of it."""
        groups = [group.within("branch") for group in self.branch.parameter_groups()]
        return groups + head_groups(self.heads, self.branch)

    def forward(
        self, hr: SegmentationNetwork, images: Tensor, keys: Tensor, p: Tensor, logits: Tensor, *motion: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Normalised frames and keyframes (N, 3, H, W), the keyframes' HR features and logits, and what `Motion` holds.

        To the fused logits, the LR branch's own, the fused features, or the LR branch's where logits are fused, and
        what the auxiliary heads of the LR branch give.
        """
        low, fusion, moved = self.branch.low, self.branch.fusion, Motion(*motion)
        small = low.shrink(images)
        low_p, maps = low.network.features_and_maps(small) if self.heads else (low.network.features(small), ())
        deep = [head(x) for head, x in zip(self.heads, maps, strict=True)]
        warped = self.branch.warp(fusion.carry(hr, keys, p, logits), moved, (images.shape[-2], images.shape[-1]))
        fused_p = fusion.features(low_p, warped)
        if fused_p is None:
            return fusion(low, small, low_p, warped, moved), low.classify(low_p), low_p, deep
        return low.classify(fused_p), low.classify(low_p), fused_p, deep


class FusionTrainer(Trainer[FusionBatch, AlteringResolution]):
    """Trains `branch` with the frozen `hr` network on GOPs of labelled video, validates on others.

    `train` are corpora, drawn from equally often. A batch is `settings.batch` frames, PER_GOP of one GOP (one of them
    the still that was not warped), at any distance from 1 on, with their decoded keyframes and composed codec motion.
    The loss is the cross-entropy of the fused logits, with classes of `weights`, `auxiliary` times that of the LR
    branch's own, `deep` times that of its auxiliary heads, and against the HR network on the same frame `fst` times the
    FST term (the fused features, or the LR branch's where logits are fused, in units of their variance) and
    `distillation` times the KL divergence of the outputs, which are all that frames without labels have. A frozen LR
    branch has no loss of its own; its classifier stays as it is.
    """

    def __init__(
        self,
        branch: AlteringResolution,
        hr: SegmentationNetwork,
        train: Sequence[Sequence[KeyedSource]],
        val: Sequence[LabelledVideo],
        settings: TrainSettings,
        own: FusionSettings,
        folder: Path,
        *,
        weights: NDArray[np.float32],
        steps_per_epoch: int,
    ) -> None:
        self.own = own
        branch.low.requires_grad_(own.low_lr > 0)
        if own.low_lr:
            branch.low.freeze_classifier()
        task = FusionTask(branch, deep=own.low_lr > 0 and own.deep > 0)
        super().__init__(task, branch, settings, folder, steps_per_epoch)
        self.hr = hr.eval().requires_grad_(False).to(self.device)
        self.train_videos, self.val_videos = train, val
        self.criterion = SegmentationLoss(weights, own.keep, own.confidence).to(self.device)

    def own_settings(self) -> dict[str, Any]:
        """Those of `FusionSettings`."""
        return asdict(self.own)

    def rates(self) -> dict[str, float]:
        """The LR branch learns more slowly."""
        return {"low branch": self.own.low_lr}

    def batch(self, step: int) -> FusionBatch:
        """What `stack` makes of this process's part of the step's frames."""
        wanted = self.own_part(self.settings.batch)
        gops = {number: self.draw(step, number) for number in sorted({place // PER_GOP for place in wanted})}
        return stack([gops[place // PER_GOP][place % PER_GOP] for place in wanted])

    def draw(self, step: int, number: int) -> list[KeyedSample]:
        """PER_GOP random frames, of one GOP where it has as many."""
        rng = np.random.default_rng([self.settings.seed, step, number])
        samples: list[KeyedSample] = []
        cell = self.hr.feature_stride
        while len(samples) < PER_GOP:
            sources = self.train_videos[int(rng.integers(len(self.train_videos)))]
            video = sources[int(rng.integers(len(sources)))]
            chosen = rng.permutation(len(video))[:PER_GOP]
            if video.still_frame is not None and video.still_frame not in chosen:
                chosen[0] = video.still_frame
            view = int(rng.integers(1 << 32))  # one view for a GOP, so that its keyframe is seen once
            for sample in video.keyed(chosen, cell):
                check_labels(sample.labels, sample.name, len(self.hr.classes))
                if sample.distance:
                    samples.append(vary(sample, cell, np.random.default_rng(view)))
        return samples[:PER_GOP]

    def inputs(self, images: Tensor) -> Tensor:
        """RGB (N, H, W, 3) as the networks take it."""
        return self.precision.inputs(self.hr.normalise(images))

    def loss(self, batch: FusionBatch) -> Tensor:
        """The terms together."""
        inputs, keys = self.inputs(batch.images), self.inputs(batch.keys)
        with self.autocast():
            with torch.no_grad():
                p = self.hr.features(keys)
                logits = self.hr.classify(p)
            of = batch.of
            fused, low, imitation, heads = self.model(
                self.hr, inputs, keys[of], p[of], logits[of], batch.displacement, batch.unreferenced, batch.distance
            )
        own = self.own
        loss: Tensor = self.criterion(fused, batch.labels)
        if own.low_lr and own.auxiliary:
            loss = loss + own.auxiliary * self.criterion(low, batch.labels)
        loss = loss + own.deep * heads_loss(self.criterion, heads, batch.labels, head_step(own.published))
        similarity = own.fst if imitation.requires_grad else 0.0
        scores = None
        if similarity or own.distillation:
            with torch.no_grad(), self.autocast():
                target = self.hr.features(inputs)
                scores = self.hr.classify(target) if own.distillation else None
        if similarity:
            imitation = to_grid(imitation.float(), (target.shape[-2], target.shape[-1]))
            loss = loss + similarity * feature_distance(imitation, target.float(), published=own.published)
        if scores is not None:
            distance = single_frame_distillation(fused, scores)
            if own.low_lr:
                alone = to_grid(low.float(), (scores.shape[-2], scores.shape[-1]))
                distance = distance + own.auxiliary * single_frame_distillation(alone, scores)
            loss = loss + own.distillation * distance
        return loss

    @torch.inference_mode()
    def score(self, average: AlteringResolution) -> ConfusionMatrix:
        """All labelled frames between keyframes of the validation videos."""
        confusion = ConfusionMatrix(len(self.hr.classes))
        for video in self.val_videos:
            labelled = [index for index, file in enumerate(video.label_files) if file is not None]
            for sample in video.keyed(labelled, self.hr.feature_stride):
                if not sample.distance:
                    continue
                batch = stack([sample]).to(self.device)
                with self.autocast():
                    carried = average.keyframe(self.hr, self.inputs(batch.keys))[1]
                    logits = average(self.inputs(batch.images), carried, batch.motion)
                height, width = sample.labels.shape
                labels = resize_logits(logits, (height, width)).argmax(1)[0].to(torch.uint8)
                confusion.update(labels.cpu().numpy(), sample.labels)
        return confusion


def stack(samples: Sequence[KeyedSample]) -> FusionBatch:
    """Samples of one size as tensors."""
    keys: list[NDArray[np.uint8]] = []
    of = []
    for sample in samples:
        if not keys or not np.array_equal(keys[-1], sample.key_image):
            keys.append(sample.key_image)
        of.append(len(keys) - 1)
    return FusionBatch(
        torch.from_numpy(np.stack([s.image for s in samples])),
        torch.from_numpy(np.stack(keys)),
        torch.tensor(of),
        torch.from_numpy(np.stack([s.labels for s in samples])),
        torch.from_numpy(np.stack([s.displacement for s in samples])),
        torch.from_numpy(np.stack([s.unreferenced for s in samples])).float(),
        torch.tensor([s.distance for s in samples], dtype=torch.float32),
    )

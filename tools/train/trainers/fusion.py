"""Training of the AR branch: LR frames fused with warped keyframes, on labelled GOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ....data import KeyedSample, LabelledVideo, jitter_colour
from ....segnet import (
    AlteringResolution,
    ConfusionMatrix,
    Motion,
    SegmentationLoss,
    SegmentationNetwork,
    resize_logits,
    to_grid,
)
from .fusion_samples import KeyedSource
from .trainer import Batch, Trainer, TrainSettings

PER_GOP = 2
MAX_ZOOM = 1.6


class FusionTrainer(Trainer):
    """Trains `branch` with the frozen `hr` network on GOPs of labelled video, validates on others.

    `train` are corpora, drawn from equally often. A batch is `settings.batch` frames, PER_GOP of one GOP (one of them
    the still that was not warped), at any distance from 1 on, with their decoded keyframes and composed codec motion.
    The loss is the cross-entropy of the fused logits, `settings.auxiliary` times that of the LR branch's own, and
    `settings.fst` times the FST term (the LR features against the HR network's of the same frame, in units of their
    variance), which is all that frames without labels have. Batch statistics stay as they are. Without a learning rate
    (`settings.low_lr` 0) the LR branch is frozen, and the fused logits' loss is all there is.
    """

    def __init__(
        self,
        branch: AlteringResolution,
        hr: SegmentationNetwork,
        train: Sequence[Sequence[KeyedSource]],
        val: Sequence[LabelledVideo],
        settings: TrainSettings,
        folder: Path,
        weights: NDArray[np.float32],
        steps_per_epoch: int,
    ) -> None:
        branch.low.requires_grad_(settings.low_lr > 0)
        super().__init__(branch, settings, folder, steps_per_epoch)
        self.hr = hr.eval().requires_grad_(False).to(self.accelerator.device)
        self.train_videos, self.val_videos = train, val
        self.criterion = SegmentationLoss(weights, settings.keep).to(self.accelerator.device)

    def batch(self, step: int) -> Batch:
        """What `stack` makes of random frames."""
        process = self.accelerator.process_index
        rng = np.random.default_rng([self.settings.seed, step, process])
        samples: list[KeyedSample] = []
        cell = self.hr.feature_stride
        while len(samples) < self.settings.batch:
            sources = self.train_videos[int(rng.integers(len(self.train_videos)))]
            video = sources[int(rng.integers(len(sources)))]
            chosen = rng.permutation(len(video))[:PER_GOP]
            if video.still_frame is not None and video.still_frame not in chosen:
                chosen[0] = video.still_frame
            view = int(rng.integers(1 << 32))  # one view for a GOP, so that its keyframe is seen once
            samples += [vary(s, cell, np.random.default_rng(view)) for s in video.keyed(chosen, cell) if s.distance]
        return stack(samples[: self.settings.batch])

    def loss(self, *batch: Tensor) -> Tensor:
        """The three terms together."""
        images, keys, of, labels, *motion = batch
        branch = self.bare
        assert isinstance(branch, AlteringResolution)
        branch.low.eval()
        inputs, key_inputs = self.hr.normalise(images), self.hr.normalise(keys)
        with self.accelerator.autocast():
            with torch.no_grad():
                p = self.hr.features(key_inputs)
                logits = self.hr.classify(p)
                key_inputs, p, logits = key_inputs[of], p[of], logits[of]
            small = branch.low.shrink(inputs)
            with torch.set_grad_enabled(self.settings.low_lr > 0):
                low_p = branch.low.network.features(small)
            carried = branch.fusion.carry(self.hr, key_inputs, p, logits)
            fused = branch.fuse(small, low_p, carried, Motion(*motion), (images.shape[1], images.shape[2]))
        loss: Tensor = self.criterion(fused, labels)
        if not self.settings.low_lr:
            return loss
        if self.settings.auxiliary:
            with self.accelerator.autocast():
                own = branch.low.classify(low_p)
            loss = loss + self.settings.auxiliary * self.criterion(own, labels)
        if self.settings.fst:
            with torch.no_grad(), self.accelerator.autocast():
                target = self.hr.features(inputs).float()
            imitation = to_grid(low_p.float(), (target.shape[-2], target.shape[-1]))
            loss = loss + self.settings.fst * functional.mse_loss(imitation, target) / target.var()
        return loss

    @torch.inference_mode()
    def score(self, average: nn.Module) -> ConfusionMatrix:
        """All frames between keyframes of the validation videos."""
        assert isinstance(average, AlteringResolution)
        confusion = ConfusionMatrix(len(self.hr.classes))
        for video in self.val_videos:
            for sample in video.keyed(range(len(video)), self.hr.feature_stride):
                if not sample.distance:
                    continue
                images, keys, _, _, *motion = (part.to(self.accelerator.device) for part in stack([sample]))
                with self.accelerator.autocast():
                    carried = average.keyframe(self.hr, self.hr.normalise(keys))[1]
                    logits = average(self.hr.normalise(images), carried, Motion(*motion))
                height, width = sample.labels.shape
                labels = resize_logits(logits, (height, width)).argmax(1)[0].to(torch.uint8)
                confusion.update(labels.cpu().numpy(), sample.labels)
        return confusion


def stack(samples: Sequence[KeyedSample]) -> Batch:
    """Samples of one size as tensors: images, keyframes (each once), the keyframe's number of each image, labels,
    displacement, unreferenced, distance."""
    keys: list[NDArray[np.uint8]] = []
    of = []
    for sample in samples:
        if not keys or not np.array_equal(keys[-1], sample.key_image):
            keys.append(sample.key_image)
        of.append(len(keys) - 1)
    return (
        torch.from_numpy(np.stack([s.image for s in samples])),
        torch.from_numpy(np.stack(keys)),
        torch.tensor(of),
        torch.from_numpy(np.stack([s.labels for s in samples])),
        torch.from_numpy(np.stack([s.displacement for s in samples])),
        torch.from_numpy(np.stack([s.unreferenced for s in samples])).float(),
        torch.tensor([s.distance for s in samples], dtype=torch.float32),
    )


def vary(sample: KeyedSample, cell: int, rng: np.random.Generator) -> KeyedSample:
    """A random view: a window enlarged up to MAX_ZOOM times, a flip, colours; motion keeps in step with the pixels."""
    height, width = sample.labels.shape
    zoom = float(np.exp(rng.uniform(0, np.log(MAX_ZOOM))))
    rows, columns = round(height / zoom / cell), round(width / zoom / cell)
    top, left = int(rng.integers(height // cell - rows + 1)), int(rng.integers(width // cell - columns + 1))
    window = np.s_[top * cell : (top + rows) * cell, left * cell : (left + columns) * cell]
    cells = np.s_[top : top + rows, left : left + columns]
    scale = np.array([width / (columns * cell), height / (rows * cell)], np.float32)
    grid = (sample.displacement.shape[1], sample.displacement.shape[0])
    colours = rng.integers(1 << 32) if rng.random() < 0.8 else None

    def picture(
        image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        view = np.asarray(cv2.resize(image[window], (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        return view if colours is None else jitter_colour(view, np.random.default_rng(colours))

    lost = cv2.resize(sample.unreferenced[cells].astype(np.uint8), grid, interpolation=cv2.INTER_NEAREST)
    view = replace(
        sample,
        image=picture(sample.image),
        key_image=picture(sample.key_image),
        labels=np.asarray(
            cv2.resize(sample.labels[window], (width, height), interpolation=cv2.INTER_NEAREST), np.uint8
        ),
        displacement=cv2.resize(sample.displacement[cells], grid, interpolation=cv2.INTER_NEAREST) * scale,
        unreferenced=lost.astype(np.bool_),
    )
    return mirrored(view) if rng.random() < 0.5 else view


def mirrored(sample: KeyedSample) -> KeyedSample:
    """Left and right exchanged, horizontal motion with them."""
    return replace(
        sample,
        image=sample.image[:, ::-1].copy(),
        key_image=sample.key_image[:, ::-1].copy(),
        labels=sample.labels[:, ::-1].copy(),
        displacement=sample.displacement[:, ::-1] * np.array([-1, 1], np.float32),
        unreferenced=sample.unreferenced[:, ::-1].copy(),
    )

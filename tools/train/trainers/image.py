"""Training of networks that see one frame at a time: the HR network, and the LR branch with FST."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn
from torch.nn import functional

from ....data import Augmentation, Sample, random_view
from ....segnet import (
    ConfusionMatrix,
    SegmentationLoss,
    SegmentationNetwork,
    Supervised,
    class_weights,
    head_loss,
    resize_logits,
)
from .trainer import Batch, Trainer, TrainSettings


class ImageTrainer(Trainer):
    """Trains `network` on labelled frames `train`, validates on `val`.

    `extra` are (share, samples): other samples, each drawn with the probability that is its share. With a `teacher`
    (AR-Seg's feature similarity training, FST: Hu et al., CVPR 2023) the mean squared error between the features of
    both on the same frames, in units of the variance of the teacher's, is added `settings.fst` times; the teacher's
    features must lie on the same grid.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        train: Sequence[Sample],
        val: Sequence[Sample],
        settings: TrainSettings,
        folder: Path,
        extra: Sequence[tuple[float, Sequence[Sample]]] = (),
        *,
        teacher: SegmentationNetwork | None = None,
    ) -> None:
        per_step = settings.batch * PartialState().num_processes
        wrapped = Supervised(network, deep=settings.auxiliary > 0)
        super().__init__(wrapped, settings, folder, math.ceil(len(train) / per_step), kept="network")
        self.train_samples, self.val_samples, self.extra = train, val, extra
        self.network = network
        self.teacher = None if teacher is None else teacher.eval().to(self.accelerator.device)
        self.criterion = SegmentationLoss(balanced_weights(train, len(network.classes), settings.balance)).to(
            self.accelerator.device
        )
        self.criterion.keep = settings.keep

    def sample(self, number: int, crop_hw: tuple[int, int]) -> Sample:
        """The augmented sample with this running number."""
        rng = np.random.default_rng([self.settings.seed, number])
        settings = Augmentation(
            crop_hw=crop_hw,
            scale=self.settings.scale,
            mix=self.settings.mix,
            degrade=self.settings.degrade,
            codec=self.settings.codec,
            light=self.settings.light,
        )

        def pick() -> Sample:
            return self.train_samples[int(rng.integers(len(self.train_samples)))]

        chance = rng.random()
        for share, samples in self.extra:
            if chance < share:
                return random_view(samples[int(rng.integers(len(samples)))], settings, rng, pick)
            chance -= share
        epoch, position = divmod(number, len(self.train_samples))
        order = np.random.default_rng([self.settings.seed, 1 << 40, epoch]).permutation(len(self.train_samples))
        return random_view(self.train_samples[int(order[position])], settings, rng, pick)

    def batch(self, step: int) -> Batch:
        """Images (N, H, W, 3) uint8 and labels (N, H, W) uint8."""
        size = self.settings.batch
        first = (step * self.accelerator.num_processes + self.accelerator.process_index) * size
        crop = crop_at(self.settings.crops, step / self.total_steps)
        samples = [self.sample(first + i, crop) for i in range(size)]
        return (
            torch.from_numpy(np.stack([s.image for s in samples])),
            torch.from_numpy(np.stack([s.labels for s in samples])),
        )

    def loss(self, *batch: Tensor) -> Tensor:
        """Cross-entropy of the logits, of the auxiliary heads', and the distance to the teacher's features."""
        images, labels = batch
        inputs = self.network.normalise(images)
        with self.accelerator.autocast():
            p, outputs = self.model(inputs)
        loss = self.supervised(outputs, labels)
        if self.teacher is not None and self.settings.fst > 0:
            with torch.no_grad(), self.accelerator.autocast():
                target = self.teacher.features(inputs).float()
            loss = loss + self.settings.fst * functional.mse_loss(p.float(), target) / target.var()
        return loss

    def supervised(self, outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Cross-entropy of the network's logits, and of the auxiliary heads' after them."""
        loss: Tensor = self.criterion(outputs[0], labels)
        if len(outputs) > 1:
            share = self.settings.auxiliary / len(outputs[1:])
            loss = loss + share * sum(head_loss(self.criterion, o, labels) for o in outputs[1:])
        return loss

    def score(self, average: nn.Module) -> ConfusionMatrix:
        """On `val`, at full size."""
        assert isinstance(average, SegmentationNetwork)
        return evaluate(average, self.val_samples, self.accelerator)


def balanced_weights(samples: Sequence[Sample], classes: int, power: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Class weights (classes,) from the labels' frequencies."""
    counts = np.zeros(256, np.int64)
    for sample in samples:
        counts += np.bincount(sample.labels.ravel(), minlength=256)
    return class_weights(counts[:classes], power)


def crop_at(crops: Sequence[tuple[int, int, float]], t: float) -> tuple[int, int]:
    """The crop size at a share `t` of the run, whose shares are relative to their sum."""
    total, passed = sum(share for _, _, share in crops), 0.0
    for height, width, share in crops:
        passed += share / total
        if t < passed:
            return height, width
    return crops[-1][:2]


@torch.inference_mode()
def evaluate(
    network: SegmentationNetwork, samples: Sequence[Sample], accelerator: Accelerator | None = None
) -> ConfusionMatrix:
    """The confusion matrix of a network over labelled frames at their own size, logits resized bilinearly."""
    confusion = ConfusionMatrix(len(network.classes))
    accelerator = accelerator or Accelerator()
    network.eval()
    for sample in samples:
        with accelerator.autocast():
            logits = network(network.normalise(torch.from_numpy(sample.image)[None]))
        labels = resize_logits(logits, (sample.labels.shape[0], sample.labels.shape[1])).argmax(1)[0]
        confusion.update(labels.to(torch.uint8).cpu().numpy(), sample.labels)
    return confusion

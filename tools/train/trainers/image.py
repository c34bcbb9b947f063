"""Training of networks that see one frame at a time: the HR network, and the LR branch with FST."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn
from torch.nn import functional

from ....data import Augmentation, Sample, random_view
from ....segnet import ConfusionMatrix, SegmentationLoss, SegmentationNetwork, class_weights, resize_logits
from .trainer import Batch, Trainer, TrainSettings

SUPERVISED_MAPS = ("backbone.spp", "backbone.upsample.0", "backbone.upsample.1")
"""SwiftNet's decoder maps at strides 32, 16 and 8, which auxiliary heads classify in training."""


class AuxiliaryHeads(nn.Module):
    """Linear classifiers on SwiftNet's coarser decoder maps (deep supervision), used in training only."""

    def __init__(self, network: SegmentationNetwork, names: Sequence[str]) -> None:
        super().__init__()
        channels: int = getattr(network, "decoder_channels", network.feature_channels)
        self.heads = nn.ModuleList(nn.Conv2d(channels, len(network.classes), 1) for _ in names)
        self.maps: list[Tensor] = []
        for name in names:
            network.get_submodule(name).register_forward_hook(self.remember)

    def remember(self, module: nn.Module, _inputs: Any, out: Tensor) -> None:
        """Keep a map that training needs (copies of the network, which are only evaluated, share this hook)."""
        if module.training:
            self.maps.append(out)

    def forward(self) -> list[Tensor]:
        """Logits of the maps that the network's last forward left, coarse to fine."""
        maps, self.maps = self.maps, []
        return [head(torch.relu(m)) for head, m in zip(self.heads, maps, strict=True)]


@runtime_checkable
class DeeplySupervised(Protocol):
    """A network with auxiliary heads of its own, such as PSPNet and BiSeNet."""

    def features_and_auxiliary(self, images: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Normalised RGB to `p` and the heads' logits."""


class Supervised(nn.Module):
    """The network with its auxiliary heads: one module for the optimiser and for data-parallel wrapping.

    The heads are the network's own where it has some and `deep` asks for them, and linear ones on the maps `heads`.
    """

    def __init__(self, network: SegmentationNetwork, heads: Sequence[str], *, deep: bool) -> None:
        super().__init__()
        self.network, self.deep = network, deep
        self.auxiliary = AuxiliaryHeads(network, heads)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features of the network, then logits: its own first, those of the auxiliary heads after them."""
        if self.deep and isinstance(self.network, DeeplySupervised):
            p, own = self.network.features_and_auxiliary(images)
            return p, [self.network.classify(p), *own]
        p = self.network.features(images)
        return p, [self.network.classify(p), *self.auxiliary()]


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
        heads = supervised_maps(network) if settings.auxiliary > 0 else []
        wrapped = Supervised(network, heads, deep=settings.auxiliary > 0)
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
            coarse = labels[:, 2::4, 2::4]
            share = self.settings.auxiliary / len(outputs[1:])
            loss = loss + share * sum(self.criterion(o, coarse) for o in outputs[1:])
        return loss

    def score(self, average: nn.Module) -> ConfusionMatrix:
        """On `val`, at full size."""
        assert isinstance(average, SegmentationNetwork)
        return evaluate(average, self.val_samples, self.accelerator)


def supervised_maps(network: SegmentationNetwork) -> list[str]:
    """The names of the network's maps that auxiliary heads may classify; none for an architecture without them."""
    return [name for name, _ in network.named_modules() if name.removeprefix("network.") in SUPERVISED_MAPS]


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

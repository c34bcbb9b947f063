"""Training of networks that see one frame at a time: the HR network, and the LR branch with FST."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ....data import Augmentation, Sample, random_view
from ....segnet import (
    ConfusionMatrix,
    SegmentationLoss,
    SegmentationNetwork,
    Supervised,
    heads_loss,
    lovasz_softmax,
    parameter_groups,
    resize_logits,
    single_frame_distillation,
)
from ..loop import Batch, Precision, Trainer, TrainSettings, join_processes, variance_over_processes

EXCERPT_HW = (192, 256)
"""The largest crop that steps are timed on."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """What decides the weights of a per-frame network, beside the loop's settings and the data.

    `crops` is (height, width, share of the run), in order; `augmentation` what is done to a frame, at the crop's size.
    `keep` is the share of hardest pixels whose loss counts, `confidence` the other measure of them
    (`SegmentationLoss`), `auxiliary` the weight of deep supervision, `lovasz` that of `lovasz_softmax`, `fst` that of
    feature similarity, `distillation` that of the teacher's output; `head_step` and `feature_distance` say what
    `published` changes. `encoder_lr` is the encoder's learning rate, relative to the others'; `encoder_norm` says
    whether its batch-norm statistics are estimated anew ("train") or stay as they were loaded ("kept").
    """

    crops: tuple[tuple[int, int, float], ...] = ((360, 480, 1.0),)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(crop_hw=(360, 480)))
    keep: float = 1.0
    confidence: float | None = None
    auxiliary: float = 0.4
    lovasz: float = 0.0
    fst: float = 0.0
    distillation: float = 0.0
    published: bool = False
    encoder_lr: float = 1.0
    encoder_norm: str = "train"

    def view(self, progress: float) -> Augmentation:
        """What is done to frames at a share of the run."""
        return self.augmentation.with_crop(crop_at(self.crops, progress))


class ImageBatch(NamedTuple):
    """`images` (N, H, W, 3) uint8 RGB and `labels` (N, H, W) uint8."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return self._replace(images=self.images.to(device), labels=self.labels.to(device))

    def excerpt(self) -> Self:
        """Two frames' corners."""
        height, width = EXCERPT_HW
        return self._replace(images=self.images[:2, :height, :width], labels=self.labels[:2, :height, :width])


FramesT = TypeVar("FramesT", bound=Batch)


class FrameTrainer(Trainer[FramesT, SegmentationNetwork]):
    """What trainings of per-frame networks share: labelled frames `train`, validation on `val`.

    `weights` (classes,) are those of the classes, 1 each without; `extra` are (share, samples): other samples, each
    drawn with the probability that is its share.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        train: Sequence[Sample],
        val: Sequence[Sample],
        settings: TrainSettings,
        own: ImageSettings,
        folder: Path,
        *,
        weights: NDArray[np.float32] | None = None,
        extra: Sequence[tuple[float, Sequence[Sample]]] = (),
    ) -> None:
        self.own = own
        per_step = settings.batch * join_processes().num_processes
        supervised = Supervised(network, deep=own.auxiliary > 0)
        super().__init__(supervised, network, settings, folder, math.ceil(len(train) / per_step))
        self.train_samples, self.val_samples, self.extra = train, val, extra
        each = np.ones(len(network.classes), np.float32) if weights is None else weights
        self.criterion = SegmentationLoss(each, own.keep, own.confidence).to(self.device)

    def own_settings(self) -> dict[str, Any]:
        """Those of `ImageSettings`."""
        return asdict(self.own)

    def rates(self) -> dict[str, float]:
        """The encoder's."""
        return {"encoder": self.own.encoder_lr}

    def set_training(self) -> None:
        """Training mode, but for statistics that are to be kept."""
        super().set_training()
        if self.own.encoder_norm == "kept":
            keep_statistics(self.module)

    def sample(self, number: int, view: Augmentation) -> Sample:
        """The augmented sample with this running number."""
        rng = np.random.default_rng([self.settings.seed, number])

        def pick() -> Sample:
            return self.train_samples[int(rng.integers(len(self.train_samples)))]

        chance = rng.random()
        for share, samples in self.extra:
            if chance < share:
                return random_view(samples[int(rng.integers(len(samples)))], view, rng, pick)
            chance -= share
        epoch, position = divmod(number, len(self.train_samples))
        order = np.random.default_rng([self.settings.seed, 1 << 40, epoch]).permutation(len(self.train_samples))
        return random_view(self.train_samples[int(order[position])], view, rng, pick)

    def labelled(self, step: int) -> ImageBatch:
        """A step's labelled frames."""
        size = self.settings.batch
        first = step * self.accelerator.num_processes * size
        view = self.own.view(step / self.total_steps)
        samples = [self.sample(first + number, view) for number in self.own_part(size)]
        return ImageBatch(
            torch.from_numpy(np.stack([s.image for s in samples])),
            torch.from_numpy(np.stack([s.labels for s in samples])),
        )

    def inputs(self, images: Tensor) -> Tensor:
        """RGB (N, H, W, 3) as the network takes it."""
        return self.precision.inputs(self.network.normalise(images))

    def supervised(self, outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Cross-entropy of the network's logits, and of the auxiliary heads' after them; and the surrogate of mIoU."""
        loss: Tensor = self.criterion(outputs[0], labels)
        if self.own.lovasz:
            loss = loss + self.own.lovasz * lovasz_softmax(outputs[0], labels)
        step = head_step(self.own.published)
        return loss + self.own.auxiliary * heads_loss(self.criterion, outputs[1:], labels, step)

    def score(self, average: SegmentationNetwork) -> ConfusionMatrix:
        """On `val`, at full size."""
        return evaluate(average, self.val_samples, self.precision)


class ImageTrainer(FrameTrainer[ImageBatch]):
    """Trains a network on labelled frames.

    With a `teacher` (AR-Seg's feature similarity training, FST: Hu et al., CVPR 2023) the distance of the features to
    the teacher's on the same frames is added `fst` times, and the KL divergence of its output from the network's
    `distillation` times (`single_frame_distillation`); the teacher's features must lie on the same grid.
    """

    def __init__(self, *arguments: Any, teacher: SegmentationNetwork | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.teacher = None if teacher is None else teacher.eval().requires_grad_(False).to(self.device)

    def batch(self, step: int) -> ImageBatch:
        """See `labelled`."""
        return self.labelled(step)

    def loss(self, batch: ImageBatch) -> Tensor:
        """Cross-entropy of the logits, of the auxiliary heads', and what the teacher adds."""
        inputs = self.inputs(batch.images)
        with self.autocast():
            p, outputs = self.model(inputs)
        loss = self.supervised(outputs, batch.labels)
        own = self.own
        if self.teacher is not None and own.fst + own.distillation > 0:
            with torch.no_grad(), self.autocast():
                target = self.teacher.features(inputs)
                scores = self.teacher.classify(target) if own.distillation else None
            if own.fst:
                loss = loss + own.fst * feature_distance(p.float(), target.float(), published=own.published)
            if scores is not None:
                loss = loss + own.distillation * single_frame_distillation(outputs[0], scores)
        return loss


def feature_distance(p: Tensor, target: Tensor, *, published: bool) -> Tensor:
    """The mean squared error of features, in units of the target's variance unless it is to be as published."""
    distance = functional.mse_loss(p, target)
    return distance if published else distance / variance_over_processes(target)


def head_step(published: bool) -> int:
    """Auxiliary heads see every how manieth row and column of the labels."""
    return 1 if published else 4


def keep_statistics(module: nn.Module) -> None:
    """Let the encoder's batch norms use their running statistics, and leave them as they are."""
    groups = [group for group in parameter_groups(module) if group.name == "encoder"]
    encoder = {id(parameter) for group in groups for parameter in group.parameters.values()}
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d) and any(id(parameter) in encoder for parameter in layer.parameters()):
            layer.eval()


def crop_at(crops: Sequence[tuple[int, int, float]], t: float) -> tuple[int, int]:
    """The crop size at a share `t` of the run, whose shares are relative to their sum."""
    total, passed = sum(share for _, _, share in crops), 0.0
    for height, width, share in crops:
        passed += share / total
        if t < passed:
            return height, width
    return crops[-1][:2]


@torch.inference_mode()
def evaluate(network: SegmentationNetwork, samples: Sequence[Sample], precision: Precision) -> ConfusionMatrix:
    """The confusion matrix of a network over labelled frames at their own size, logits resized bilinearly."""
    confusion = ConfusionMatrix(len(network.classes))
    network.eval()
    for sample in samples:
        inputs = precision.inputs(network.normalise(torch.from_numpy(sample.image)[None]))
        with precision.autocast(inputs.device):
            logits = network(inputs)
        labels = resize_logits(logits, (sample.labels.shape[0], sample.labels.shape[1])).argmax(1)[0]
        confusion.update(labels.to(torch.uint8).cpu().numpy(), sample.labels)
    return confusion

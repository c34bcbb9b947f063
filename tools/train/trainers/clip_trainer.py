"""Training of clip networks on densely labelled videos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....data import CLIP_OFFSETS, Augmentation, LabelledSequence, Sample, crop_view, draw_clip, jitter_colour
from ....errors import InputError
from ....pipelines import FixedReferences, Moment
from ....segnet import (
    MRCFA,
    ConfusionMatrix,
    ParameterGroup,
    SegFormer,
    Tokens,
    VideoConsistency,
    class_weights,
    clip_loss,
    per_frame_loss,
    present_mean_iou,
    resize_logits,
    weighted_iou,
)
from ..loop import Trainer, TrainSettings, join_processes
from ..samples import check_labels
from .image import crop_at

FRAMES_HW = (128, 128)
"""The largest frames that steps are timed on."""


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """What decides the weights of a clip network, beside the loop's settings and the data.

    `crops` is (height, width, share of the run), in order; `augmentation` how views of them are made, the same for all
    frames of a clip: of it, zoom, stretch, place and mirroring are heeded, and colours always vary. Classes are
    weighted by `balance`, see `class_weights`; an epoch is `repeat` clips a video.
    """

    crops: tuple[tuple[int, int, float], ...] = ((480, 480, 1.0),)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(crop_hw=(480, 480), focus=0.0, mix=0.0))
    balance: float = 0.0
    repeat: float = 8.0


class ClipBatch(NamedTuple):
    """`images` (N, T, H, W, 3) uint8 RGB and `labels` (N, T, H, W) uint8, the target last."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return self._replace(images=self.images.to(device), labels=self.labels.to(device))

    def excerpt(self) -> Self:
        """The corners of one clip's frames."""
        height, width = FRAMES_HW
        return self._replace(images=self.images[:1, :, :height, :width], labels=self.labels[:1, :, :height, :width])


ClipNetwork = MRCFA | SegFormer


class ClipVideo(Protocol):
    """A video of which every frame is labelled: a `LabelledSequence` or a `LabelledVideo`."""

    def __len__(self) -> int: ...

    def samples(self, positions: Sequence[int]) -> list[Sample]:
        """The frames at some positions."""

    def labels(self, position: int, /) -> NDArray[np.uint8]:
        """Those of one frame, (H, W)."""


class ClipOutputs(nn.Module):
    """What is supervised, as one module for the optimiser and for data-parallel wrapping.

    Of an MRCFA its `training_outputs`; of a SegFormer, which knows nothing of clips, the per-frame logits alone.
    """

    def __init__(self, network: ClipNetwork) -> None:
        super().__init__()
        self.network = network

    def parameter_groups(self) -> list[ParameterGroup]:
        """The network's."""
        return [group.within("network") for group in self.network.parameter_groups()]

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor | None]:
        """Normalised clips (N, T, 3, H, W) to per-frame logits and logits of the target."""
        if isinstance(self.network, MRCFA):
            return self.network.training_outputs(clips)
        logits: Tensor = self.network(clips.flatten(0, 1))
        return logits.unflatten(0, tuple(clips.shape[:2])), None  # type: ignore[no-untyped-call]


class ClipTrainer(Trainer[ClipBatch, ClipNetwork]):
    """Trains an MRCFA on clips of four frames drawn from `train`, validates on the labelled frames of `val`.

    Clips are drawn by `draw_clip`, and all frames of one have the same view and colours, so that they stay one scene.
    The loss is `clip_loss`. A SegFormer sees the same clips and has the loss's first term only: the paper's baseline.
    Learning rates and weight decay differ between parameters as in the published recipe.
    """

    def __init__(
        self,
        network: ClipNetwork,
        train: Sequence[ClipVideo],
        val: Sequence[LabelledSequence],
        settings: TrainSettings,
        own: ClipSettings,
        folder: Path,
    ) -> None:
        self.own, self.videos = own, long_enough(train)
        steps = math.ceil(len(self.videos) * own.repeat / settings.batch / join_processes().num_processes)
        super().__init__(ClipOutputs(network), network, settings, folder, steps)
        self.val_videos = val
        self.weights: Tensor | None = None
        if own.balance > 0:
            self.weights = frequency_weights(self.videos, len(network.classes), own.balance).to(self.device)
        self.consistency: dict[str, float] = {}

    def own_settings(self) -> dict[str, Any]:
        """Those of `ClipSettings`."""
        return asdict(self.own)

    def rates(self) -> None:
        """As published."""
        return

    def batch(self, step: int) -> ClipBatch:
        """This process's part of the step's random clips."""
        view = self.own.augmentation.with_crop(crop_at(self.own.crops, step / self.total_steps))
        clips = [self.clip(view, step, number) for number in self.own_part(self.settings.batch)]
        return ClipBatch(
            torch.from_numpy(np.stack([[frame.image for frame in clip] for clip in clips])),
            torch.from_numpy(np.stack([[frame.labels for frame in clip] for clip in clips])),
        )

    def clip(self, view: Augmentation, step: int, number: int) -> list[Sample]:
        """A random view of a random clip."""
        rng = np.random.default_rng([self.settings.seed, step, number])
        video = self.videos[int(rng.integers(len(self.videos)))]
        seed = int(rng.integers(1 << 32))
        frames = []
        for sample in video.samples(draw_clip(len(video), rng)):
            check_labels(sample.labels, sample.name, len(self.network.classes))
            same = np.random.default_rng(seed)
            frame = crop_view(sample, view, same)
            frames.append(replace(frame, image=jitter_colour(frame.image, same)))
        return frames

    def loss(self, batch: ClipBatch) -> Tensor:
        """The loss of the paper, means over known pixels."""
        images, labels = batch.images, batch.labels.long()
        inputs = self.precision.inputs(self.network.normalise(images.flatten(0, 1)))
        with self.autocast():
            per_frame, of_target = self.model(inputs.unflatten(0, tuple(images.shape[:2])))  # type: ignore[no-untyped-call]
        if of_target is None:
            return per_frame_loss(per_frame.float(), labels, weights=self.weights)
        return clip_loss(per_frame.float(), of_target.float(), labels, weights=self.weights)

    def score(self, average: ClipNetwork) -> ConfusionMatrix:
        """On the labelled frames of `val`, with references 9, 6 and 3 frames before.

        Leaves the labels' `consistency` where every frame is labelled.
        """
        confusion, consistency = ConfusionMatrix(len(average.classes)), VideoConsistency()
        for video in self.val_videos:
            with self.autocast():
                labels = predictions(average, video, self.device)
            for position, predicted in enumerate(labels):
                if position in video.label_files:
                    truth = video.labels(position)
                    confusion.update(predicted, truth)
                    if video.is_dense:
                        consistency.update(predicted, truth)
            consistency.end_video()
        self.consistency = consistency.compute()
        return confusion

    def metrics(self, confusion: ConfusionMatrix, classes: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """As VSPW's script has them, without IoU by class."""
        return {
            "miou_val": present_mean_iou(confusion),
            "weighted_iou_val": weighted_iou(confusion),
            **{f"{name}_val": value for name, value in self.consistency.items()},
        }


def long_enough(videos: Sequence[ClipVideo]) -> list[ClipVideo]:
    """The videos that have clips; InputError where none has."""
    found = [video for video in videos if len(video) > max(CLIP_OFFSETS)]
    if not found:
        raise InputError(
            f"none of the {len(videos)} videos has more than {max(CLIP_OFFSETS)} frames, as a clip needs; "
            "give longer ones, as `preprocess stills` makes them"
        )
    return found


def frequency_weights(videos: Sequence[ClipVideo], classes: int, power: float) -> Tensor:
    """Class weights (classes,) from how often classes occur in the middle frame of each video."""
    counts = np.zeros(256, np.int64)
    for video in videos:
        counts += np.bincount(video.labels(len(video) // 2).ravel(), minlength=256)
    return torch.from_numpy(class_weights(counts[:classes], power))


@torch.inference_mode()
def predictions(network: ClipNetwork, video: LabelledSequence, device: torch.device) -> list[NDArray[np.uint8]]:
    """The labels (H, W) of every frame of a video, each encoded once."""
    tokens: list[Tokens] = []
    moments: list[Moment] = []
    labels = []
    for position in range(len(video)):
        image = torch.from_numpy(video.image(position)).to(device)
        size = (image.shape[0], image.shape[1])
        if isinstance(network, MRCFA):
            target = network.encode(network.normalise(image[None]))
            places = FixedReferences().choose(moments, Moment(position))
            references = [tokens[place] for place in places] or [target.tokens]
            tokens.append(target.tokens)
            moments.append(Moment(position))
            logits = network.segment(target, references, size)
        else:
            logits = network(network.normalise(image[None]))
        labels.append(resize_logits(logits.float(), size).argmax(1)[0].to(torch.uint8).cpu().numpy())
    return labels

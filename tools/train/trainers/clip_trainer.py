"""Training of clip networks on densely labelled videos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....data import CLIP_OFFSETS, Augmentation, LabelledSequence, Sample, crop_view, draw_clip, jitter_colour
from ....pipelines import FixedReferences, Moment
from ....segnet import (
    MRCFA,
    ConfusionMatrix,
    SegFormer,
    Tokens,
    VideoConsistency,
    class_weights,
    clip_loss,
    per_frame_loss,
    resize_logits,
)
from .image import crop_at
from .trainer import Batch, Trainer, TrainSettings

HEAD_RATE = 10.0
"""The head's learning rate, relative to the backbone's (Sun et al., ECCV 2022)."""


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

    def __init__(self, network: MRCFA | SegFormer) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor | None]:
        """Normalised clips (N, T, 3, H, W) to per-frame logits and logits of the target."""
        if isinstance(self.network, MRCFA):
            return self.network.training_outputs(clips)
        logits: Tensor = self.network(clips.flatten(0, 1))
        return logits.unflatten(0, tuple(clips.shape[:2])), None  # type: ignore[no-untyped-call]


class ClipTrainer(Trainer):
    """Trains an MRCFA on clips of four frames drawn from `train`, validates on every frame of `val`.

    Clips are drawn by `draw_clip`, and all frames of one have the same view and colours, so that they stay one scene.
    The loss is `clip_loss`, with classes weighted by `settings.balance`. A SegFormer sees the same clips and has the
    loss's first term only: the paper's baseline. The head learns HEAD_RATE times as fast as the backbone, and the
    backbone's norms are not decayed. An epoch is `repeat` clips a video.
    """

    def __init__(
        self,
        network: MRCFA | SegFormer,
        train: Sequence[ClipVideo],
        val: Sequence[LabelledSequence],
        settings: TrainSettings,
        folder: Path,
        *,
        repeat: float,
    ) -> None:
        self.videos = long_enough(train)
        steps = math.ceil(len(self.videos) * repeat / settings.batch)
        super().__init__(ClipOutputs(network), settings, folder, steps, kept="network")
        self.network, self.val_videos = network, val
        self.weights: Tensor | None = None
        if settings.balance > 0:
            self.weights = frequency_weights(self.videos, len(network.classes), settings.balance)
            self.weights = self.weights.to(self.accelerator.device)
        self.consistency: dict[str, float] = {}

    def optimiser_of(self, module: nn.Module) -> torch.optim.Optimizer:
        """`clip_optimiser` of the network."""
        assert isinstance(module, ClipOutputs)
        return clip_optimiser(module.network, self.settings)

    def batch(self, step: int) -> Batch:
        """Images (N, 4, H, W, 3) uint8 and labels (N, 4, H, W) uint8, the target last."""
        crop = crop_at(self.settings.crops, step / self.total_steps)
        rng = np.random.default_rng([self.settings.seed, step, self.accelerator.process_index])
        clips = [self.clip(crop, rng) for _ in range(self.settings.batch)]
        return (
            torch.from_numpy(np.stack([[frame.image for frame in clip] for clip in clips])),
            torch.from_numpy(np.stack([[frame.labels for frame in clip] for clip in clips])),
        )

    def clip(self, crop_hw: tuple[int, int], rng: np.random.Generator) -> list[Sample]:
        """A random view of a random clip."""
        video = self.videos[int(rng.integers(len(self.videos)))]
        view = Augmentation(crop_hw=crop_hw, scale=self.settings.scale, focus=0.0, mix=0.0)
        seed = int(rng.integers(1 << 32))
        frames = []
        for sample in video.samples(draw_clip(len(video), rng)):
            same = np.random.default_rng(seed)
            frame = crop_view(sample, view, same)
            frames.append(replace(frame, image=jitter_colour(frame.image, same)))
        return frames

    def loss(self, *batch: Tensor) -> Tensor:
        """The loss of the paper, means over known pixels."""
        images, labels = batch
        inputs = self.network.normalise(images.flatten(0, 1)).unflatten(0, tuple(images.shape[:2]))  # type: ignore[no-untyped-call]
        with self.accelerator.autocast():
            per_frame, of_target = self.model(inputs)
        if of_target is None:
            return per_frame_loss(per_frame.float(), labels.long(), weights=self.weights)
        return clip_loss(per_frame.float(), of_target.float(), labels.long(), weights=self.weights)

    def score(self, average: nn.Module) -> ConfusionMatrix:
        """On every frame of `val`, with references 9, 6 and 3 frames before; leaves the labels' `consistency`."""
        assert isinstance(average, MRCFA | SegFormer)
        confusion, consistency = ConfusionMatrix(len(average.classes)), VideoConsistency()
        for video in self.val_videos:
            with self.accelerator.autocast():
                labels = predictions(average, video, self.accelerator.device)
            for position, predicted in enumerate(labels):
                truth = video.labels(position)
                confusion.update(predicted, truth)
                consistency.update(predicted, truth)
            consistency.end_video()
        self.consistency = consistency.compute()
        return confusion


def long_enough(videos: Sequence[ClipVideo]) -> list[ClipVideo]:
    """The videos that have clips; ValueError where none has."""
    found = [video for video in videos if len(video) > max(CLIP_OFFSETS)]
    if not found:
        raise ValueError(f"none of the {len(videos)} videos has more than {max(CLIP_OFFSETS)} frames")
    return found


def frequency_weights(videos: Sequence[ClipVideo], classes: int, power: float) -> Tensor:
    """Class weights (classes,) from how often classes occur in the middle frame of each video."""
    counts = np.zeros(256, np.int64)
    for video in videos:
        counts += np.bincount(video.labels(len(video) // 2).ravel(), minlength=256)
    return torch.from_numpy(class_weights(counts[:classes], power))


def clip_optimiser(network: MRCFA | SegFormer, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW with a faster head; norms of the backbone are not decayed, as in the published recipe."""
    parts: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        in_head = name.startswith("decode_head.")
        parts.setdefault((in_head, not in_head and "norm" in name), []).append(parameter)
    groups = [
        {
            "params": parameters,
            "weight_decay": 0.0 if is_norm else settings.weight_decay,
            "base_lr": settings.lr * (HEAD_RATE if in_head else 1.0),
        }
        for (in_head, is_norm), parameters in parts.items()
    ]
    return torch.optim.AdamW(groups, lr=settings.lr)


@torch.inference_mode()
def predictions(network: MRCFA | SegFormer, video: LabelledSequence, device: torch.device) -> list[NDArray[np.uint8]]:
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

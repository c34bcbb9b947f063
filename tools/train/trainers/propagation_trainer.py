"""Training of propagation heads on labelled GOPs, the keyframe network frozen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ....data import LabelledVideo
from ....pipelines import FINEST_CELL
from ....segnet import (
    CODEC_MOTION,
    ClipPropagation,
    ConfusionMatrix,
    PeriodScores,
    PropagationLoss,
    PropagationModel,
    PropagationPreset,
    photometric_error,
)
from ..loop import Trainer, TrainSettings
from ..samples import VAL_GOP, ClipSource, PropagationClip, SeenPictures, codec_motion, stack_clips

PER_GOP = 2
"""Clips of one video in a batch, where clips of several distances fit together."""


class PropagationTask(nn.Module):
    """A head with its loss, as one module: what data-parallel wrappers see.

    To the criterion's loss it adds `photometric` times how badly a flow network explains the last frame.
    """

    def __init__(self, model: PropagationModel, criterion: PropagationLoss, *, photometric: float) -> None:
        super().__init__()
        self.clip = ClipPropagation(model)
        self.criterion = criterion
        self.photometric = photometric

    def forward(
        self,
        key_logits: Tensor,
        images: Tensor,
        labels: Tensor,
        displacements: Tensor | None = None,
        validities: Tensor | None = None,
        nearests: Tensor | None = None,
        teacher: Tensor | None = None,
    ) -> Tensor:
        """Arguments as of `ClipPropagation`; `labels` (N, ., .) of the last frame may be thinned out; to one number."""
        size_hw = (labels.shape[-2], labels.shape[-1])
        logits = self.clip(key_logits, images, displacements, validities, nearests, output_hw=size_hw)
        loss: Tensor = self.criterion(logits, labels, teacher)
        model = self.clip.model
        if self.photometric and model.flow is not None and any(p.requires_grad for p in model.flow.parameters()):
            before, last = model.prepare(images[:, -2]), model.prepare(images[:, -1])
            explained = photometric_error(last.reduced, before.reduced, model.motion(last, before))
            loss = loss + self.photometric * explained
        return loss


class PropagationBatch(NamedTuple):
    """Clips as the arguments of `PropagationTask`, None where the head takes no such thing."""

    key_logits: Tensor
    images: Tensor
    labels: Tensor
    displacements: Tensor | None
    validities: Tensor | None
    nearests: Tensor | None
    teacher: Tensor | None

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return self._replace(**{name: part.to(device) for name, part in self._asdict().items() if part is not None})

    def excerpt(self) -> Self:
        """The first clip."""
        return self._replace(**{name: part[:1] for name, part in self._asdict().items() if part is not None})


class PropagationTrainer(Trainer[PropagationBatch, PropagationModel]):
    """Trains a propagation model on clips of `source`, validates it on labelled videos.

    A batch is `settings.batch` clips at distances drawn from `distances`: one for the whole step where the head
    carries from frame to frame, else PER_GOP of each video. Labels are thinned out to every second row and column,
    from a random one on. With a `preset`, optimiser and schedule are the published recipe's.
    """

    def __init__(
        self,
        task: PropagationTask,
        source: ClipSource,
        val: Sequence[LabelledVideo],
        settings: TrainSettings,
        folder: Path,
        *,
        distances: Sequence[int],
        steps_per_epoch: int,
        preset: PropagationPreset | None = None,
    ) -> None:
        self.preset, self.source, self.distances = preset, source, tuple(distances)
        super().__init__(task, task.clip.model, settings, folder, steps_per_epoch)
        self.source.seen.network.to(self.device)
        self.val_videos = val

    def own_settings(self) -> dict[str, Any]:
        """What the clips are, and the weight of the photometric error."""
        return {
            "distances": list(self.distances),
            "views": self.source.views,
            "photometric": self.task.photometric,
            "distillation": self.task.criterion.distillation,
        }

    @property
    def task(self) -> PropagationTask:
        """The head with its loss."""
        return cast(PropagationTask, self.module)

    def make_optimiser(self) -> torch.optim.Optimizer:
        """The preset's, or the settings'."""
        if self.preset is None:
            return super().make_optimiser()
        optimiser, _ = self.preset.optimiser(self.network)
        for group in optimiser.param_groups:
            group["base_lr"] = group["lr"]
        return optimiser

    def rate(self, step: int) -> float:
        """The preset's decay, or the settings' schedule."""
        if self.preset is None:
            return super().rate(step)
        return self.preset.decay ** (step // self.preset.decay_steps)

    def batch(self, step: int) -> PropagationBatch:
        """This process's part of the step's random clips."""
        rng = np.random.default_rng([self.settings.seed, step])
        row, column = rng.integers(2, size=2)
        common = int(rng.choice(self.distances)) if self.source.settings.recursive else None
        size = 1 if common is not None else min(PER_GOP, len(self.distances))
        wanted = self.own_part(self.settings.batch)
        drawn = {number: self.draw(step, number, common, size) for number in sorted({n // size for n in wanted})}
        tensors = stack_clips([drawn[place // size][place % size] for place in wanted], self.source.settings)
        tensors["labels"] = tensors["labels"][:, row::2, column::2].contiguous()
        return PropagationBatch(**{name: tensors.get(name) for name in PropagationBatch._fields})  # type: ignore[arg-type]

    def draw(self, step: int, number: int, common: int | None, size: int) -> list[PropagationClip]:
        """`size` random clips, of one video where it has as many, at a distance that is `common` to the step if any."""
        rng = np.random.default_rng([self.settings.seed, step, number])
        clips: list[PropagationClip] = []
        while len(clips) < size:
            chosen = [common] if common is not None else rng.choice(self.distances, size, replace=False).tolist()
            clips += self.source.draw(rng, chosen)
        return clips[:size]

    def loss(self, batch: PropagationBatch) -> Tensor:
        """The task's loss."""
        with self.autocast():
            loss: Tensor = self.model(*batch)
        return loss

    @torch.inference_mode()
    def score(self, average: PropagationModel) -> ConfusionMatrix:
        """All labelled frames between keyframes of the validation videos."""
        scores = score_videos(average, self.source.seen, self.val_videos, VAL_GOP - 1)
        tqdm.write("val mIoU_d " + " ".join(f"{value:.4f}" for value in scores.by_distance))
        confusion = ConfusionMatrix(len(average.settings.classes))
        for matrix in scores.distances[1:]:
            confusion.counts += matrix.counts
        return confusion


@torch.inference_mode()
def score_videos(
    model: PropagationModel, seen: SeenPictures, videos: Sequence[LabelledVideo], interval: int
) -> PeriodScores:
    """A model's scores at every distance to the videos' own keyframes."""
    device = model.reducer.mean.device
    by_codec = model.settings.flow == CODEC_MOTION
    scores = PeriodScores(len(model.settings.classes), interval)
    for video in videos:
        reference = carried = None
        for sample in video.keyed(range(len(video)), FINEST_CELL):
            size_hw = (sample.labels.shape[0], sample.labels.shape[1])
            frame = model.prepare(torch.from_numpy(sample.image)[None].to(device))
            if sample.distance == 0 or reference is None or carried is None:
                logits = seen.look(sample.image)[None].to(device)
                reference, carried = frame, model.start(logits, size_hw)
                output = model.keyframe_logits(logits, size_hw)
            else:
                motion = codec_motion([sample], model.settings)._asdict() if by_codec else {}
                given = {name: value.to(device) for name, value in motion.items()}
                step = model.step(carried, frame, reference=reference, **given)
                output = model.logits(step.scores, size_hw)
                if model.settings.recursive:
                    reference, carried = frame, step.scores
            labels = output.argmax(1)[0].to(torch.uint8).cpu().numpy()
            scores.update(sample.distance, labels, sample.labels)
    return scores

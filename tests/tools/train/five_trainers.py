"""Two steps of each of the five trainings, in one process or in several: what `test_processes` compares.

    python five_trainers.py DATA OUTPUT BATCH

DATA is a CamVid with a folder `gops` of labelled videos. Leaves the gradients of both steps by training and parameter
in OUTPUT/gradients.pt, and the run of `hr` in OUTPUT/hr.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import MethodType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from gopseg.data import Augmentation, CamVid, find_labelled_videos
from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    PropagationLoss,
    PropagationModel,
    PropagationSettings,
    build_fusion,
    build_network,
)
from gopseg.tools.train.loop import Precision, Trainer, TrainSettings
from gopseg.tools.train.samples import ClipSource, SeenPictures, find_sources
from gopseg.tools.train.trainers import (
    ClipSettings,
    ClipTrainer,
    FusionSettings,
    FusionTrainer,
    ImageSettings,
    ImageTrainer,
    PropagationTask,
    PropagationTrainer,
    TemporalSettings,
    TemporalTrainer,
)

STEPS = 2
EXACT = ("temporal", "clip")
VIEW = Augmentation(crop_hw=(64, 64), scale=(0.4, 1.0))
WEIGHTS = np.linspace(0.5, 1.5, 11, dtype=np.float32)


def frozen(module: nn.Module) -> None:
    """Keep batch statistics, dropout and stochastic depth out of it: they differ between one process and two, as they
    should."""
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d) or "Drop" in type(each).__name__:
            each.eval()
            each.train = MethodType(lambda self, _mode=True: self, each)


def exact(trainer: Trainer[Any, Any]) -> None:
    """Compute in double precision: choices (of tokens, of maxima) then do not turn on the last bits."""
    for name, value in vars(trainer).items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, nn.Module):
                each.double()
        if isinstance(value, torch.Tensor):
            setattr(trainer, name, value.double())


def trainers(data: CamVid, output: Path, batch: int) -> dict[str, Trainer[Any, Any]]:
    """The five, and `hr` with temporal terms."""
    settings = TrainSettings(batch=batch, epochs=1, optimiser="sgd", lr=1e-2, warmup=0, precision="fp32", seed=4)
    stills, gops = list(data.stills("train")), data.root / "gops"
    crops = ((64, 64, 1.0),)

    def network() -> Any:
        torch.manual_seed(1)
        return build_network("swiftnet18", data.classes)

    low = LowResolution(network(), 0.5)
    low.freeze_classifier()
    image = ImageSettings(crops=crops, augmentation=VIEW)
    similar = ImageSettings(crops=crops, augmentation=VIEW, fst=1.0)
    hr = ImageTrainer(network(), stills, stills[:2], settings, image, output / "hr", weights=WEIGHTS)
    lr = ImageTrainer(low, stills, [], settings, similar, output, weights=WEIGHTS, teacher=network().eval())
    temporal = TemporalTrainer(
        network(),
        stills,
        [],
        settings,
        image,
        output,
        temporal=TemporalSettings(weight=1.0, group_labels=True, groups=batch),
        videos=[find_labelled_videos(gops)],
        teachers=[build_network("swiftnet18", data.classes)],
    )
    branch = LowResolution(network(), 0.5)
    ar = FusionTrainer(
        AlteringResolution(branch, build_fusion("evidence", branch)),
        network(),
        [find_sources(gops, data)],
        [],
        settings,
        FusionSettings(low_lr=0.5),
        output,
        weights=WEIGHTS,
        steps_per_epoch=STEPS,
    )
    form = PropagationSettings(classes=data.classes, flow="motion", stride=8, width=8, recursive=False)
    seen = SeenPictures(network().eval(), output / f"seen{batch}", Precision("fp32"))
    criterion = PropagationLoss(WEIGHTS.tolist(), scale=1, distillation=1.0)
    torch.manual_seed(2)
    propagation = PropagationTrainer(
        PropagationTask(PropagationModel(form), criterion, photometric=0.0),
        ClipSource([find_labelled_videos(gops)], seen, form, 11, seed=1, distil=True),
        [],
        settings,
        output,
        distances=(1, 2, 3),
        steps_per_epoch=STEPS,
    )
    torch.manual_seed(1)
    clip = ClipTrainer(
        build_network("mrcfa-b0", data.classes),
        find_labelled_videos(gops),
        [],
        settings,
        ClipSettings(crops=crops, augmentation=VIEW, balance=0.5),
        output,
    )
    return {"hr": hr, "lr": lr, "temporal": temporal, "ar": ar, "propagation": propagation, "clip": clip}


def main(data: CamVid, output: Path, batch: int) -> None:
    """See above."""
    (output / "hr").mkdir(parents=True, exist_ok=True)
    gradients: dict[str, torch.Tensor] = {}
    for name, trainer in trainers(data, output, batch).items():
        frozen(trainer.module)
        casts = patch.object(torch.Tensor, "float", torch.Tensor.double) if name in EXACT else nullcontext()
        if name in EXACT:
            exact(trainer)
        for step in range(STEPS):
            trainer.progress.step = step
            with casts:
                trainer.train_step(trainer.batch(step))
            for key, parameter in trainer.module.named_parameters():
                if parameter.grad is not None:
                    gradients[f"{name}/{step}/{key}"] = parameter.grad.clone()
        trainer.progress.step = 0
        if name == "hr":
            best: list[float] = []
            assert trainer.run(lambda _, confusion, best=best: best.append(confusion.mean_iou))
            assert bool(best) == trainer.accelerator.is_main_process
    if trainer.accelerator.is_main_process:
        torch.save(gradients, output / "gradients.pt")


if __name__ == "__main__":
    main(CamVid(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))

"""`train-segnet lr`: an LR branch alone, with feature similarity training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from ...codec import CodecError
from ...data import CamVid
from ...segnet import LowResolution, ModelError, load_network, load_tensors, save_branch
from ..console import InputError, sha256
from .common import image_options, more_samples, prepare_folder, run_options, run_trainer
from .trainers import ImageTrainer, TrainSettings


@click.command()
@click.option("--hr", "hr_weights", type=click.Path(path_type=Path, exists=True), required=True, help="HR weights.")
@click.option("--lr-scale", type=click.FloatRange(0.1, 0.95), default=0.5, show_default=True)
@click.option("--fst", type=click.FloatRange(0), default=1.0, show_default=True, help="Weight of feature similarity.")
@run_options
@image_options
def lr(
    dataset: str,
    root: Path,
    hr_weights: Path,
    lr_scale: float,
    output: Path,
    resume: bool,
    synthetic: float,
    synthetic_frames: int,
    clips: Path | None,
    clips_share: float,
    clips_frames: str,
    **options: Any,
) -> None:
    """Train the branch that sees frames shrunk to --lr-scale (AR-Seg's first stage).

    It starts as a copy of the HR network and keeps its classifier; --fst adds the distance of its features to those of
    the HR network on the same frame. Leaves the same files as `train-segnet hr`.
    """
    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    try:
        train, val = (list(CamVid(root).stills(split)) for split in ("train", "val"))
        architecture = load_tensors(hr_weights)[1]["architecture"]
        torch.manual_seed(settings.seed)
        low = LowResolution(load_network(hr_weights), lr_scale)
        low.freeze_classifier()
        teacher = load_network(hr_weights) if settings.fst else None
        extra, words = more_samples(
            output,
            train[0],
            settings.seed,
            synthetic=synthetic,
            synthetic_frames=synthetic_frames,
            clips=clips,
            clips_share=clips_share,
            clips_frames=clips_frames,
        )
    except (CodecError, ModelError) as error:
        raise InputError(str(error)) from error
    trainer = ImageTrainer(low, train, val, settings, output, extra, teacher=teacher)

    def write(average: nn.Module, file: Path) -> None:
        assert isinstance(average, LowResolution)
        save_branch(average, file, architecture)

    facts = {
        "kind": "lr",
        "architecture": architecture,
        "scale": lr_scale,
        "hr": {"file": hr_weights.name, "sha256": sha256(hr_weights.read_bytes())},
        "classes": list(low.classes),
        "data": f"{dataset} train, {len(train)} labelled frames{words}",
    }
    run_trainer(trainer, checkpoint, write, facts, resume=resume)

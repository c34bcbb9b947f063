"""`train-segnet hr`: a per-frame network on labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from ..codec import CodecError
from ..data.camvid import CamVid
from ..segnet import ARCHITECTURES, ModelError, SegmentationNetwork, build_network, initialise, save_model
from .cli import InputError
from .image_training import ImageTrainer
from .train_common import image_options, more_samples, prepare_folder, run_options, run_trainer
from .training import TrainSettings


@click.command()
@click.option("--arch", type=click.Choice(sorted(ARCHITECTURES)), default="swiftnet18", show_default=True)
@click.option(
    "--init", type=click.Path(path_type=Path, exists=True), help="Start from these weights (ours or ImageNet's)."
)
@run_options
@image_options
def hr(
    dataset: str,
    root: Path,
    arch: str,
    output: Path,
    init: Path | None,
    resume: bool,
    synthetic: float,
    synthetic_frames: int,
    clips: Path | None,
    clips_share: float,
    clips_frames: str,
    **options: Any,
) -> None:
    """Train a full-resolution network on labelled frames.

    Leaves `best.safetensors` (the average of the weights that scored best on `val`), its card `best.json`, `last.pt`
    to resume from, and TensorBoard curves in the run's folder.
    """
    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    try:
        train, val = list(CamVid(root, "train")), list(CamVid(root, "val"))
        torch.manual_seed(settings.seed)
        network = build_network(arch, CamVid.classes)
        if init is not None and not resume:
            click.echo(f"took {initialise(network, init)} tensors from {init}", err=True)
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
    trainer = ImageTrainer(network, train, val, settings, output, extra)

    def write(average: nn.Module, file: Path) -> None:
        assert isinstance(average, SegmentationNetwork)
        save_model(average, file, arch)

    facts = {
        "architecture": arch,
        "classes": list(network.classes),
        "data": f"{dataset} train, {len(train)} labelled frames{words}",
    }
    run_trainer(trainer, checkpoint, write, facts, resume=resume)

"""`train-segnet clip`: a network that looks at earlier frames too, on densely labelled videos."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from .. import __version__
from ..codec import CodecError
from ..data.vspw import CLASSES, vspw_sequences
from ..segnet import ConfusionMatrix, ModelError, build_network, initialise, save_model
from ..segnet.mrcfa import MRCFA
from ..segnet.segformer import SIZES
from ..segnet.vc_metrics import present_mean_iou, weighted_iou
from .cli import InputError, hardware
from .clip_training import ClipTrainer
from .train_common import CropSize, prepare_folder
from .training import TrainSettings


@click.command()
@click.option("--root", type=click.Path(path_type=Path), required=True, help="Folder in VSPW's layout.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--size", type=click.Choice(list(SIZES)), default="b0", show_default=True, help="Mix Transformer.")
@click.option(
    "--init", type=click.Path(path_type=Path, exists=True), help="Start from these weights (ours, or ImageNet's MiT)."
)
@click.option("--epochs", type=click.IntRange(1), default=57, show_default=True)
@click.option("--repeat", type=click.IntRange(1), default=8, show_default=True, help="Clips a video and epoch.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Clips per process and step.")
@click.option("--crop", "crops", type=CropSize(), multiple=True, default=["480x480"], help="Crop sizes, in turn.")
@click.option("--scale", type=(float, float), default=(0.5, 2.0), show_default=True, help="Range of the random zoom.")
@click.option("--lr", type=float, default=6e-5, show_default=True, help="Of the backbone; the head's is ten times it.")
@click.option("--weight-decay", type=float, default=0.01, show_default=True)
@click.option("--warmup", type=click.IntRange(0), default=1500, show_default=True, help="Steps.")
@click.option("--schedule", type=click.Choice(["flat-cosine", "cosine", "poly"]), default="poly", show_default=True)
@click.option("--ema", type=click.FloatRange(0, 1, max_open=True), default=0.998, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--validate-every", type=click.IntRange(1), default=5, show_default=True, help="Epochs.")
@click.option("--precision", type=click.Choice(["bf16", "fp16", "fp32"]), default="fp32", show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
def clip(root: Path, output: Path, size: str, init: Path | None, repeat: int, resume: bool, **options: Any) -> None:
    """Train MRCFA (Sun et al., ECCV 2022) on videos of which every frame is labelled; by default as published.

    Leaves `best.safetensors` (the average of the weights that scored best on `val`), its card `best.json`, `last.pt` to
    resume from, and TensorBoard curves in the run's folder.
    """
    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    architecture = f"mrcfa-{size}"
    try:
        train, val = vspw_sequences(root, "train"), vspw_sequences(root, "val")
        torch.manual_seed(settings.seed)
        network = build_network(architecture, CLASSES)
        assert isinstance(network, MRCFA)
        if init is not None and not resume:
            click.echo(f"took {initialise(network, init)} tensors from {init}", err=True)
        trainer = ClipTrainer(network, train, val, settings, output, repeat=repeat)
    except (CodecError, ModelError, ValueError) as error:
        raise InputError(str(error)) from error
    if resume and checkpoint.exists():
        trainer.load(checkpoint)
        click.echo(f"resumed at step {trainer.progress.step} of {trainer.total_steps}", err=True)
    started = time.time()

    def keep_best(average: nn.Module, confusion: ConfusionMatrix) -> None:
        assert isinstance(average, MRCFA)
        file = output / "best.safetensors"
        save_model(average, file, architecture)
        card = {
            "architecture": architecture,
            "classes": list(CLASSES),
            "data": f"{root.name}: {len(train)} videos",
            "command": " ".join(["train-segnet", *sys.argv[1:]]),
            "settings": asdict(settings),
            "step": trainer.progress.step,
            "steps": trainer.total_steps,
            "metrics": {
                "miou_val": present_mean_iou(confusion),
                "weighted_iou_val": weighted_iou(confusion),
                **{f"{name}_val": value for name, value in trainer.consistency.items()},
            },
            "history": trainer.progress.history,
            "training_seconds_since_start_or_resume": round(time.time() - started),
            "hardware": hardware(),
            "versions": {"gopseg": __version__, "torch": torch.__version__},
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        }
        file.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")

    trainer.run(keep_best)

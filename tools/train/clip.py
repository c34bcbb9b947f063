"""`train-segnet clip`: a network that looks at earlier frames too, on densely labelled videos."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from ... import __version__
from ...codec import CodecError
from ...data import VSPW, CamVid, LabelledSequence, find_labelled_videos
from ...segnet import (
    MRCFA,
    SIZES,
    ConfusionMatrix,
    ModelError,
    SegFormer,
    build_network,
    initialise,
    present_mean_iou,
    save_model,
    weighted_iou,
)
from ..console import InputError, hardware
from .common import LICENCE_NOTE, CropSize, prepare_folder
from .trainers import ClipTrainer, ClipVideo, TrainSettings

PRESETS: dict[str, dict[str, Any]] = {
    "published": {
        "epochs": 57,
        "repeat": 8.0,
        "batch": 8,
        "crops": ((480, 480, 1.0),),
        "scale": (0.5, 2.0),
        "lr": 6e-5,
        "weight_decay": 0.01,
        "warmup": 1500,
        "schedule": "poly",
        "ema": 0.998,
        "balance": 0.0,
        "validate_every": 5,
        "precision": "fp32",
    },
    "small": {
        "epochs": 1,
        "repeat": 0.5,
        "batch": 2,
        "crops": ((256, 320, 1.0),),
        "scale": (0.7, 1.5),
        "lr": 1e-4,
        "weight_decay": 0.02,
        "warmup": 30,
        "schedule": "cosine",
        "ema": 0.98,
        "balance": 0.5,
        "validate_every": 1,
        "precision": "bf16",
    },
}
"""What options are where they are not given: the paper's recipe (Sun et al., ECCV 2022), and minutes on a CPU."""


@click.command()
@click.option(
    "--dataset",
    type=click.Choice(["vspw", "camvid"]),
    default="vspw",
    show_default=True,
    help="camvid: 11 classes, trained on --clips, validated on its `val`.",
)
@click.option("--root", type=click.Path(path_type=Path), required=True, help="Folder of the data set.")
@click.option(
    "--clips",
    type=click.Path(path_type=Path),
    multiple=True,
    help="With camvid: folder of `preprocess stills` or `preprocess street`; repeatable.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--size", type=click.Choice(list(SIZES)), default="b0", show_default=True, help="Mix Transformer.")
@click.option("--per-frame", is_flag=True, help="A SegFormer on the same clips instead: what MRCFA is compared with.")
@click.option(
    "--init", type=click.Path(path_type=Path, exists=True), help="Start from these weights (ours, or ImageNet's MiT)."
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="published",
    show_default=True,
    help="Of the options below that are not given; small: minutes on a CPU.",
)
@click.option("--epochs", type=click.IntRange(1))
@click.option("--repeat", type=click.FloatRange(0, min_open=True), help="Clips a video and epoch.")
@click.option("--batch", type=click.IntRange(1), help="Clips per process and step.")
@click.option("--crop", "crops", type=CropSize(), multiple=True, help="Crop sizes, in turn.")
@click.option("--scale", type=(float, float), help="Range of the random zoom.")
@click.option("--lr", type=float, help="Of the backbone; the head's is ten times it.")
@click.option("--weight-decay", type=float)
@click.option("--warmup", type=click.IntRange(0), help="Steps.")
@click.option("--schedule", type=click.Choice(["flat-cosine", "cosine", "poly"]))
@click.option("--ema", type=click.FloatRange(0, 1, max_open=True))
@click.option("--balance", type=float, help="Power of the inverse class frequency.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--validate-every", type=click.IntRange(1), help="Epochs.")
@click.option("--precision", type=click.Choice(["bf16", "fp16", "fp32"]))
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
def clip(
    dataset: str,
    root: Path,
    clips: tuple[Path, ...],
    output: Path,
    size: str,
    per_frame: bool,
    init: Path | None,
    preset: str,
    resume: bool,
    **options: Any,
) -> None:
    """Train MRCFA (Sun et al., ECCV 2022) on videos of which every frame is labelled; by default as published.

    Leaves `best.safetensors` (the average of the weights that scored best on `val`), its card `best.json`, `last.pt` to
    resume from, and TensorBoard curves in the run's folder.
    """
    checkpoint = prepare_folder(output, resume=resume)
    chosen = PRESETS[preset] | {key: value for key, value in options.items() if value not in (None, ())}
    repeat = chosen.pop("repeat")
    settings = TrainSettings(**chosen)
    architecture = f"{'segformer' if per_frame else 'mrcfa'}-{size}"
    try:
        data = open_clips(dataset, root, clips)
        torch.manual_seed(settings.seed)
        network = build_network(architecture, data.classes)
        assert isinstance(network, MRCFA | SegFormer)
        if init is not None and not checkpoint.exists():
            click.echo(f"took {initialise(network, init)} tensors from {init}", err=True)
        trainer = ClipTrainer(network, data.train, data.val, settings, output, repeat=repeat)
    except (CodecError, ModelError, ValueError) as error:
        raise InputError(str(error)) from error
    if resume and checkpoint.exists():
        trainer.load(checkpoint)
        click.echo(f"resumed at step {trainer.progress.step} of {trainer.total_steps}", err=True)
    started = time.time()

    def keep_best(average: nn.Module, confusion: ConfusionMatrix) -> None:
        assert isinstance(average, MRCFA | SegFormer)
        file = output / "best.safetensors"
        save_model(average, file, architecture)
        card = {
            "architecture": architecture,
            "classes": list(data.classes),
            "data": data.words,
            **({"licence_note": LICENCE_NOTE} if dataset == "camvid" else {}),
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


@dataclass(frozen=True)
class ClipData:
    """Videos to train and to validate on, the classes of their labels, and a line for the card."""

    train: Sequence[ClipVideo]
    val: Sequence[LabelledSequence]
    classes: tuple[str, ...]
    words: str


def open_clips(dataset: str, root: Path, clips: Sequence[Path]) -> ClipData:
    """The videos of a data set; InputError where CamVid has no `clips`, or another data set has some."""
    if dataset == "camvid":
        if not clips:
            raise InputError("CamVid's `train` is no video; give --clips DIR, as `preprocess stills` makes it")
        found = [find_labelled_videos(folder) for folder in clips]
        words = "labelled GOPs: " + ", ".join(
            f"{len(videos)} of {folder.name}" for folder, videos in zip(clips, found, strict=True)
        )
        return ClipData(
            [video for videos in found for video in videos], CamVid(root).sequences("val"), CamVid.classes, words
        )
    if clips:
        raise InputError("--clips are of CamVid's classes; add --dataset camvid, or leave them out")
    data = VSPW(root)
    train = data.sequences("train")
    return ClipData(train, data.sequences("val"), data.classes, f"{root.name}: {len(train)} videos")

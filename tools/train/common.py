"""What the subcommands of `train-segnet` share: options, the run's folder, synthetic samples, the model card."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ... import __version__
from ...data import CamVid, LabelledVideoFrames, Sample, SyntheticStreet, find_labelled_videos
from ...segnet import ConfusionMatrix
from ..console import InputError, hardware
from .trainers import Trainer

LICENCE_NOTE = (
    "Trained on CamVid (Brostow, Fauqueur and Cipolla, Pattern Recognition Letters 2009), whose images are for "
    "research; the weights contain none of them."
)


class CropSize(click.ParamType[tuple[int, int, float]]):
    """HxW:SHARE, as in 256x320:0.5; the share may be left out."""

    name = "HxW[:SHARE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, float]:
        """Text to (height, width, share)."""
        if isinstance(value, tuple):
            return value
        try:
            size, _, share = str(value).partition(":")
            height, width = (int(v) for v in size.split("x"))
            return height, width, float(share or 1)
        except ValueError:
            self.fail(f"'{value}' is not HxW or HxW:SHARE, as in 256x320:0.5", param, ctx)


Command = Callable[..., Any]


def run_options(command: Command) -> Command:
    """Options of every training: data, folder, length, optimiser, validation."""
    options = [
        click.option("--dataset", type=click.Choice(["camvid"]), default="camvid", show_default=True),
        click.option("--root", type=click.Path(path_type=Path), required=True, help="Folder of the data set."),
        click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run."),
        click.option("--epochs", type=click.IntRange(1), default=100, show_default=True),
        click.option(
            "--batch", type=click.IntRange(1), default=8, show_default=True, help="Frames per process and step."
        ),
        click.option("--optimiser", type=click.Choice(["adamw", "sgd"]), default="adamw", show_default=True),
        click.option("--lr", type=float, default=1e-3, show_default=True),
        click.option(
            "--encoder-lr",
            type=click.FloatRange(0),
            default=1.0,
            show_default=True,
            help="The encoder's learning rate, relative to --lr.",
        ),
        click.option(
            "--encoder-norm",
            type=click.Choice(["train", "kept"]),
            default="train",
            show_default=True,
            help="The encoder's batch-norm statistics: estimated anew, or kept as they were loaded.",
        ),
        click.option("--weight-decay", type=float, default=0.02, show_default=True),
        click.option("--warmup", type=click.IntRange(0), default=200, show_default=True, help="Steps."),
        click.option(
            "--schedule",
            type=click.Choice(["flat-cosine", "cosine", "poly"]),
            default="flat-cosine",
            show_default=True,
        ),
        click.option("--ema", type=click.FloatRange(0, 1, max_open=True), default=0.998, show_default=True),
        click.option(
            "--balance", type=float, default=0.5, show_default=True, help="Power of the inverse class frequency."
        ),
        click.option(
            "--ohem", "keep", type=float, default=1.0, show_default=True, help="Share of hardest pixels kept."
        ),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--validate-every", type=click.IntRange(1), default=5, show_default=True, help="Epochs."),
        click.option("--precision", type=click.Choice(["bf16", "fp16", "fp32"]), default="bf16", show_default=True),
        click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint."),
    ]
    return add(options, command)


def image_options(command: Command) -> Command:
    """Options of trainings that see single frames: views, deep supervision, more data."""
    share = click.FloatRange(0, 1)
    options = [
        click.option(
            "--crop", "crops", type=CropSize(), multiple=True, default=["360x480"], help="Crop sizes, in turn."
        ),
        click.option(
            "--scale", type=(float, float), default=(0.5, 2.0), show_default=True, help="Range of the random zoom."
        ),
        click.option("--mix", type=share, default=0.3, show_default=True, help="Probability of ClassMix."),
        click.option(
            "--degrade", type=share, default=0.3, show_default=True, help="Probability of blur, JPEG or sensor noise."
        ),
        click.option(
            "--codec", type=share, default=0.0, show_default=True, help="Probability of an H.264 P-frame's artefacts."
        ),
        click.option(
            "--light",
            type=click.FloatRange(0),
            default=0.35,
            show_default=True,
            help="Largest gamma, as a natural logarithm; contrast, brightness and white balance follow.",
        ),
        click.option("--auxiliary", type=float, default=0.4, show_default=True, help="Weight of deep supervision."),
        click.option("--synthetic", type=share, default=0.0, show_default=True, help="Share of synthetic streets."),
        click.option(
            "--synthetic-frames", type=click.IntRange(1), default=480, show_default=True, help="How many to render."
        ),
        click.option(
            "--clips",
            type=click.Path(path_type=Path),
            help="Folder of `preprocess stills`: decoded frames to train on too.",
        ),
        click.option("--clips-share", type=share, default=0.5, show_default=True, help="Share of the samples."),
        click.option(
            "--clips-frames",
            type=click.Choice(["still", "all"]),
            default="still",
            show_default=True,
            help="The frames that were not warped, or all.",
        ),
    ]
    return add(options, command)


def add(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    """The command with options, first on top in its help."""
    for option in reversed(options):
        command = option(command)
    return command


def prepare_folder(output: Path, *, resume: bool) -> Path:
    """Make the run's folder; its checkpoint's path. InputError where a run is there that is not to be resumed."""
    checkpoint = output / "last.pt"
    if checkpoint.exists() and not resume:
        raise InputError(f"'{output}' holds a run already; go on with --resume, or give another folder")
    output.mkdir(parents=True, exist_ok=True)
    return checkpoint


def more_samples(
    output: Path,
    like: Sample,
    seed: int,
    *,
    synthetic: float,
    synthetic_frames: int,
    clips: Path | None,
    clips_share: float,
    clips_frames: str,
) -> tuple[list[tuple[float, Sequence[Sample]]], str]:
    """What is mixed into the training frames: (share, samples) each, and a line about them for the card."""
    found: list[tuple[float, Sequence[Sample]]] = []
    words = ""
    if clips is not None and clips_share:
        videos = find_labelled_videos(clips)
        found.append((clips_share, LabelledVideoFrames(videos, stills=clips_frames == "still")))
        words += f"; decoded frames ({clips_frames}) of {len(videos)} GOPs that `preprocess stills` made of them"
    if synthetic:
        found.append((synthetic, synthetic_samples(output / "synthetic.npz", synthetic_frames, seed, like)))
        words += f"; {synthetic_frames} frames of gopseg's synthetic street"
    return found, words


def synthetic_samples(cache: Path, count: int, seed: int, like: Sample) -> list[Sample]:
    """`count` frames of synthetic streets, four of each, as large as `like`; rendered once, kept in `cache`."""
    if not cache.exists():
        height, width = like.labels.shape
        images, labels = np.empty((count, height, width, 3), np.uint8), np.empty((count, height, width), np.uint8)
        street = None
        for number in tqdm(range(count), desc="synthetic street", disable=None):
            if number % 4 == 0:
                street = SyntheticStreet(seed=1000 * (seed + 1) + number // 4, size_hw=(height, width))
            assert street is not None
            images[number], labels[number] = street.frame(40 * (number % 4))
        part = cache.with_suffix(f".{os.getpid()}.npz")  # each process of a distributed run renders for itself
        np.savez(part, images=images, labels=labels)
        part.replace(cache)
    with np.load(cache) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if len(images) != count:
        raise InputError(f"'{cache}' holds {len(images)} frames, not {count}; delete it to render anew")
    return [Sample(f"street {i}", image, label) for i, (image, label) in enumerate(zip(images, labels, strict=True))]


def run_trainer(
    trainer: Trainer,
    checkpoint: Path,
    write: Callable[[nn.Module, Path], None],
    facts: dict[str, Any],
    *,
    resume: bool,
) -> None:
    """Train to the end, leaving `best.safetensors` by `write` and its card `best.json`."""
    if resume and checkpoint.exists():
        trainer.load(checkpoint)
        click.echo(f"resumed at step {trainer.progress.step} of {trainer.total_steps}", err=True)
    started = time.time()

    def keep_best(average: nn.Module, confusion: ConfusionMatrix) -> None:
        file = checkpoint.with_name("best.safetensors")
        write(average, file)
        card = facts | training_facts(trainer, confusion, time.time() - started)
        file.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")

    trainer.run(keep_best)


def training_facts(trainer: Trainer, confusion: ConfusionMatrix, seconds: float) -> dict[str, Any]:
    """How the weights were made, and what they score."""
    return {
        "licence_note": LICENCE_NOTE,
        "command": " ".join(["train-segnet", *sys.argv[1:]]),
        "settings": asdict(trainer.settings),
        "step": trainer.progress.step,
        "steps": trainer.total_steps,
        "metrics": {
            "miou_val": confusion.mean_iou,
            "iou_val": dict(zip(CamVid.classes, confusion.iou.tolist(), strict=True)),
            "pixel_accuracy_val": confusion.pixel_accuracy,
        },
        "history": trainer.progress.history,
        "training_seconds_since_start_or_resume": round(seconds),
        "hardware": hardware(),
        "versions": {"gopseg": __version__, "torch": torch.__version__},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }

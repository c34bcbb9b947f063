"""`train-segnet ar`: the LR branch with its fusion, on labelled GOPs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from ...codec import CodecError
from ...data import CamVid
from ...segnet import (
    FUSIONS,
    AlteringResolution,
    LowResolution,
    ModelError,
    build_fusion,
    load_lr,
    load_network,
    load_tensors,
    save_branch,
)
from ..console import InputError, sha256
from .common import prepare_folder, run_options, run_trainer
from .trainers import (
    VAL_GOP,
    VAL_OFFSETS,
    FusionTrainer,
    TrainSettings,
    balanced_weights,
    encoded_val,
    find_sources,
    has_labels,
)


@click.command()
@click.option("--hr", "hr_weights", type=click.Path(path_type=Path, exists=True), required=True, help="HR weights.")
@click.option("--lr-weights", type=click.Path(path_type=Path, exists=True), help="LR branch to start from.")
@click.option("--lr-scale", type=click.FloatRange(0.1, 0.95), default=0.5, show_default=True)
@click.option("--fusion", type=click.Choice(FUSIONS), default="evidence", show_default=True)
@click.option(
    "--clips",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Labelled GOPs (`preprocess stills`, `street`), clips (`preprocess clips`), AR-Seg's processed folders, or "
    "videos without labels. Several folders are drawn from equally often.",
)
@click.option("--steps-per-epoch", type=click.IntRange(1), default=50, show_default=True)
@click.option("--auxiliary", type=float, default=0.4, show_default=True, help="Weight of the LR branch's own loss.")
@click.option("--fst", type=click.FloatRange(0), default=0.5, show_default=True, help="Weight of feature similarity.")
@click.option(
    "--low-lr", type=float, default=0.2, show_default=True, help="LR branch's share of the learning rate; 0: frozen."
)
@click.option("--val-bitrate", type=int, default=750_000, show_default=True, help="Of the encoded `val`, bits/s.")
@run_options
def ar(
    dataset: str,
    root: Path,
    hr_weights: Path,
    lr_weights: Path | None,
    lr_scale: float,
    fusion: str,
    clips: tuple[Path, ...],
    steps_per_epoch: int,
    val_bitrate: int,
    output: Path,
    resume: bool,
    **options: Any,
) -> None:
    """Train the branch that sees shrunken frames and the warped keyframe (AR-Seg's second stage).

    Works on decoded frames at every distance and bitrate that --clips holds. The LR branch starts from --lr-weights, or
    as a copy of the HR network; its classifier stays the HR network's. Validates on `val`, encoded at GOP 12.
    """
    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    try:
        train, val = (list(CamVid(root).stills(split)) for split in ("train", "val"))
        architecture = load_tensors(hr_weights)[1]["architecture"]
        torch.manual_seed(settings.seed)
        hr = load_network(hr_weights)
        low = load_lr(lr_weights) if lr_weights else LowResolution(load_network(hr_weights), lr_scale)
        corpora = [find_sources(folder) for folder in clips]
    except (CodecError, ModelError) as error:
        raise InputError(str(error)) from error
    unlabelled = [str(f) for f, sources in zip(clips, corpora, strict=True) if not any(map(has_labels, sources))]
    if unlabelled and not (settings.fst and settings.low_lr):
        raise InputError(f"'{unlabelled[0]}' has no labels: such frames teach by --fst and --low-lr only; give both")
    low.freeze_classifier()
    branch = AlteringResolution(low, build_fusion(fusion, low))
    weights = balanced_weights(train, len(hr.classes), settings.balance)
    encoded = [encoded_val(val, output / "val", offset, val_bitrate) for offset in VAL_OFFSETS]
    trainer = FusionTrainer(branch, hr, corpora, encoded, settings, output, weights, steps_per_epoch)

    def write(average: nn.Module, file: Path) -> None:
        assert isinstance(average, AlteringResolution)
        save_branch(average, file, architecture, fusion)

    facts = {
        "kind": "ar",
        "architecture": architecture,
        "scale": low.scale,
        "fusion": fusion,
        "hr": {"file": hr_weights.name, "sha256": sha256(hr_weights.read_bytes())},
        "classes": list(hr.classes),
        "data": " and ".join(
            f"{len(videos)} videos of {folder.name}" for folder, videos in zip(clips, corpora, strict=True)
        ),
        "validation": f"P-frames of {dataset} val at GOP {VAL_GOP}, {val_bitrate} b/s, offsets {VAL_OFFSETS}",
    }
    run_trainer(trainer, checkpoint, write, facts, resume=resume)

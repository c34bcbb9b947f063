"""`train-segnet ar`: the LR branch with its fusion, on labelled GOPs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import command, option
from ...errors import InputError
from .loss_options import LOSS, WEIGHT, balance_option, distillation_option, hard_options, loss_options
from .options import (
    DATA,
    FOLDER,
    OPTIMISER,
    RUN,
    STOPPED,
    hr_option,
    lr_scale_option,
    need_extra,
    run_options,
    val_bitrate_option,
)

if TYPE_CHECKING:
    from ...segnet import AlteringResolution

FUSION_CHOICES = ("evidence", "evidence-light", "creff", "warp")
"""Segnet's fusions; a test compares."""
LOSS_SETTINGS = ("auxiliary", "deep", "fst", "distillation", "keep", "confidence", "published")


@command(interrupted=STOPPED)
@hr_option
@option("--lr-weights", type=click.Path(path_type=Path, exists=True), help="LR branch to start from.")
@lr_scale_option
@option(
    "--fusion",
    type=click.Choice(FUSION_CHOICES),
    default="evidence",
    show_default=True,
    help="How the branch's result and the warped keyframe are fused.",
)
@option(
    "--clips",
    type=FOLDER,
    multiple=True,
    required=True,
    group=DATA,
    help="Labelled GOPs (`preprocess stills`, `street`), clips (`preprocess clips`), AR-Seg's processed folders, or "
    "videos without labels. Several folders are drawn from equally often.",
)
@val_bitrate_option
@run_options
@option("--steps-per-epoch", type=click.IntRange(1), default=50, show_default=True, group=RUN, help="Steps per epoch.")
@option(
    "--low-lr",
    type=WEIGHT,
    default=0.2,
    show_default=True,
    group=OPTIMISER,
    help="The LR branch's learning rate, relative to --lr; 0 freezes it.",
)
@balance_option
@hard_options
@option(
    "--auxiliary", type=WEIGHT, default=0.4, show_default=True, group=LOSS, help="Weight of the LR branch's own loss."
)
@option(
    "--deep", type=WEIGHT, default=0.0, show_default=True, group=LOSS, help="Weight of the LR branch's auxiliary heads."
)
@distillation_option
@option("--fst", type=WEIGHT, default=0.5, show_default=True, group=LOSS, help="Weight of feature similarity.")
def ar(
    dataset: str,
    root: Path | None,
    hr: str,
    lr_weights: Path | None,
    lr_scale: float,
    fusion: str,
    clips: tuple[Path, ...],
    val_bitrate: int,
    val_frames: int | None,
    output: Path,
    resume: bool,
    steps_per_epoch: int,
    low_lr: float,
    **options: Any,
) -> None:
    """Train a low-resolution branch and its fusion with the warped keyframe (AR-Seg's second stage).

    Works on decoded frames at every distance and bitrate that --clips holds. The LR branch starts from --lr-weights, or
    as a copy of the HR network; its classifier stays the HR network's. Validates on the recordings of `val`, encoded at
    GOP 12.
    """
    need_extra()
    import torch

    from ...data import open_dataset
    from ...segnet import AlteringResolution, LowResolution, build_fusion, load_lr, load_network, save_branch
    from .loop import TrainSettings
    from .running import architecture_of, of_fusion, prepare_folder, run_trainer, weights_of
    from .samples import (
        VAL_DISTANCES,
        VAL_GOP,
        VAL_OFFSETS,
        balanced_weights,
        check_network,
        find_sources,
        has_labels,
        validation_videos,
    )
    from .trainers import FusionSettings, FusionTrainer

    checkpoint = prepare_folder(output, resume=resume)
    data = open_dataset(dataset, root)
    network = load_network(hr)
    check_network(network, hr, data)
    architecture = architecture_of(network, hr)
    chosen = loss_options(options, lambda: of_fusion(architecture))
    balance = chosen.pop("balance")
    own = FusionSettings(low_lr=low_lr, **{name: chosen.pop(name) for name in LOSS_SETTINGS})
    settings = TrainSettings(**chosen)
    torch.manual_seed(settings.seed)
    low = load_lr(lr_weights) if lr_weights else LowResolution(load_network(hr), lr_scale)
    check_network(low, str(lr_weights or hr), data, "--lr-weights" if lr_weights else "--hr")
    corpora = [find_sources(folder, data) for folder in clips]
    unlabelled = [str(f) for f, sources in zip(clips, corpora, strict=True) if not any(map(has_labels, sources))]
    if unlabelled and not (own.distillation or (own.fst and (low_lr or fusion == "creff"))):
        raise InputError(
            f"'{unlabelled[0]}' has no labels: such frames only teach to imitate the HR network; give "
            "--distillation, or --fst with --low-lr or --fusion creff"
        )
    branch = AlteringResolution(low, build_fusion(fusion, low))
    trainer = FusionTrainer(
        branch,
        network,
        corpora,
        validation_videos(data, output / "val", val_bitrate, val_frames),
        settings,
        own,
        output,
        weights=balanced_weights(data.stills("train"), len(network.classes), balance),
        steps_per_epoch=steps_per_epoch,
    )

    def write(average: AlteringResolution, file: Path) -> None:
        save_branch(average, file, low.architecture, fusion)

    facts = {
        "kind": "ar",
        "architecture": low.architecture,
        "scale": low.scale,
        "fusion": fusion,
        "hr": weights_of(network, hr),
        "classes": list(network.classes),
        "balance": balance,
        "data": " and ".join(
            f"{len(videos)} videos of {folder.name}" for folder, videos in zip(clips, corpora, strict=True)
        ),
        "validation": f"P-frames of {data.name} val at GOP {VAL_GOP}, {val_bitrate} b/s, offsets {VAL_OFFSETS} where "
        f"every frame is labelled, distances {VAL_DISTANCES} elsewhere",
    }
    run_trainer(trainer, checkpoint, write, facts, data, resume=resume)

"""`train-segnet clip`: a network that looks at earlier frames too, on densely labelled videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import command, option
from ...errors import InputError
from ...segnet import SIZES
from .loss_options import LOSS, POWER, WEIGHT
from .options import (
    DATA,
    FOLDER,
    OPTIMISER,
    RATE,
    RUN,
    SCHEDULES,
    SEED,
    STOPPED,
    VIEWS,
    CropSize,
    data_options,
    need_extra,
    precision_option,
    scale_option,
    val_frames_option,
)

if TYPE_CHECKING:
    from ...data import Dataset
    from ...segnet import MRCFA, SegFormer
    from .trainers import ClipVideo

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
        "precision": "auto",
    },
}
"""What options are where they are not given: the paper's recipe (Sun et al., ECCV 2022), and minutes on a CPU."""


@command(interrupted=STOPPED)
@data_options("vspw")
@option(
    "--clips",
    type=FOLDER,
    multiple=True,
    group=DATA,
    help="Train on the labelled videos of `preprocess stills` or `street` in this folder, instead of the "
    "data set's; repeatable.",
)
@val_frames_option
@option("--size", type=click.Choice(list(SIZES)), default="b0", show_default=True, help="Mix Transformer (MiT).")
@option("--per-frame", is_flag=True, help="Train a SegFormer on the same clips instead, MRCFA's baseline.")
@option(
    "--init",
    metavar="MODEL",
    help="Start from these weights: the name of shipped ones, a file (ours, or ImageNet's of MiT), or hf:NAME.",
)
@option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="published",
    show_default=True,
    help="Defaults of the options for which none is shown; small trains in minutes on a CPU.",
)
@option("--epochs", type=click.IntRange(1), group=RUN, help="Passes over the videos.")
@option("--repeat", type=click.FloatRange(0, min_open=True), group=RUN, help="Clips per video and epoch.")
@option("--batch", type=click.IntRange(1), group=RUN, help="Clips per process and step.")
@option("--seed", type=SEED, default=0, show_default=True, group=RUN, help="Random seed.")
@option("--validate-every", type=click.IntRange(1), group=RUN, help="In epochs.")
@precision_option(None)
@option("--resume", is_flag=True, group=RUN, help="Continue from the run's last checkpoint.")
@option("--lr", type=RATE, group=OPTIMISER, help="The backbone's learning rate; the head's is ten times as high.")
@option("--weight-decay", type=WEIGHT, group=OPTIMISER, help="Weight decay, except of the backbone's norms.")
@option("--warmup", type=click.IntRange(0), group=OPTIMISER, help="In steps.")
@option("--schedule", type=SCHEDULES, group=OPTIMISER, help="Learning rate schedule.")
@option(
    "--ema",
    type=click.FloatRange(0, 1, max_open=True),
    group=OPTIMISER,
    help="Decay of the moving average of the weights.",
)
@option("--balance", type=POWER, group=LOSS, help="Power of the inverse class frequency by which classes are weighted.")
@option("--crop", "crops", type=CropSize(), multiple=True, group=VIEWS, help="Crop sizes, used in turn.")
@scale_option(None)
def clip(
    dataset: str,
    root: Path | None,
    clips: tuple[Path, ...],
    val_frames: int | None,
    output: Path,
    size: str,
    per_frame: bool,
    init: str | None,
    preset: str,
    resume: bool,
    **options: Any,
) -> None:
    """Train MRCFA (Sun et al., ECCV 2022) on densely labelled videos, by default with the published recipe.

    Leaves `best.safetensors` (the average of the weights that scored best on `val`), its card `best.json`, `last.pt` to
    resume from, and TensorBoard curves in the run's folder.
    """
    need_extra()
    import torch

    from ...data import Augmentation, limited, open_dataset
    from ...segnet import build_network, save_model
    from .loop import TrainSettings
    from .running import initialise, origin_of, prepare_folder, run_trainer
    from .trainers import ClipSettings, ClipTrainer

    checkpoint = prepare_folder(output, resume=resume)
    chosen = PRESETS[preset] | {key: value for key, value in options.items() if value not in (None, ())}
    crops = chosen.pop("crops")
    own = ClipSettings(
        crops=crops,
        augmentation=Augmentation(crop_hw=crops[0][:2], scale=chosen.pop("scale"), focus=0.0, mix=0.0),
        balance=chosen.pop("balance"),
        repeat=chosen.pop("repeat"),
    )
    settings = TrainSettings(**chosen)
    architecture = f"{'segformer' if per_frame else 'mrcfa'}-{size}"
    data = open_dataset(dataset, root)
    train, words = training_videos(data, clips)
    val = data.sequences("val")
    torch.manual_seed(settings.seed)
    network: Any = build_network(architecture, data.classes)
    if init is not None and not checkpoint.exists():
        click.echo(f"took {initialise(network, init)} tensors from {init}", err=True)
    trainer = ClipTrainer(
        network, train, val if val_frames is None else limited(val, val_frames), settings, own, output
    )

    def write(average: MRCFA | SegFormer, file: Path) -> None:
        save_model(average, file, architecture)

    facts: dict[str, Any] = {"architecture": architecture, "classes": list(data.classes), "data": words}
    if init is not None:
        facts["origin"] = origin_of(init)
    run_trainer(trainer, checkpoint, write, facts, data, resume=resume)


def training_videos(data: Dataset, clips: Sequence[Path]) -> tuple[Sequence[ClipVideo], str]:
    """Videos of which every frame is labelled, of `clips` or else of the data set, and a line for the card.

    InputError where there are none.
    """
    from ...data import DatasetError
    from .samples import labelled_videos

    if clips:
        found = [labelled_videos(folder, data) for folder in clips]
        words = ", ".join(f"{len(videos)} of {folder.name}" for folder, videos in zip(clips, found, strict=True))
        return [video for videos in found for video in videos], f"labelled GOPs: {words}"
    try:
        videos = [video for video in data.sequences("train") if video.is_dense]
        reason = ""
    except DatasetError as error:
        videos, reason = [], f" ({error})"
    if not videos:
        raise InputError(
            f"'{data.root}': train has no video of which every frame is labelled; "
            f"give --clips DIR, as `preprocess stills` makes it{reason}"
        )
    return videos, f"{data.root.name}: {len(videos)} videos"

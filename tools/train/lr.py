"""`train-segnet lr`: an LR branch alone, with feature similarity training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import command, option
from .options import LOSS, STOPPED, WEIGHT, hr_option, image_options, need_extra, run_options

if TYPE_CHECKING:
    from ...segnet import SegmentationNetwork


@command(interrupted=STOPPED)
@hr_option
@option(
    "--lr-scale", type=click.FloatRange(0.1, 0.95), default=0.5, show_default=True, help="Scale of the branch's input."
)
@run_options
@image_options
@option("--fst", type=WEIGHT, default=1.0, show_default=True, group=LOSS, help="Weight of feature similarity.")
def lr(
    dataset: str,
    root: Path | None,
    val_frames: int | None,
    hr: str,
    lr_scale: float,
    fst: float,
    output: Path,
    resume: bool,
    crops: tuple[tuple[int, int, float], ...],
    scale: tuple[float, float],
    mix: float,
    degrade: float,
    codec: float,
    light: float,
    balance: float,
    keep: float,
    encoder_lr: float,
    encoder_norm: str,
    auxiliary: float,
    synthetic: float,
    synthetic_frames: int,
    clips: Path | None,
    clips_share: float,
    clips_frames: str,
    **options: Any,
) -> None:
    """Train a low-resolution branch, which sees frames shrunk to --lr-scale (AR-Seg's first stage).

    It starts as a copy of the HR network and keeps its classifier; --fst adds the distance of its features to those of
    the HR network on the same frame. Leaves the same files as `train-segnet hr`.
    """
    need_extra()
    import torch

    from ...data import Augmentation, open_dataset
    from ...segnet import LowResolution, load_network, save_branch
    from .loop import TrainSettings
    from .running import architecture_of, prepare_folder, run_trainer, weights_of
    from .samples import ExtraSettings, balanced_weights, check_network, extra_samples, labelled_stills
    from .trainers import ImageSettings, ImageTrainer

    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    own = ImageSettings(
        crops=crops,
        augmentation=Augmentation(
            crop_hw=crops[0][:2], scale=scale, mix=mix, degrade=degrade, codec=codec, light=light
        ),
        keep=keep,
        encoder_lr=encoder_lr,
        encoder_norm=encoder_norm,
        auxiliary=auxiliary,
        fst=fst,
    )
    data = open_dataset(dataset, root)
    train, val = labelled_stills(data, "train"), labelled_stills(data, "val", val_frames)
    teacher = load_network(hr)
    check_network(teacher, hr, data)
    architecture = architecture_of(teacher, hr)
    torch.manual_seed(settings.seed)
    low = LowResolution(load_network(hr), lr_scale)
    low.freeze_classifier()
    extras = ExtraSettings(
        synthetic=synthetic,
        synthetic_frames=synthetic_frames,
        clips=clips,
        clips_share=clips_share,
        clips_frames=clips_frames,
    )
    weights = balanced_weights(data.stills("train"), len(data.classes), balance)
    extra, words = extra_samples(extras, data, output, train[0], settings.seed)
    trainer = ImageTrainer(
        low, train, val, settings, own, output, weights=weights, extra=extra, teacher=teacher if fst else None
    )

    def write(average: SegmentationNetwork, file: Path) -> None:
        assert isinstance(average, LowResolution)
        save_branch(average, file, architecture)

    facts = {
        "kind": "lr",
        "architecture": architecture,
        "scale": lr_scale,
        "hr": weights_of(teacher, hr),
        "classes": list(low.classes),
        "balance": balance,
        "data": f"{data.name} train, {len(train)} labelled frames{words}",
    }
    run_trainer(trainer, checkpoint, write, facts, data, resume=resume)

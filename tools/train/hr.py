"""`train-segnet hr`: a per-frame network on labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import add_options, command, option
from ...errors import InputError
from ...segnet import architecture_names
from .loss_options import WEIGHT, loss_options
from .options import FOLDER, STOPPED, F, image_options, need_extra, run_options

if TYPE_CHECKING:
    from ...segnet import SegmentationNetwork

FLOW_CHOICES = ("codec", "dis", "raft")
"""Where the motion of the temporal loss may come from; a test compares it with segnet's."""

TEMPORAL = "Temporal loss and distillation (ETC)"


def temporal_options(function: F) -> F:
    """Options of ETC's motion loss and distillation."""
    options = [
        option(
            "--temporal-loss",
            type=WEIGHT,
            default=0.0,
            show_default=True,
            group=TEMPORAL,
            help="Weight of the motion loss between neighbouring frames of videos; ETC: 0.1, of logits.",
        ),
        option(
            "--temporal-form",
            type=click.Choice(["probabilities", "kl", "legacy"]),
            default="probabilities",
            show_default=True,
            group=TEMPORAL,
            help="What has to agree; legacy: logits, as in ETC's released code.",
        ),
        option(
            "--temporal-flow",
            type=click.Choice(FLOW_CHOICES),
            default="codec",
            show_default=True,
            group=TEMPORAL,
            help="Motion vectors, DIS, or RAFT (needs torchvision).",
        ),
        option(
            "--temporal-gap",
            type=click.IntRange(1),
            default=3,
            show_default=True,
            group=TEMPORAL,
            help="Largest distance between neighbours, in frames.",
        ),
        option(
            "--temporal-clips",
            type=FOLDER,
            multiple=True,
            group=TEMPORAL,
            help="Where the neighbouring frames come from: videos with or without labels; repeatable, each folder as "
            "often. Without it: --clips.",
        ),
        option(
            "--temporal-groups",
            type=click.IntRange(1),
            default=2,
            show_default=True,
            group=TEMPORAL,
            help="Groups of neighbouring frames per process and step.",
        ),
        option(
            "--group-labels",
            is_flag=True,
            group=TEMPORAL,
            help="Also use the labels of the groups' middle frames; those of `preprocess stills` are warped.",
        ),
        option(
            "--distill",
            metavar="MODEL",
            multiple=True,
            group=TEMPORAL,
            help="A teacher: the name of shipped weights, a file, or hf:NAME; repeatable, several are averaged.",
        ),
        option(
            "--distill-weights",
            "distillation",
            type=(WEIGHT, WEIGHT, WEIGHT),
            default=(1.0, 0.1, 0.1),
            show_default=True,
            group=TEMPORAL,
            help="Weights of the distillation from single frames, pairs and triplets; the last two need videos.",
        ),
        option("--distill-flip", is_flag=True, group=TEMPORAL, help="Also show the teachers mirrored frames."),
        option(
            "--distill-scale",
            "distill_scales",
            type=click.FloatRange(0.25, 4),
            multiple=True,
            default=(1.0,),
            show_default=True,
            group=TEMPORAL,
            help="Show the teachers each frame at this many times its size; repeatable, the views are averaged.",
        ),
    ]
    return add_options(options)(function)


@command(interrupted=STOPPED)
@option(
    "--arch", type=click.Choice(architecture_names()), default="swiftnet18", show_default=True, help="Architecture."
)
@option(
    "--init",
    metavar="MODEL",
    multiple=True,
    help="Start from these weights: the name of shipped ones, a file (ours, or ImageNet's of ResNet-18), hf:NAME, or "
    "'imagenet'; of a list, whatever fits, later ones over earlier ones.",
)
@run_options
@image_options
@temporal_options
def hr(
    dataset: str,
    root: Path | None,
    val_frames: int | None,
    arch: str,
    output: Path,
    init: tuple[str, ...],
    resume: bool,
    temporal_loss: float,
    temporal_form: Any,
    temporal_flow: str,
    temporal_gap: int,
    temporal_clips: tuple[Path, ...],
    temporal_groups: int,
    group_labels: bool,
    distill: tuple[str, ...],
    distillation: tuple[float, float, float],
    distill_flip: bool,
    distill_scales: tuple[float, ...],
    **options: Any,
) -> None:
    """Train a full-resolution network on labelled frames.

    Leaves `best.safetensors` (the average of the weights that scored best on `val`), its card `best.json`, `last.pt`
    to resume from, and TensorBoard curves in the run's folder.
    """
    need_extra()
    import torch

    from ...data import LabelledVideo, find_videos
    from ...segnet import build_network, load_network, save_model
    from .running import FrameRun, initialise, of_frames, origin_of, prepare_folder, run_trainer, weights_of
    from .samples import check_network, check_videos
    from .trainers import ImageTrainer, TemporalSettings, TemporalTrainer

    checkpoint = prepare_folder(output, resume=resume)
    temporal = TemporalSettings(
        weight=temporal_loss,
        form=temporal_form,
        flow=temporal_flow,
        gap=temporal_gap,
        groups=temporal_groups,
        group_labels=group_labels,
        distillation=distillation,
        flip=distill_flip,
        scales=distill_scales,
    )
    folders = temporal_clips or tuple(filter(None, [options["clips"]]))
    if temporal_loss and not folders:
        raise InputError("--temporal-loss needs videos; give --temporal-clips DIR, or --clips DIR")
    chosen = loss_options(options, lambda: of_frames(arch))
    run = FrameRun.of(dataset, root, val_frames, chosen)
    torch.manual_seed(run.settings.seed)
    network = build_network(arch, run.data.classes)
    for source in () if checkpoint.exists() else init:
        click.echo(f"took {initialise(network, source)} tensors from {source}", err=True)
    weights = run.class_weights()
    extra, data_facts = run.mixed_in(output)
    teachers = [load_network(name) for name in distill]
    for name, teacher in zip(distill, teachers, strict=True):
        check_network(teacher, name, run.data, "--distill")
    videos: list[list[LabelledVideo]] = []
    if temporal_loss or (distill and (temporal_clips or any(distillation[1:]))):
        videos = [find_videos(folder) for folder in folders]
    for corpus in videos:
        check_videos(corpus, run.data)
    facts: dict[str, Any] = {"architecture": arch, **data_facts}
    if init:
        facts["origin"] = origin_of(*init)
    arguments = (network, run.train, run.val, run.settings, run.own, output)
    trainer: ImageTrainer | TemporalTrainer
    if videos or teachers:
        trainer = TemporalTrainer(
            *arguments, weights=weights, extra=extra, temporal=temporal, videos=videos, teachers=teachers
        )
        corpora = [f"{len(corpus)} videos of {f.name}" for f, corpus in zip(folders, videos, strict=False)]
        facts["temporal"] = trainer.own_settings()["temporal"] | {"videos": corpora}
        facts["teachers"] = [weights_of(teacher, name) for teacher, name in zip(teachers, distill, strict=True)]
    else:
        trainer = ImageTrainer(*arguments, weights=weights, extra=extra)

    def write(average: SegmentationNetwork, file: Path) -> None:
        save_model(average, file, arch)

    run_trainer(trainer, checkpoint, write, facts, run.data, resume=resume)

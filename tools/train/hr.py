"""`train-segnet hr`: a per-frame network on labelled frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from ...codec import CodecError
from ...data import CamVid, LabelledVideo, find_labelled_videos
from ...segnet import (
    FLOWS,
    ModelError,
    SegmentationNetwork,
    architecture_names,
    build_network,
    load_network,
    save_model,
)
from ..console import InputError, sha256
from .common import Command, add, image_options, more_samples, prepare_folder, run_options, run_trainer
from .initialisation import initialise
from .trainers import ImageTrainer, TemporalSettings, TemporalTrainer, TrainSettings


def temporal_options(command: Command) -> Command:
    """Options of ETC's motion loss and distillation."""
    weight = click.FloatRange(0)
    options = [
        click.option(
            "--temporal-loss",
            type=weight,
            default=0.0,
            show_default=True,
            help="Weight of agreement with neighbouring frames of --clips along their motion; ETC: 0.1, of logits.",
        ),
        click.option(
            "--temporal-form",
            type=click.Choice(["probabilities", "kl", "legacy"]),
            default="probabilities",
            show_default=True,
            help="What must agree; legacy: logits, as in ETC's released code.",
        ),
        click.option(
            "--temporal-flow",
            type=click.Choice(["codec", *FLOWS]),
            default="codec",
            show_default=True,
            help="Motion vectors, DIS, or RAFT (needs torchvision).",
        ),
        click.option(
            "--temporal-gap", type=click.IntRange(1), default=3, show_default=True, help="Largest distance in frames."
        ),
        click.option(
            "--temporal-groups",
            type=click.IntRange(1),
            default=2,
            show_default=True,
            help="Frames with their neighbours per process and step.",
        ),
        click.option(
            "--group-labels", is_flag=True, help="The labels of these frames count too; those of `stills` are warped."
        ),
        click.option(
            "--distill",
            type=click.Path(path_type=Path, exists=True),
            multiple=True,
            help="Weights of a teacher; several are averaged.",
        ),
        click.option(
            "--distill-weights",
            "distillation",
            type=(weight, weight, weight),
            default=(1.0, 0.1, 0.1),
            show_default=True,
            help="Of single frames, pairs and triplets; the last two need --clips.",
        ),
        click.option("--distill-flip", is_flag=True, help="Teachers see frames mirrored too."),
    ]
    return add(options, command)


@click.command()
@click.option("--arch", type=click.Choice(architecture_names()), default="swiftnet18", show_default=True)
@click.option("--init", help="Start from these weights: a file (ours, or ImageNet's of ResNet-18), or 'imagenet'.")
@run_options
@image_options
@temporal_options
def hr(
    dataset: str,
    root: Path,
    arch: str,
    output: Path,
    init: str | None,
    resume: bool,
    synthetic: float,
    synthetic_frames: int,
    clips: Path | None,
    clips_share: float,
    clips_frames: str,
    temporal_loss: float,
    temporal_form: Any,
    temporal_flow: str,
    temporal_gap: int,
    temporal_groups: int,
    group_labels: bool,
    distill: tuple[Path, ...],
    distillation: tuple[float, float, float],
    distill_flip: bool,
    **options: Any,
) -> None:
    """Train a full-resolution network on labelled frames.

    Leaves `best.safetensors` (the average of the weights that scored best on `val`), its card `best.json`, `last.pt`
    to resume from, and TensorBoard curves in the run's folder.
    """
    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    temporal = TemporalSettings(
        weight=temporal_loss,
        form=temporal_form,
        flow=temporal_flow,
        gap=temporal_gap,
        groups=temporal_groups,
        group_labels=group_labels,
        distillation=distillation,
        flip=distill_flip,
    )
    if temporal_loss and clips is None:
        raise InputError("--temporal-loss needs videos; give --clips DIR, as `preprocess stills` makes it")
    videos: list[LabelledVideo] = []
    try:
        train, val = (list(CamVid(root).stills(split)) for split in ("train", "val"))
        torch.manual_seed(settings.seed)
        network = build_network(arch, CamVid.classes)
        if init is not None and not checkpoint.exists():
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
        teachers = load_teachers(distill, network)
        if clips is not None and (temporal_loss or (distill and any(distillation[1:]))):
            videos = find_labelled_videos(clips)
        arguments = (network, train, val, settings, output, extra)
        trainer = (
            TemporalTrainer(*arguments, temporal=temporal, videos=videos, teachers=teachers)
            if videos or teachers
            else ImageTrainer(*arguments)
        )
    except (CodecError, ModelError) as error:
        raise InputError(str(error)) from error

    def write(average: nn.Module, file: Path) -> None:
        assert isinstance(average, SegmentationNetwork)
        save_model(average, file, arch)

    facts: dict[str, Any] = {
        "architecture": arch,
        "classes": list(network.classes),
        "data": f"{dataset} train, {len(train)} labelled frames{words}",
    }
    if videos or teachers:
        facts["temporal"] = asdict(temporal)
        facts["teachers"] = [{"file": file.name, "sha256": sha256(file.read_bytes())} for file in distill]
    run_trainer(trainer, checkpoint, write, facts, resume=resume)


def load_teachers(files: Sequence[Path], student: SegmentationNetwork) -> list[SegmentationNetwork]:
    """The teachers; InputError where their classes are not the student's, ModelError where a file is none of ours."""
    teachers = [load_network(file) for file in files]
    for file, teacher in zip(files, teachers, strict=True):
        if teacher.classes != student.classes:
            raise InputError(f"the teacher '{file}' has the classes {teacher.classes}, not {student.classes}")
    return teachers

"""`train-segnet propagation`: heads that carry a keyframe's scores forward, on labelled GOPs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from ...codec import CodecError
from ...data import CamVid, DatasetError
from ...segnet import (
    CAMVID_WEIGHTS,
    CODEC_MOTION,
    FLOW_SOURCES,
    PRESETS,
    ModelError,
    PropagationLoss,
    PropagationModel,
    PropagationPreset,
    PropagationSettings,
    SegmentationNetwork,
    load_network,
    parameter_count,
    save_propagation,
)
from ..console import InputError, sha256
from .common import prepare_folder, run_options, run_trainer
from .trainers import (
    VAL_GOP,
    VAL_OFFSETS,
    ClipSource,
    PropagationTask,
    PropagationTrainer,
    SeenPictures,
    TrainSettings,
    balanced_weights,
    encoded_val,
    labelled_videos,
)

OURS = "clean"


@click.command()
@click.option("--hr", "hr_weights", type=click.Path(path_type=Path, exists=True), required=True, help="HR weights.")
@click.option(
    "--clips",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Labelled videos of `preprocess stills`, `street` or `clips`. Repeatable: each is drawn from as often.",
)
@click.option(
    "--preset",
    type=click.Choice([OURS, *PRESETS]),
    default=OURS,
    show_default=True,
    help="clean: our form, trained by the options below. paper and code (GSVNet's), swnet-seq: the published form, "
    "loss, optimiser, learning rates and distances.",
)
@click.option("--flow", default=CODEC_MOTION, show_default=True, help=f"{CODEC_MOTION}, or {', '.join(FLOW_SOURCES)}.")
@click.option("--distances", help="To the keyframe, as in 1-11 or 1,2,4. Default: 1-11, or the preset's.")
@click.option("--stride", type=click.IntRange(2), default=4, show_default=True, help="Of the clean form's grid.")
@click.option("--width", type=click.IntRange(4), default=20, show_default=True, help="Channels of the clean form.")
@click.option("--edges/--no-edges", default=True, show_default=True, help="The guide's edge channel.")
@click.option(
    "--refining/--plain", default=True, show_default=True, help="Whether the guide of the clean form adds scores."
)
@click.option(
    "--evidence",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="What the guide's scores are multiplied with once trained: below 1 where the training data are unlike others.",
)
@click.option("--distillation", type=click.FloatRange(0), default=0.0, show_default=True, help="Weight of KL, clean.")
@click.option(
    "--photometric",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Weight of the photometric error of a flow network, clean.",
)
@click.option("--views", type=click.IntRange(1), default=2, show_default=True, help="Random views of each video.")
@click.option(
    "--cache", type=click.Path(path_type=Path), help="Folder of the keyframe network's logits; runs may share it."
)
@click.option("--steps-per-epoch", type=click.IntRange(1), default=200, show_default=True)
@click.option("--val-bitrate", type=int, default=750_000, show_default=True, help="Of the encoded `val`, bits/s.")
@run_options
def propagation(
    dataset: str,
    root: Path,
    hr_weights: Path,
    clips: tuple[Path, ...],
    preset: str,
    flow: str,
    distances: str | None,
    stride: int,
    width: int,
    edges: bool,
    refining: bool,
    evidence: float,
    distillation: float,
    photometric: float,
    views: int,
    cache: Path | None,
    steps_per_epoch: int,
    val_bitrate: int,
    output: Path,
    resume: bool,
    **options: Any,
) -> None:
    """Train a head that carries a keyframe's scores along motion and repairs them (GSVNet, SwNet-seq).

    The keyframe network is frozen, and sees each picture once. Heads on codec motion carry from the keyframe, those on
    flow from frame to frame; flow networks are trained along. Validates on `val`, encoded at GOP 12. The published
    presets take their own optimiser; of the options of the run they heed --epochs, --batch, --ema and --seed.
    """
    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    recipe = None if preset == OURS else PRESETS[preset]
    try:
        train, val = (list(CamVid(root).stills(split)) for split in ("train", "val"))
        hr = load_network(hr_weights)
        corpora = [labelled_videos(folder) for folder in clips]
        form = head_settings(hr, recipe, flow, edges=edges, stride=stride, width=width, refining=refining)
        torch.manual_seed(settings.seed)
        model = PropagationModel(form)
    except (CodecError, DatasetError, ModelError) as error:
        raise InputError(str(error)) from error
    wanted = parse_distances(distances) if distances else (recipe.distances if recipe else tuple(range(1, VAL_GOP)))
    if any(file is None for videos in corpora for video in videos for file in video.label_files):
        raise InputError("--clips: some frames have no labels; give dense clips, of which every frame has them")
    longest = min(max(len(video) for video in videos) for videos in corpora) - 1
    wanted = tuple(distance for distance in wanted if distance <= longest)
    if not wanted:
        raise InputError(f"--distances: the videos of --clips reach a distance of {longest} only; give smaller ones")
    if recipe is None:
        weights = balanced_weights(train, len(hr.classes), settings.balance).tolist()
        criterion = PropagationLoss(weights, scale=1, distillation=distillation)
    else:
        criterion = recipe.loss([CAMVID_WEIGHTS[name] for name in hr.classes])
    encoded = [encoded_val(val, output / "val", offset, val_bitrate) for offset in VAL_OFFSETS]
    digest = sha256(hr_weights.read_bytes())
    seen = SeenPictures(hr.eval().requires_grad_(False), (cache or output / "seen") / digest[:12], settings.precision)
    source = ClipSource(corpora, seen, form, seed=settings.seed, views=views, distil=bool(criterion.distillation))
    task = PropagationTask(model, criterion, photometric=0.0 if recipe else photometric)
    trainer = PropagationTrainer(task, source, encoded, settings, output, wanted, steps_per_epoch, recipe)
    assert isinstance(trainer.average, PropagationModel)
    trainer.average.set_evidence(evidence)

    def write(average: nn.Module, file: Path) -> None:
        assert isinstance(average, PropagationModel)
        save_propagation(average, file)

    facts = {
        "kind": "propagation",
        "preset": preset,
        "form": {name: value for name, value in vars(form).items() if name != "classes"} | {"evidence": evidence},
        "parameters": parameter_count(model),
        "hr": {"file": hr_weights.name, "sha256": digest},
        "classes": list(hr.classes),
        "distances": list(wanted),
        "data": [
            f"{len(videos)} labelled videos in {folder.name}" for folder, videos in zip(clips, corpora, strict=True)
        ],
        "validation": f"P-frames of {dataset} val at GOP {VAL_GOP}, {val_bitrate} b/s, offsets {VAL_OFFSETS}",
    }
    run_trainer(trainer, checkpoint, write, facts, resume=resume)


def head_settings(
    hr: SegmentationNetwork,
    recipe: PropagationPreset | None,
    flow: str,
    *,
    edges: bool,
    stride: int,
    width: int,
    refining: bool,
) -> PropagationSettings:
    """The form of the head: published with a recipe, else clean; InputError for motion that it cannot be trained on."""
    mean, std = (tuple(values.flatten().tolist()) for values in (hr.mean, hr.std))
    by_codec = flow == CODEC_MOTION
    if recipe is not None:
        published = PropagationSettings.published(hr.classes, edges=edges, flow=flow, mean=mean, std=std)
        return replace(published, recursive=not by_codec)
    return PropagationSettings(
        classes=hr.classes,
        mean=mean,
        std=std,
        flow=flow,
        recursive=not by_codec,
        stride=stride,
        width=width,
        edges="any-neighbour" if edges else None,
        refining=refining,
        photometric=True,
    )


def parse_distances(text: str) -> tuple[int, ...]:
    """Distances of a text as 1-4 or 1,2,8-11; InputError where it names none, or one below 1."""
    found: list[int] = []
    try:
        for part in text.split(","):
            low, _, high = part.partition("-")
            found += range(int(low), int(high or low) + 1)
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise InputError(f"--distances: '{text}' is no list of distances from 1 on; give them as in 1-11 or 1,2,4")
    return tuple(dict.fromkeys(found))

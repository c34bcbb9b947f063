"""`train-segnet propagation`: heads that carry a keyframe's scores forward, on labelled GOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import command, option
from ...errors import InputError
from .loss_options import LOSS, WEIGHT, balance_option
from .options import DATA, FOLDER, RUN, STOPPED, hr_option, need_extra, run_options, val_bitrate_option

if TYPE_CHECKING:
    from ...segnet import PropagationModel, PropagationPreset, PropagationSettings, SegmentationNetwork

OURS = "clean"
PRESET_CHOICES = ("paper", "code", "swnet-seq")
MOTION_CHOICES = ("motion", "light", "flownets", "flownets-dff", "flownet2s", "dis", "none")
"""Segnet's presets and motion sources; a test compares."""

HEAD = "Head"


@command(interrupted=STOPPED)
@hr_option
@option(
    "--clips",
    type=FOLDER,
    multiple=True,
    required=True,
    group=DATA,
    help="Labelled videos of `preprocess stills`, `street` or `clips`. Repeatable: all are drawn from equally often.",
)
@option("--views", type=click.IntRange(1), default=2, show_default=True, group=DATA, help="Random views of each video.")
@option("--cache", type=FOLDER, group=DATA, help="Folder for the keyframe network's logits; runs may share it.")
@val_bitrate_option
@option(
    "--preset",
    type=click.Choice([OURS, *PRESET_CHOICES]),
    default=OURS,
    show_default=True,
    group=HEAD,
    help="clean: our form, trained by the options below. paper and code (GSVNet's), swnet-seq: the published form, "
    "loss, optimiser, learning rates and distances.",
)
@option(
    "--flow",
    default="motion",
    show_default=True,
    group=HEAD,
    metavar="NAME",
    help=f"Source of motion: {', '.join(MOTION_CHOICES)}; motion is the codec's.",
)
@option(
    "--distances", group=HEAD, help="Distances to the keyframe, as in 1-11 or 1,2,4. Default: 1-11, or the preset's."
)
@option(
    "--stride",
    type=click.IntRange(2),
    default=4,
    show_default=True,
    group=HEAD,
    help="Grid of the clean form, in pixels.",
)
@option(
    "--width", type=click.IntRange(4), default=20, show_default=True, group=HEAD, help="Channels of the clean form."
)
@option("--edges/--no-edges", default=True, show_default=True, group=HEAD, help="The guide's edge channel.")
@option(
    "--refining/--plain",
    default=True,
    show_default=True,
    group=HEAD,
    help="Whether the guide of the clean form adds to the scores.",
)
@option(
    "--evidence",
    type=WEIGHT,
    default=1.0,
    show_default=True,
    group=HEAD,
    help="Factor on the guide's scores after training: below 1 if the training data differ from what it will see.",
)
@balance_option
@option(
    "--distillation",
    type=WEIGHT,
    default=0.0,
    show_default=True,
    group=LOSS,
    help="Weight of KL divergence from the network's output; clean form only.",
)
@option(
    "--photometric",
    type=WEIGHT,
    default=1.0,
    show_default=True,
    group=LOSS,
    help="Weight of a flow network's photometric error; clean form only.",
)
@run_options
@option("--steps-per-epoch", type=click.IntRange(1), default=200, show_default=True, group=RUN, help="Steps per epoch.")
def propagation(
    dataset: str,
    root: Path | None,
    hr: str,
    clips: tuple[Path, ...],
    views: int,
    cache: Path | None,
    val_bitrate: int,
    val_frames: int | None,
    preset: str,
    flow: str,
    distances: str | None,
    stride: int,
    width: int,
    edges: bool,
    refining: bool,
    evidence: float,
    balance: float,
    distillation: float,
    photometric: float,
    output: Path,
    resume: bool,
    steps_per_epoch: int,
    **options: Any,
) -> None:
    """Train a head that corrects a keyframe's scores as they are carried along motion (GSVNet, SwNet-seq).

    The keyframe network is frozen, and sees each picture once. Heads on codec motion carry from the keyframe, those on
    flow from frame to frame; flow networks are trained along. Validates on the recordings of `val`, encoded at GOP 12.
    The published presets take their own optimiser; of the options of the run they heed --epochs, --batch, --ema and
    --seed.
    """
    need_extra()
    import torch

    from ...data import open_dataset
    from ...segnet import (
        PRESETS,
        PropagationLoss,
        PropagationModel,
        load_network,
        parameter_count,
        save_propagation,
    )
    from .loop import Precision, TrainSettings
    from .running import prepare_folder, run_trainer, seen_folder, weights_of
    from .samples import (
        VAL_DISTANCES,
        VAL_GOP,
        VAL_OFFSETS,
        ClipSource,
        SeenPictures,
        balanced_weights,
        check_network,
        labelled_videos,
        validation_videos,
    )
    from .trainers import PropagationTask, PropagationTrainer

    checkpoint = prepare_folder(output, resume=resume)
    settings = TrainSettings(**options)
    recipe = None if preset == OURS else PRESETS[preset]
    data = open_dataset(dataset, root)
    network = load_network(hr).requires_grad_(False)
    check_network(network, hr, data)
    corpora = [labelled_videos(folder, data) for folder in clips]
    form = head_settings(network, recipe, flow, edges=edges, stride=stride, width=width, refining=refining)
    torch.manual_seed(settings.seed)
    model = PropagationModel(form)
    wanted = parse_distances(distances) if distances else (recipe.distances if recipe else tuple(range(1, VAL_GOP)))
    if any(file is None for videos in corpora for video in videos for file in video.label_files):
        raise InputError("--clips: some frames have no labels; give dense clips, of which every frame has them")
    longest = min(max(len(video) for video in videos) for videos in corpora) - 1
    wanted = tuple(distance for distance in wanted if distance <= longest)
    if not wanted:
        raise InputError(f"--distances: the videos of --clips reach a distance of {longest} only; give smaller ones")
    if recipe is None:
        weights = balanced_weights(data.stills("train"), len(data.classes), balance).tolist()
        criterion = PropagationLoss(weights, scale=1, distillation=distillation)
    else:
        criterion = recipe.loss(published_weights(data.classes) if recipe.class_weighted else [])
    given = "fp32" if settings.precision == "auto" else settings.precision  # what is kept must not hang on a probe
    seen = SeenPictures(network, seen_folder(cache or output / "seen", network, hr), Precision(given))
    source = ClipSource(
        corpora, seen, form, len(data.classes), seed=settings.seed, views=views, distil=bool(criterion.distillation)
    )
    trainer = PropagationTrainer(
        PropagationTask(model, criterion, photometric=0.0 if recipe else photometric),
        source,
        validation_videos(data, output / "val", val_bitrate, val_frames),
        settings,
        output,
        distances=wanted,
        steps_per_epoch=steps_per_epoch,
        preset=recipe,
    )
    trainer.average.set_evidence(evidence)

    def write(average: PropagationModel, file: Path) -> None:
        save_propagation(average, file)

    facts = {
        "kind": "propagation",
        "preset": preset,
        "form": {name: value for name, value in vars(form).items() if name != "classes"} | {"evidence": evidence},
        "parameters": parameter_count(model),
        "hr": weights_of(network, hr),
        "classes": list(data.classes),
        "balance": balance,
        "distances": list(wanted),
        "data": [
            f"{len(videos)} labelled videos in {folder.name}" for folder, videos in zip(clips, corpora, strict=True)
        ],
        "validation": f"P-frames of {data.name} val at GOP {VAL_GOP}, {val_bitrate} b/s, offsets {VAL_OFFSETS} where "
        f"every frame is labelled, distances {VAL_DISTANCES} elsewhere",
    }
    run_trainer(trainer, checkpoint, write, facts, data, resume=resume)


def published_weights(classes: Sequence[str]) -> list[float]:
    """GSVNet's class weights; InputError for other classes than CamVid's and Cityscapes'."""
    from ...data import dataset_type
    from ...segnet import CAMVID_WEIGHTS, CITYSCAPES_WEIGHTS

    cityscapes = dict(zip(dataset_type("cityscapes").classes, CITYSCAPES_WEIGHTS, strict=True))
    for known in (CAMVID_WEIGHTS, cityscapes):
        if all(name in known for name in classes):
            return [known[name] for name in classes]
    raise InputError("--preset: its class weights are for CamVid's and Cityscapes' classes; take clean or paper")


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
    from ...segnet import CODEC_MOTION, PropagationSettings

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

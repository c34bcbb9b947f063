"""`preprocess stills`: its options, and what it tells the user."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...console import Existing, command, option
from ..jobs import encoding_options, execution_options, existing_outputs, output_option

if TYPE_CHECKING:
    from ...data import Palette
    from ..jobs import Outcome
    from .still_job import LabelledStill


@command(interrupted="finished clips are kept, the others left no trace; --resume goes on.")
@click.argument("folders", metavar="[IMAGES LABELS]", nargs=-1, type=click.Path(path_type=Path))
@option(
    "--dataset", type=click.Choice(["camvid", "cityscapes"]), help="Take the stills of a data set, instead of folders."
)
@option("--root", type=click.Path(path_type=Path), help="The data set's folder.")
@option("--split", default="train", show_default=True, help="The data set's split.")
@option(
    "--palette",
    metavar="NAME|FILE",
    help="Names and colours of the classes in LABELS: camvid (the default), cityscapes, vspw or a file.",
)
@output_option
@option("--variants", type=click.IntRange(1), default=1, show_default=True, help="Drives past each still.")
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all that is random.")
@encoding_options(frame_rate="15", fps="Frames per second.", gop="Frames made of a still.", several=True)
@execution_options
@existing_outputs
def stills(
    folders: tuple[Path, ...],
    dataset: str | None,
    root: Path | None,
    split: str,
    palette: str | None,
    output: Path,
    gop: int,
    bitrates: tuple[int, ...],
    fps: Fraction,
    variants: int,
    seed: int,
    preset: str,
    jobs: int | None,
    ray: str | None,
    retries: int,
    manifest: Path | None,
    existing: Existing,
) -> None:
    """Make labelled GOPs of labelled stills: a camera drives past each, and the frames are encoded.

    IMAGES is a folder of images and LABELS one with class indices under equal names; or give --dataset and --root. Of
    each still come DIR/NAME.mp4 (one closed GOP, as `preprocess encode` writes it), DIR/NAME_labels/000000.png, ...
    (paletted) and DIR/NAME.json; with --variants the names end in -v0, -v1, ... One frame, `still_frame` in the JSON,
    is the still itself with its own labels; the others are rendered from it, with the depths that its classes tell.
    """
    from ...codec import EncodeSettings
    from ..jobs import Execution, run_planned
    from .still_job import StillJob

    colours = _palette(palette, dataset)
    found = _stills(folders, dataset, root, split, colours)
    encoders = [EncodeSettings(gop=gop, bitrate_bps=rate, preset=preset, slots=1) for rate in bitrates]
    planned = [
        StillJob(
            still=still,
            name=still.image.stem if variants == 1 else f"{still.image.stem}-v{variant}",
            variant=variant,
            folder=output,
            encoder=encoders[(index + variant) % len(encoders)],
            frame_rate=fps,
            seed=seed,
            palette=colours,
        )
        for variant in range(variants)
        for index, still in enumerate(found)
    ]
    run_planned(planned, output, Execution(jobs, ray, retries, manifest), existing, _summary).finish()


def _palette(name: str | None, dataset: str | None) -> Palette:
    from ...data import load_palette

    if name is not None and dataset is not None:
        raise click.UsageError(f"--dataset {dataset} has classes of its own; leave --palette out")
    return load_palette(name or dataset or "camvid")


def _stills(
    folders: tuple[Path, ...], dataset: str | None, root: Path | None, split: str, palette: Palette
) -> list[LabelledStill]:
    from ...data import CamVid, Cityscapes, DatasetError, pair_by_stem, read_class_indices, read_train_ids
    from .still_job import LabelledStill

    if dataset is None:
        if root is not None or len(folders) != 2:
            raise click.UsageError("give two folders, IMAGES and LABELS; or --dataset and --root")
        for folder in folders:
            if not folder.is_dir():
                raise DatasetError(f"'{folder}' is no folder; check the path")
        pairs, reader = pair_by_stem(*folders), partial(read_class_indices, classes=len(palette))
        return [LabelledStill(image, label, reader) for image, label in pairs]
    if folders or root is None:
        raise click.UsageError(f"--dataset {dataset} needs --root FOLDER, and no other folders")
    if dataset == "cityscapes":
        return [LabelledStill(image, label, read_train_ids) for image, label in Cityscapes(root, split).pairs]
    data = CamVid(root, split)
    return [LabelledStill(image, label, data.read_labels) for image, label in data.pairs]


def _summary(outcome: Outcome) -> str:
    assert outcome.done is not None
    content = outcome.done.content
    height, width = content["size_hw"]
    return (
        f"{outcome.job.output}: {content['frame_count']} frames of {width}x{height}, the still is frame "
        f"{content['still_frame']}, {content['bitrate_bps'] / 1e6:.3f} Mb/s, PSNR {content['psnr_db']['all']:.2f} dB"
    )

"""`preprocess stills`: its options, and what it tells the user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...console import Existing, command, option
from ...data import dataset_names, known_datasets
from ..jobs import encoding_options, execution_options, existing_outputs, output_option

if TYPE_CHECKING:
    from ...data import Dataset, LabelledImages, Palette
    from ..jobs import Outcome


@command(interrupted="finished clips are kept, the others left no trace; continue with --resume.")
@click.argument("folders", metavar="[IMAGES LABELS]", nargs=-1, type=click.Path(path_type=Path))
@option(
    "--dataset",
    metavar="NAME|DIR",
    help=f"Take the stills of a data set, instead of folders: {known_datasets()}.",
)
@option("--root", type=click.Path(path_type=Path), help="The data set's folder, if --dataset is a name.")
@option("--split", default="train", show_default=True, help="The data set's split.")
@option(
    "--palette",
    metavar="NAME|FILE",
    help=f"Names and colours of the classes in LABELS: {', '.join(dataset_names())} or a file.  [default: camvid]",
)
@output_option
@option("--variants", type=click.IntRange(1), default=1, show_default=True, help="Drives past each still.")
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@encoding_options(frame_rate="15", fps="Frames per second.", gop="Frames rendered from each still.", several=True)
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
    """Turn labelled stills into labelled GOPs: a virtual camera drives past each, and its frames are encoded.

    IMAGES is a folder of images, LABELS one of class-index images with the same names; or give --dataset and --root.
    Each still gives DIR/NAME.mp4 (one closed GOP, as `preprocess encode` writes it), DIR/NAME_labels/000000.png, ...
    (paletted) and DIR/NAME.json; with --variants the names end in -v0, -v1, ... One frame, `still_frame` in the JSON,
    is the still itself with its own labels; the others are rendered from it, with depths inferred from its classes.
    """
    from ...codec import EncodeSettings
    from ...data import load_palette
    from ..jobs import Execution, run_planned
    from .still_job import LabelledStill, StillJob

    source = None if dataset is None else _open(dataset, root, folders, palette)
    colours = load_palette(palette or "camvid") if source is None else source.palette
    pairs = _pairs(folders, root, colours) if source is None else source.stills(split)
    names = distinct_names([image for image, _ in pairs.pairs])
    found = [LabelledStill(image, label, pairs.read_labels) for image, label in pairs.pairs]
    encoders = [EncodeSettings(gop=gop, bitrate_bps=rate, preset=preset, slots=1) for rate in bitrates]
    planned = [
        StillJob(
            still=still,
            name=name if variants == 1 else f"{name}-v{variant}",
            variant=variant,
            folder=output,
            encoder=encoders[(index + variant) % len(encoders)],
            frame_rate=fps,
            seed=seed,
            palette=colours,
        )
        for variant in range(variants)
        for index, (name, still) in enumerate(zip(names, found, strict=True))
    ]
    run_planned(planned, output, Execution(jobs, ray, retries, manifest), existing, _summary).finish()


def _open(dataset: str, root: Path | None, folders: tuple[Path, ...], palette: str | None) -> Dataset:
    from ...data import open_dataset

    if palette is not None:
        raise click.UsageError(f"--dataset {dataset} has classes of its own; leave --palette out")
    if folders:
        raise click.UsageError(f"--dataset {dataset} needs no other folders; leave '{folders[0]}' out")
    return open_dataset(dataset, root)


def _pairs(folders: tuple[Path, ...], root: Path | None, palette: Palette) -> LabelledImages:
    from ...data import DatasetError, LabelledImages, pair_by_stem, read_class_indices

    if root is not None or len(folders) != 2:
        raise click.UsageError("give two folders, IMAGES and LABELS; or --dataset and --root")
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(f"'{folder}' is no folder; check the path")
    return LabelledImages(pair_by_stem(*folders), partial(read_class_indices, classes=len(palette)))


def distinct_names(images: Sequence[Path]) -> list[str]:
    """The images' stems; where two have the same one, as frames of several recordings do, with their folders' names."""
    stems = [image.stem for image in images]
    if len(set(stems)) == len(stems):
        return stems
    above = Path(os.path.commonpath(images))
    return ["-".join(image.relative_to(above).with_suffix("").parts) for image in images]


def _summary(outcome: Outcome) -> str:
    assert outcome.done is not None
    content = outcome.done.content
    height, width = content["size_hw"]
    return (
        f"{outcome.job.output}: {content['frame_count']} frames of {width}x{height}, the still is frame "
        f"{content['still_frame']}, {content['bitrate_bps'] / 1e6:.3f} Mb/s, PSNR {content['psnr_db']['all']:.2f} dB"
    )

"""`preprocess street`: its options, and what it tells the user."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...console import Existing, command, option
from ..jobs import encoding_options, execution_options, existing_outputs, output_option

if TYPE_CHECKING:
    from ..jobs import Outcome

LATEST_START_SECONDS = 20


@command(interrupted="finished videos are kept, the others left no trace; continue with --resume.")
@output_option
@option(
    "--count",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Number of videos, each of a different street.",
)
@option("--gops", type=click.IntRange(1), default=1, show_default=True, help="GOPs per video.")
@option("--size", type=(int, int), default=(360, 480), show_default=True, help="Height and width, even numbers.")
@option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the first street; the others count up.",
)
@encoding_options(frame_rate="15", fps="Frames per second.", several=True)
@execution_options
@existing_outputs
def street(
    output: Path,
    count: int,
    gop: int,
    gops: int,
    bitrates: tuple[int, ...],
    fps: Fraction,
    size: tuple[int, int],
    seed: int,
    preset: str,
    jobs: int | None,
    ray: str | None,
    retries: int,
    manifest: Path | None,
    existing: Existing,
) -> None:
    """Render labelled videos of synthetic streets, with CamVid's 11 classes.

    Each seed gives DIR/streetSEED.mp4, as `preprocess encode` writes it, DIR/streetSEED_labels/000000.png, ...
    (paletted; every pixel of every frame is labelled) and DIR/streetSEED.json. They are for training and tests: unlike
    those of `preprocess stills`, their motion is that of a real 3D scene, and no network has seen a new seed.
    """
    import numpy as np

    from ...codec import EncodeSettings
    from ...data import load_palette
    from ..jobs import Execution, run_planned
    from .street_job import StreetJob

    if size[0] % 2 or size[1] % 2 or min(size) < 32:
        raise click.UsageError(f"--size {size[0]} {size[1]}: give even numbers of at least 32")
    encoders = [EncodeSettings(gop=gop, bitrate_bps=rate, preset=preset, slots=1) for rate in bitrates]
    latest = round(LATEST_START_SECONDS * fps)
    planned = [
        StreetJob(
            name=f"street{each}",
            folder=output,
            encoder=encoders[index % len(encoders)],
            frame_rate=fps,
            seed=each,
            palette=load_palette("camvid"),
            size_hw=size,
            first=int(np.random.default_rng(each).integers(latest + 1)),
            count=gop * gops,
        )
        for index, each in enumerate(range(seed, seed + count))
    ]
    run_planned(planned, output, Execution(jobs, ray, retries, manifest), existing, _summary).finish()


def _summary(outcome: Outcome) -> str:
    assert outcome.done is not None
    content = outcome.done.content
    return (
        f"{outcome.job.output}: {content['frame_count']} frames, {content['bitrate_bps'] / 1e6:.3f} Mb/s, "
        f"PSNR {content['psnr_db']['all']:.2f} dB"
    )

"""`preprocess street`: its options, and what it tells the user."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import click
import numpy as np

from ...codec import PRESETS, EncodeSettings
from ...data import load_palette
from ..jobs import (
    Bitrate,
    Execution,
    Existing,
    FrameRate,
    Outcome,
    Outcomes,
    execution_options,
    existing_options,
    jobs_to_do,
    make_folder,
    reports_errors,
    terminated_as_interrupted,
)
from .street_job import StreetJob

LATEST_START_SECONDS = 20


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to write to."
)
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Videos, each of another street.")
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True, help="Frames from keyframe to keyframe.")
@click.option("--gops", type=click.IntRange(1), default=1, show_default=True, help="GOPs a video.")
@click.option(
    "--bitrate",
    "bitrates",
    type=Bitrate(),
    multiple=True,
    default=["3M"],
    show_default=True,
    help="Bits per second, as in 750k or 2.5M; several are taken in turn.",
)
@click.option("--fps", type=FrameRate(), default="15", show_default=True, help="Frames per second.")
@click.option("--size", type=(int, int), default=(360, 480), show_default=True, help="Height and width, even numbers.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first street; then upwards.")
@click.option("--preset", type=click.Choice(PRESETS), default="medium", show_default=True, help="x264's speed.")
@execution_options
@existing_options
@reports_errors("finished videos are kept, the others left no trace; --resume goes on.")
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
    existing: Existing | None,
    debug: bool,
) -> None:
    """Render labelled videos of synthetic streets, with CamVid's 11 classes.

    Of each seed come DIR/streetSEED.mp4, as `preprocess encode` writes it, DIR/streetSEED_labels/000000.png, ...
    (paletted; every pixel of every frame is labelled) and DIR/streetSEED.json. They are for training and tests: unlike
    those of `preprocess stills`, their motion is that of a real scene, and no network has seen a new seed.
    """
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
    make_folder(output)
    execution = Execution(jobs, ray, retries, manifest)
    account = execution.manifest_in(output)
    todo = jobs_to_do(planned, existing or Existing.REFUSE, account)
    if len(todo) < len(planned):
        click.echo(f"{len(planned) - len(todo)} of {len(planned)} outputs are there already and are kept.", err=True)
    outcomes = Outcomes(len(todo), _summary, debug)
    with terminated_as_interrupted():
        execution.run(todo, account, outcomes)
    outcomes.finish()


def _summary(outcome: Outcome) -> str:
    assert outcome.done is not None
    content = outcome.done.content
    return (
        f"{outcome.job.output}: {content['frame_count']} frames, {content['bitrate_bps'] / 1e6:.3f} Mb/s, "
        f"PSNR {content['psnr_db']['all']:.2f} dB"
    )

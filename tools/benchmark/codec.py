"""`benchmark-codec`: what reading frames and following motion cost on this machine."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from statistics import mean, median
from typing import Any

import click
from tqdm import tqdm

from ...codec import EncodeSettings, Frame, MotionChain, MotionField, MotionVectors, reencode
from ...data import SyntheticStreet
from ..console import InputError
from .metadata import metadata
from .motion import motion
from .printing import open_source, report
from .references import references
from .signals import signals


class Size(click.ParamType[tuple[int, int]]):
    """WxH, as in 1280x720."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Text to (height, width)."""
        if isinstance(value, tuple):
            return value
        try:
            width, height = (int(part) for part in str(value).split("x"))
            if min(width, height) < 32:
                raise ValueError(value)
            return height, width
        except ValueError:
            self.fail(f"'{value}' is not WxH from 32x32, as in 1280x720", param, ctx)


@click.group()
def main() -> None:
    """Measure the codec front end. Results go to standard output as JSON."""


main.add_command(metadata)
main.add_command(signals)
main.add_command(references)
main.add_command(motion)


@main.command()
@click.argument("source", required=False)
@click.option("--size", type=Size(), default="1280x720", show_default=True, help="Size of the street without SOURCE.")
@click.option("--gop", type=click.IntRange(2), default=12, show_default=True, help="Frames between keyframes.")
@click.option("--grid", type=click.IntRange(1), default=4, show_default=True, help="Side of a cell in pixels.")
@click.option("--frames", type=click.IntRange(2), default=96, show_default=True, help="Frames to take from SOURCE.")
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Passes over these frames.")
def chain(source: str | None, size: tuple[int, int], gop: int, grid: int, frames: int, repeat: int) -> None:
    """Rasterising and chaining to the keyframe: milliseconds of one core a frame, averaged over each GOP.

    Processor time is counted, so that a busy machine changes little; wall time is given beside it.

    SOURCE is a video; the vectors of its frames are taken in groups of --gop whatever its own keyframes are. Without it
    a synthetic street is rendered and encoded in memory.
    """
    vectors, size_hw = _vectors_of_street(size, gop) if source is None else _vectors_of_video(source, frames)
    if len(vectors) < gop - 1:
        raise InputError(f"{source}: has {len(vectors)} frames with vectors, fewer than a GOP of {gop}; lower --gop")
    groups = [vectors[at : at + gop - 1] for at in range(0, len(vectors) - gop + 2, gop - 1)]
    stages: dict[str, list[float]] = {"rasterise": [], "push": [], "compose": []}
    per_frame: list[float] = []
    wall: list[float] = []
    motion = MotionChain(size_hw)
    for _ in range(repeat):
        for group in groups:
            motion.reset()
            began = time.perf_counter()
            spent = dict.fromkeys(stages, 0.0)
            for item in group:
                started = time.thread_time()
                field = MotionField.from_vectors(item)
                rasterised = time.thread_time()
                motion.push(field)
                pushed = time.thread_time()
                motion.compose(grid)
                composed = time.thread_time()
                spent["rasterise"] += rasterised - started
                spent["push"] += pushed - rasterised
                spent["compose"] += composed - pushed
            wall.append((time.perf_counter() - began) * 1000 / gop)
            for name, seconds in spent.items():
                stages[name].append(seconds * 1000 / gop)
            per_frame.append(sum(spent.values()) * 1000 / gop)
    report(
        source=source or "synthetic street",
        size_hw=size_hw,
        gop=gop,
        grid=grid,
        blocks_per_frame=round(mean(len(v) for v in vectors)),
        gops_measured=len(per_frame),
        ms_per_frame_median=round(median(per_frame), 3),
        ms_per_frame_mean=round(mean(per_frame), 3),
        wall_ms_per_frame_median=round(median(wall), 3),
        stages_ms_median={name: round(median(values), 3) for name, values in stages.items()},
    )


@main.command()
@click.argument("source")
@click.option("--frames", type=click.IntRange(1), default=300, show_default=True, help="Frames to read in each pass.")
@click.option(
    "--threads", type=click.IntRange(0), default=0, show_default=True, help="Decoder threads; 0 is every core."
)
def read(source: str, frames: int, threads: int) -> None:
    """Reading SOURCE: frames a second for a metadata pass, for decoding, with vectors, with quantisers, with images."""
    passes: dict[str, tuple[dict[str, bool], bool]] = {
        "metadata": ({"pixels": False}, False),
        "decode": ({"motion": False}, False),
        "decode+motion": ({}, False),
        "decode+motion+qp": ({"qp": True}, False),
        "decode+motion+image": ({}, True),
    }
    rates = {}
    for name, (options, with_images) in tqdm(passes.items(), disable=not sys.stderr.isatty(), leave=False):
        with open_source(source, threads=threads or "auto", **options) as video:
            started, count = time.perf_counter(), 0
            for frame in itertools.islice(video, frames):
                count += 1
                if with_images:
                    _ = frame.image
            rates[name] = round(count / (time.perf_counter() - started), 1)
            size_hw, codec = video.size_hw, video.codec_name
    report(source=source, codec=codec, size_hw=size_hw, threads=threads or "auto", frames_per_second=rates)


def _vectors_of_street(size_hw: tuple[int, int], gop: int) -> tuple[list[MotionVectors], tuple[int, int]]:
    street = SyntheticStreet(size_hw=size_hw)
    images = (image for image, _ in street.frames(2 * gop))
    bar = tqdm(images, total=2 * gop, desc="street", disable=not sys.stderr.isatty(), leave=False)
    frames: Iterator[Frame] = (
        Frame(index, index, Fraction(1, 15), "I", True, 0, size_hw, load_image=_giving(image))
        for index, image in enumerate(bar)
    )
    coded = reencode(frames, EncodeSettings(gop=gop, bitrate_bps=None, preset="veryfast"))
    return [frame.motion for frame in coded if frame.motion is not None], size_hw


def _giving(image: Any) -> Callable[[], Any]:
    return lambda: image


def _vectors_of_video(source: str, count: int) -> tuple[list[MotionVectors], tuple[int, int]]:
    with open_source(source, pixels=False) as video:
        if video.motion_absence is not None:
            raise InputError(f"{source}: {video.motion_absence.value}; give a video made by `preprocess encode`")
        moving = (frame.motion for frame in video if frame.motion is not None)
        return list(itertools.islice(moving, count)), video.size_hw

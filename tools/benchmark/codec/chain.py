"""`benchmark-codec chain`: what rasterising vectors and following them to the keyframe costs."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from statistics import mean, median
from typing import Any

from tqdm import tqdm

from ....codec import EncodeSettings, Frame, MotionChain, MotionField, MotionVectors, open_video, reencode
from ....data import SyntheticStreet
from ....errors import InputError
from ..printing import report


def measure_chain(source: str | None, size: tuple[int, int], gop: int, grid: int, frames: int, repeat: int) -> None:
    """Measure and report; the arguments are those of `benchmark-codec chain`, `size` is (width, height)."""
    vectors, size_hw = (
        _vectors_of_street((size[1], size[0]), gop) if source is None else _vectors_of_video(source, frames)
    )
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
    with open_video(source, pixels=False) as video:
        if video.motion_absence is not None:
            raise InputError(f"{source}: {video.motion_absence.value}; give a video made by `preprocess encode`")
        moving = (frame.motion for frame in video if frame.motion is not None)
        return list(itertools.islice(moving, count)), video.size_hw

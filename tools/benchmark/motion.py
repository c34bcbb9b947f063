"""`benchmark-codec motion`: how far things move since the keyframe, and how well motion vectors tell it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import click
import cv2
import numpy as np
from tqdm import tqdm

from ...codec import MotionChain, MotionField
from ..console import InputError
from .printing import open_source, report


@dataclass
class _AtDistance:
    """One entry a frame: mean length of motion in pixels, and mean squared errors with and without the warp."""

    lengths: list[float] = field(default_factory=list)
    warped: list[float] = field(default_factory=list)
    repeated: list[float] = field(default_factory=list)
    unreferenced: list[float] = field(default_factory=list)

    def record(self, distance: int) -> dict[str, float]:
        low, middle, high = np.quantile(self.lengths, (0.1, 0.5, 0.9))
        return {
            "distance": distance,
            "frames": len(self.lengths),
            "motion_px_mean": round(float(np.mean(self.lengths)), 2),
            "motion_px_p10": round(float(low), 2),
            "motion_px_p50": round(float(middle), 2),
            "motion_px_p90": round(float(high), 2),
            "warp_psnr_db": _psnr(self.warped),
            "repeat_psnr_db": _psnr(self.repeated),
            "unreferenced_share": round(float(np.mean(self.unreferenced)), 4),
        }


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--distances", default="1,3,6,11", show_default=True, help="Frames since the keyframe.")
def motion(sources: tuple[str, ...], distances: str) -> None:
    """Motion to the keyframe, composed for every pixel, over all SOURCEs together, at some distances.

    Mean length of motion (and its 10th, 50th and 90th percentile over frames); PSNR of the keyframe warped by it
    against the decoded frame, and of the keyframe repeated, both from the mean squared error over all frames; share of
    pixels whose way meets an intra block. SOURCEs are videos whose vectors mean the frame before, as
    `preprocess encode` and `preprocess stills` write them.
    """
    try:
        found = {int(part): _AtDistance() for part in distances.split(",")}
    except ValueError as error:
        raise InputError(f"--distances: '{distances}' are no numbers; give them as in 1,3,6,11") from error
    frames = 0
    for source in tqdm(sources, unit="video", disable=not sys.stderr.isatty(), leave=False):
        for distance, values in _measure(source, frozenset(found)):
            frames += 1
            at = found[distance]
            for target, value in zip((at.lengths, at.warped, at.repeated, at.unreferenced), values, strict=True):
                target.append(value)
    if not frames:
        raise InputError(f"{sources[0]}: no frame is so far from its keyframe; give other --distances")
    report(
        sources=len(sources),
        distances=[at.record(distance) for distance, at in sorted(found.items()) if at.lengths],
    )


def _measure(source: str, distances: frozenset[int]) -> Iterator[tuple[int, tuple[float, float, float, float]]]:
    """Distance, and what is measured, of every frame of a video that has one of the distances."""
    with open_source(source) as video:
        if video.motion_absence is not None:
            raise InputError(f"{source}: {video.motion_absence.value}; give a video made by `preprocess encode`")
        chain = MotionChain(video.size_hw)
        y, x = np.indices(video.size_hw, np.float32)
        for frame in video:
            if frame.is_keyframe:
                chain.reset()
                key = frame.image
                continue
            chain.push(None if frame.motion is None else MotionField.from_vectors(frame.motion))
            if frame.distance not in distances:
                continue
            composed = chain.compose("pixel")
            dx, dy = composed.displacement[..., 0], composed.displacement[..., 1]
            warped = cv2.remap(key, x + dx, y + dy, cv2.INTER_LINEAR)
            image = frame.image.astype(np.float32)
            errors = (float(np.square(picture - image).mean()) for picture in (warped, key))
            yield frame.distance, (float(np.hypot(dx, dy).mean()), *errors, float(composed.unreferenced.mean()))  # type: ignore[misc]


def _psnr(errors: list[float]) -> float:
    return round(10 * float(np.log10(255**2 / max(float(np.mean(errors)), 1e-4))), 2)

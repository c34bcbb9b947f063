"""`benchmark-codec motion`: how far things move since the keyframe, and how well motion vectors tell it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from ....codec import MotionChain, MotionField, open_video
from ....errors import InputError
from ..printing import report


@dataclass
class _AtDistance:
    """One entry a frame: mean length of motion in pixels, and mean squared errors with the warp, with that by every
    field on the way, and without one."""

    lengths: list[float] = field(default_factory=list)
    warped: list[float] = field(default_factory=list)
    warped_by_all: list[float] = field(default_factory=list)
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
            "warp_by_every_field_psnr_db": _psnr(self.warped_by_all),
            "repeat_psnr_db": _psnr(self.repeated),
            "unreferenced_share": round(float(np.mean(self.unreferenced)), 4),
        }


def measure_motion(sources: tuple[str, ...], distances: tuple[int, ...]) -> None:
    """Measure and report; the arguments are those of `benchmark-codec motion`."""
    found = {distance: _AtDistance() for distance in distances}
    frames = 0
    for source in tqdm(sources, unit="video", disable=not sys.stderr.isatty(), leave=False):
        for distance, values in _measure(source, frozenset(found)):
            frames += 1
            at = found[distance]
            targets = at.lengths, at.warped, at.warped_by_all, at.repeated, at.unreferenced
            for target, value in zip(targets, values, strict=True):
                target.append(value)
    if not frames:
        raise InputError(f"{sources[0]}: no frame is so far from its keyframe; give other --distances")
    report(
        sources=len(sources),
        distances=[at.record(distance) for distance, at in sorted(found.items()) if at.lengths],
    )


def _measure(source: str, distances: frozenset[int]) -> Iterator[tuple[int, tuple[float, float, float, float, float]]]:
    """Distance, and what is measured, of every frame of a video that has one of the distances."""
    with open_video(source) as video:
        if video.motion_absence is not None:
            raise InputError(f"{source}: {video.motion_absence.value}; give a video made by `preprocess encode`")
        chain, unbounded = MotionChain(video.size_hw), MotionChain(video.size_hw, bounded=False)
        y, x = np.indices(video.size_hw, np.float32)
        for frame in video:
            if frame.is_keyframe:
                chain.reset()
                unbounded.reset()
                key = frame.image
                continue
            step = None if frame.motion is None else MotionField.from_vectors(frame.motion)
            chain.push(step)
            unbounded.push(step)
            if frame.distance not in distances:
                continue
            composed = chain.compose("pixel")
            dx, dy = composed.displacement[..., 0], composed.displacement[..., 1]
            warped = cv2.remap(key, x + dx, y + dy, cv2.INTER_LINEAR)
            way = unbounded.compose("pixel").displacement
            by_all = cv2.remap(key, x + way[..., 0], y + way[..., 1], cv2.INTER_LINEAR)
            image = frame.image.astype(np.float32)
            errors = (float(np.square(picture - image).mean()) for picture in (warped, by_all, key))
            yield frame.distance, (float(np.hypot(dx, dy).mean()), *errors, float(composed.unreferenced.mean()))  # type: ignore[misc]


def _psnr(errors: list[float]) -> float:
    return round(10 * float(np.log10(255**2 / max(float(np.mean(errors)), 1e-4))), 2)

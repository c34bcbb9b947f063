"""A labelled frame between two neighbours, with the codec's motion to the earlier one: for temporal training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import MotionChain, MotionField, filled, open_video
from ..labelled_video import LabelledVideo
from ..sample import DatasetError
from .views import jitter_colour

CELL = 8
"""Pixels of a cell of the motion."""

Picture = NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class FrameGroup:
    """`image`, `previous` and `following` are (H, W, 3) uint8 RGB, decoded; `labels` (H, W) uint8 are those of `image`.

    `displacement` (h, w, 2) float32 is the backward motion from `image` to `previous` in pixels, x before y, on cells
    of CELL pixels, and `known` (h, w) bool where the codec has one; nowhere if a keyframe begins in between.
    """

    image: Picture
    previous: Picture
    following: Picture
    labels: NDArray[np.uint8]
    displacement: NDArray[np.float32]
    known: NDArray[np.bool_]


def read_group(video: LabelledVideo, index: int, gap: int) -> FrameGroup:
    """Frame `index` with those `gap` before and after it, which must exist; DatasetError where the video ends early."""
    with open_video(video.video, qp=False) as frames:
        chain = MotionChain(frames.size_hw)
        for frame in frames:
            if frame.index == index - gap:
                previous = frame.image
            elif index - gap < frame.index <= index:
                usable = frame.motion is not None and not frame.is_keyframe
                chain.push(filled(MotionField.from_vectors(frame.motion)) if usable and frame.motion else None)
            if frame.index == index:
                image, motion = frame.image, chain.compose(CELL)
            if frame.index == index + gap:
                labels = video.sample_labels(index, image.shape[:2])
                return FrameGroup(image, previous, frame.image, labels, motion.displacement, ~motion.unreferenced)
    raise DatasetError(f"'{video.video}' ends before frame {index + gap}; make it again")


def draw_group(video: LabelledVideo, largest_gap: int, rng: np.random.Generator) -> FrameGroup:
    """A random frame with neighbours 1 .. `largest_gap` away, fewer in a short video; DatasetError below 3 frames."""
    if len(video) < 3:
        raise DatasetError(f"'{video.video}' has {len(video)} labelled frames; temporal training needs 3 or more")
    gap = int(rng.integers(1, min(largest_gap, (len(video) - 1) // 2) + 1))
    return read_group(video, int(rng.integers(gap, len(video) - gap)), gap)


def vary_group(
    group: FrameGroup, crop_hw: tuple[int, int], scale: tuple[float, float], rng: np.random.Generator
) -> FrameGroup:
    """A random view, (crop_hw) in size: a window zoomed by a factor in `scale`, a flip, colours, alike in all frames.

    The window never reaches out of the picture, and begins and ends at cells; motion keeps in step with the pixels. Its
    grid has one cell for CELL pixels of the view.
    """
    rows, columns = group.labels.shape[0] // CELL, group.labels.shape[1] // CELL
    lowest = max(scale[0], crop_hw[0] / (rows * CELL), crop_hw[1] / (columns * CELL))
    zoom = float(np.exp(rng.uniform(np.log(lowest), np.log(max(lowest, scale[1])))))
    height, width = (
        min(count, max(1, round(side / zoom / CELL))) for count, side in zip((rows, columns), crop_hw, strict=True)
    )
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    cells = np.s_[top : top + height, left : left + width]
    window = np.s_[top * CELL : (top + height) * CELL, left * CELL : (left + width) * CELL]
    flip, colours = rng.random() < 0.5, rng.integers(1 << 32) if rng.random() < 0.8 else None
    grid_hw = max(1, crop_hw[0] // CELL), max(1, crop_hw[1] // CELL)

    def nearest(values: NDArray[Value], size_hw: tuple[int, int]) -> NDArray[Value]:
        view = cv2.resize(values, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_NEAREST)
        return np.ascontiguousarray(view[:, ::-1] if flip else view, values.dtype)

    def picture(image: Picture) -> Picture:
        view = cv2.resize(image[window], (crop_hw[1], crop_hw[0]), interpolation=cv2.INTER_LINEAR)
        view = np.ascontiguousarray(view[:, ::-1] if flip else view, np.uint8)
        return view if colours is None else jitter_colour(view, np.random.default_rng(colours))

    stretch = np.array([crop_hw[1] / (width * CELL) * (-1 if flip else 1), crop_hw[0] / (height * CELL)], np.float32)
    return replace(
        group,
        image=picture(group.image),
        previous=picture(group.previous),
        following=picture(group.following),
        labels=nearest(group.labels[window], crop_hw),
        displacement=nearest(group.displacement[cells], grid_hw) * stretch,
        known=nearest(group.known[cells].astype(np.uint8), grid_hw).astype(np.bool_),
    )

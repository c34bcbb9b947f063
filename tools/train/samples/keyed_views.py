"""Random views of frames with their keyframes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ....data import KeyedSample, jitter_colour

MAX_ZOOM = 1.6


def vary(sample: KeyedSample, cell: int, rng: np.random.Generator) -> KeyedSample:
    """A random view: a window enlarged up to MAX_ZOOM times, a flip, colours; motion keeps in step with the pixels."""
    height, width = sample.labels.shape
    zoom = float(np.exp(rng.uniform(0, np.log(MAX_ZOOM))))
    rows, columns = round(height / zoom / cell), round(width / zoom / cell)
    top, left = int(rng.integers(height // cell - rows + 1)), int(rng.integers(width // cell - columns + 1))
    window = np.s_[top * cell : (top + rows) * cell, left * cell : (left + columns) * cell]
    cells = np.s_[top : top + rows, left : left + columns]
    scale = np.array([width / (columns * cell), height / (rows * cell)], np.float32)
    grid = (sample.displacement.shape[1], sample.displacement.shape[0])
    colours = rng.integers(1 << 32) if rng.random() < 0.8 else None

    def picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        view = np.asarray(cv2.resize(image[window], (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        return view if colours is None else jitter_colour(view, np.random.default_rng(colours))

    lost = cv2.resize(sample.unreferenced[cells].astype(np.uint8), grid, interpolation=cv2.INTER_NEAREST)
    view = replace(
        sample,
        image=picture(sample.image),
        key_image=picture(sample.key_image),
        labels=np.asarray(
            cv2.resize(sample.labels[window], (width, height), interpolation=cv2.INTER_NEAREST), np.uint8
        ),
        displacement=cv2.resize(sample.displacement[cells], grid, interpolation=cv2.INTER_NEAREST) * scale,
        unreferenced=lost.astype(np.bool_),
    )
    return mirrored(view) if rng.random() < 0.5 else view


def mirrored(sample: KeyedSample) -> KeyedSample:
    """Left and right exchanged, horizontal motion with them."""
    return replace(
        sample,
        image=sample.image[:, ::-1].copy(),
        key_image=sample.key_image[:, ::-1].copy(),
        labels=sample.labels[:, ::-1].copy(),
        displacement=sample.displacement[:, ::-1] * np.array([-1, 1], np.float32),
        unreferenced=sample.unreferenced[:, ::-1].copy(),
    )

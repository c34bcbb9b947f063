"""`Prediction`: what a pipeline says about one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """The labels of one frame, and how they came about.

    `index`, `pts` (units of `time_base`), `pict_type` and `distance` are the frame's own. `labels` is (H, W) uint8, one
    class index a pixel, of the displayed size. `logits` is (h, w, classes) float32 at the network's stride
    (logarithms of probabilities where they were carried from another frame), or None where the pipeline was not asked
    to keep them. `occluded` (h, w) bool, on cells that span the picture, is where motion could not tell what is there,
    in modes that carry scores along motion; None in others and where the network looked. `from_network` tells
    whether the network saw this very frame. `timings` maps each stage's name to its milliseconds.
    """

    index: int
    pts: int | None
    time_base: Fraction
    pict_type: str
    distance: int
    labels: NDArray[np.uint8] = field(repr=False)
    logits: NDArray[np.float32] | None = field(default=None, repr=False)
    occluded: NDArray[np.bool_] | None = field(default=None, repr=False)
    from_network: bool = True
    timings: Mapping[str, float] = field(default_factory=dict)

"""`Prediction`: what a pipeline says about one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..codec import Frame
from ..data import Palette
from .outputs import Painter, palette_of


@dataclass(frozen=True, eq=False)
class Prediction:
    """The labels of one frame, and how they came about.

    `frame` is the frame as it was read. `labels` is (H, W) uint8, one index into `classes` (names) a pixel, of the
    displayed size. `logits` is (h, w, classes) float32 at the network's stride (logarithms of probabilities where they
    were carried from another frame), or None where the pipeline was not asked to keep them. `occluded` (h, w) bool, on
    cells that span the picture, is where motion could not tell what is there, in modes that carry scores along motion;
    None in others and where the network looked. `from_network` tells whether the network saw this very frame.
    `expected_agreement` is the share of pixels, 0 to 1, whose labels mode auto expects to be those that the network
    would have given, None in other modes. `timings` maps each stage's name to its milliseconds. `palette` is
    what `overlay` draws with, None for the classes' usual one.

    A prediction keeps its frame's picture; whoever gathers many keeps `labels` instead.
    """

    frame: Frame
    labels: NDArray[np.uint8] = field(repr=False)
    classes: tuple[str, ...] = field(default=(), repr=False)
    logits: NDArray[np.float32] | None = field(default=None, repr=False)
    occluded: NDArray[np.bool_] | None = field(default=None, repr=False)
    from_network: bool = True
    expected_agreement: float | None = None
    timings: Mapping[str, float] = field(default_factory=dict, repr=False)
    palette: Palette | None = field(default=None, repr=False)

    @property
    def index(self) -> int:
        """The frame's number in display order, from 0."""
        return self.frame.index

    @property
    def pts(self) -> int | None:
        """The frame's exact timestamp in units of `frame.time_base`, None where the source gives none."""
        return self.frame.pts

    @property
    def pts_seconds(self) -> float | None:
        """The time at which the frame is shown, in seconds, or None where the source gives none."""
        return self.frame.pts_seconds

    @property
    def pict_type(self) -> str:
        """The frame's type: 'I', 'P' or 'B'."""
        return self.frame.pict_type

    @property
    def distance(self) -> int:
        """Frames since the last keyframe; 0 on one."""
        return self.frame.distance

    def overlay(self, opacity: float = 0.5, *, show_occlusion: bool = False) -> NDArray[np.uint8]:
        """The picture under its labels' colours, (H, W, 3) uint8 RGB; `opacity` 0..1 is the colours' share.

        With `show_occlusion`, what motion could not tell is hatched. Drawn as `segment-stream` draws its video.
        """
        painter = Painter((self.palette or palette_of(self.classes)).colours, opacity)
        return painter.overlay(self.frame.image, self.labels, self.occluded if show_occlusion else None)

"""AR-Seg's processed files as frames: a keyframe, and one that follows it with motion that is composed already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, FrameReferences, Grid, MotionField, grid_positions
from ...data import ProcessedFrame, read_image, read_motion_map

_NOTHING = np.empty(0, np.float32)
_QUARTERS = 4  # of a pixel, in which positions are counted


@dataclass(frozen=True, eq=False)
class ComposedMotion(FrameReferences):
    """References of a frame whose motion to its keyframe is known for every pixel: `displacement` (H, W, 2), pixels."""

    displacement: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 1, 2), np.float32), repr=False)
    distance: int = 0

    @property
    def index(self) -> int:
        """The frame's number behind its keyframe."""
        return self.distance

    def compose(self, grid: Grid = 4, to: int | None = None) -> MotionField:  # noqa: ARG002
        """The displacement at the centres of `grid`'s cells; nothing is unreferenced."""
        size_hw = (self.displacement.shape[0], self.displacement.shape[1])
        at = grid_positions(size_hw, grid)
        sampled = self.displacement[at.y // _QUARTERS, at.x // _QUARTERS].reshape(*at.grid_hw, 2)
        return MotionField(sampled, np.zeros(at.grid_hw, np.bool_), size_hw, at.cell)


def frames_of(processed: ProcessedFrame) -> Iterator[Frame]:
    """The keyframe and, at a distance of 1 or more, the labelled frame."""
    image = read_image(processed.keyframe)
    size_hw = (image.shape[0], image.shape[1])
    keyframe = Frame(
        index=0,
        pts=0,
        time_base=Fraction(1),
        pict_type="I",
        is_keyframe=True,
        distance=0,
        size_hw=size_hw,
        load_image=lambda: image,
        decode_index=0,
        references=_references(None, np.zeros((*size_hw, 2), np.float32)),
    )
    yield keyframe
    if processed.motion is not None:
        yield Frame(
            index=processed.distance,
            pts=processed.distance,
            time_base=Fraction(1),
            pict_type="P",
            is_keyframe=False,
            distance=processed.distance,
            size_hw=size_hw,
            load_image=partial(read_image, processed.image),
            decode_index=processed.distance,
            references=_references(keyframe, read_motion_map(processed.motion, size_hw), processed.distance),
        )


def _references(keyframe: Frame | None, displacement: NDArray[np.float32], distance: int = 0) -> ComposedMotion:
    none = np.empty(0, np.int32)
    return ComposedMotion(none, _NOTHING, _NOTHING, 0, True, keyframe, displacement=displacement, distance=distance)

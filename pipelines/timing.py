"""Milliseconds by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray

from ..codec import Frame

Clock = Callable[[str], AbstractContextManager[None]]
"""Adds the milliseconds of a `with` block to the frame's timing of a stage."""


@contextmanager
def clocked(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add the body's milliseconds to those of `stage`."""
    begin = time.perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + (time.perf_counter() - begin) * 1e3


def unclocked(stage: str) -> AbstractContextManager[None]:  # noqa: ARG001
    """A `Clock` for what is part of a stage that is counted already."""
    return nullcontext()


def image_of(frame: Frame, clock: Clock) -> NDArray[np.uint8]:
    """The frame's picture, (H, W, 3) uint8 RGB; the stage `rgb` counts the conversion if it is still to be made."""
    if frame.has_image:
        return frame.image
    with clock("rgb"):
        return frame.image

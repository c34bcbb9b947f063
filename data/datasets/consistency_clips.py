"""The clips around annotated Cityscapes frames on which ETC measures temporal consistency."""

from __future__ import annotations

from pathlib import Path

from ..sample import DatasetError
from .cityscapes_files import frame_key

BEFORE, AFTER = 19, 10
"""Frames of a snippet before and after its annotated one, as ETC takes them: 30 frames, 29 pairs."""


def clip_around(annotated: Path, before: int = BEFORE, after: int = AFTER) -> tuple[Path, ...]:
    """The images of the frames from `before` before an annotated one (CITY_SEQ_FRAME_leftImg8bit.png) to `after` after.

    Consecutive ones of the result are the pairs that are scored. DatasetError where the name is none of Cityscapes', or
    the frames would begin before number 0.
    """
    snippet, number = frame_key(annotated)
    if number < before:
        raise DatasetError(f"'{annotated}' has only {number} frames before it, not {before}; give a smaller number")
    return tuple(
        annotated.with_name(f"{snippet}_{frame:06d}_leftImg8bit{annotated.suffix}")
        for frame in range(number - before, number + after + 1)
    )

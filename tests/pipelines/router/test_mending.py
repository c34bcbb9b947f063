"""Motion through pictures that are coded anew: `CodecMotion(mends=True)`, as mode auto has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import Frame, MotionField, open_video
from gopseg.pipelines.motion import CodecMotion

SPEED = 12
"""Pixels a frame: further from one P-frame to the next than the encoder looks."""


@pytest.fixture(scope="module")
def fast(make_clip: Any, scene: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world that rushes by, in one GOP with B-frames; most of a P-frame is intra-coded."""
    options = {"bf": "2", "crf": "18"}
    options["x264-params"] = "scenecut=0:b-adapt=0:open-gop=0:weightp=0:b-pyramid=0:me=dia:merange=4:subme=1"
    return Path(make_clip(tmp_path_factory.mktemp("fast") / "fast.mp4", scene(3, 13, SPEED), gop=250, options=options))


def ways(clip: Path, *, mends: bool, looks: tuple[int, ...] = ()) -> list[tuple[Frame, MotionField]]:
    motion, found = CodecMotion(4, mends=mends), []
    with open_video(clip, references=True) as video:
        for frame in video:
            if motion.observe(frame, anew=False) is not frame:
                found.append((frame, motion.field(frame)))
                if frame.index in looks:
                    motion.begin_at(frame)
    return found


def known_and_right(found: list[tuple[Frame, MotionField]], start: int = 0) -> tuple[float, float]:
    """The share of cells whose way is known, and of these the share whose way is right."""
    known = np.array([~way.unreferenced for _, way in found])
    off = [np.abs(way.displacement - (SPEED * (frame.index - start), 0)).max(2) for frame, way in found]
    return float(known.mean()), float(np.mean(np.array(off)[known] <= 4))


def test_more_is_known_and_it_is_right(fast: Path) -> None:
    plain, mended = (ways(fast, mends=mends)[:6] for mends in (False, True))
    (known_before, right_before), (known, right) = (known_and_right(found) for found in (plain, mended))
    assert known > known_before + 0.15
    assert right > max(0.7, right_before - 0.05)
    for (_, before), (_, after) in zip(plain, mended, strict=True):
        there = ~before.unreferenced
        assert np.array_equal(before.displacement[there], after.displacement[there])


def test_it_begins_anew_where_the_network_looks(fast: Path) -> None:
    found = [(frame, way) for frame, way in ways(fast, mends=True, looks=(6,)) if 6 < frame.index <= 9]
    known, right = known_and_right(found, start=6)
    assert known > 0.4
    assert right > 0.7

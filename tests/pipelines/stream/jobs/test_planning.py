"""Where a file is cut, and where not."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gopseg.codec import StartPoint, StartPoints
from gopseg.pipelines import StreamRequest
from gopseg.pipelines.stream.jobs.planning import (
    FRAMES_A_WORKER,
    MOST_FRAMES,
    SEEN_A_WORKER,
    NotCut,
    bounds,
    cut,
    part_count,
    plan,
    workers_that_pay,
)


def points(frames: int, gop: int) -> StartPoints:
    keys = tuple(StartPoint(i, 2 * i + 10, 2 * i + 10, True) for i in range(0, frames, gop))
    return StartPoints(keys, 2 * np.arange(frames) + 10, Fraction(1, 50))


@pytest.mark.parametrize(("begin", "end", "count"), [(0, 240, 4), (7, 233, 5), (12, 100, 2), (30, 31, 1), (0, 240, 99)])
def test_parts_lie_end_to_end_and_begin_at_keyframes(begin: int, end: int, count: int) -> None:
    given = points(240, 6)
    parts = cut(given, begin, end, count)
    assert len(parts) == min(count, 40)
    assert parts[0].begin == given.pts[begin]
    assert sum(part.frames for part in parts) == end - begin
    assert parts[-1].end == (None if end == 240 else given.pts[end])
    for before, after in pairwise(parts):
        assert before.end == after.begin
        assert (after.begin - 10) % 12 == 0
        assert after.is_cut
        assert after.lead is None or 16 <= given.index_of(after.begin) - after.lead.index < 24
    lengths = [part.frames for part in parts]
    assert max(lengths) - min(lengths) <= 12


def test_bounds_are_those_of_one_worker() -> None:
    request = StreamRequest(source="x", start=0.1, end=1.0, max_frames=15)
    assert bounds(request, points(100, 10)) == (3, 18), "0.1 s is 2.5 frames"
    assert bounds(StreamRequest(source="x", end=0.16), points(100, 10)) == (0, 4)
    assert bounds(StreamRequest(source="x", start=99), points(100, 10)) == (100, 100)


def test_how_many_parts() -> None:
    assert part_count(90_000, 12, 2, 45_000) == 90_000 // MOST_FRAMES, "what a killed worker costs is bounded"
    assert part_count(2400, 12, 2, 1200) == 8, "four a worker"
    assert part_count(3000, 250, 2, 1500) == 2, "few long GOPs: one each, as long as they are worth it"
    assert part_count(500, 250, 4, 125) == 2, "no more than GOPs"
    assert part_count(100, 12, 2, 5000) == 1, "one of many files"
    assert part_count(30, 12, 2, 15) == 1, "too short"


def test_the_first_part_reads_nothing_ahead_and_is_longer() -> None:
    for frames, gop, lengths in ((1000, 200, [600, 400]), (1500, 300, [900, 600]), (957, 128, [512, 445])):
        assert [part.frames for part in cut(points(frames, gop), 0, frames, 2)] == lengths


def test_no_more_workers_than_pay() -> None:
    carried, seen = StreamRequest(source="x"), StreamRequest(source="x", mode="ar")
    assert workers_that_pay([(carried, 2 * FRAMES_A_WORKER - 1)], 4, 16) == 1
    assert workers_that_pay([(carried, 2 * FRAMES_A_WORKER)], 4, 16) == 2
    assert workers_that_pay([(seen, 2 * SEEN_A_WORKER), (carried, FRAMES_A_WORKER)], 8, 16) == 3
    assert workers_that_pay([(carried, 10**6)], 3, 2) == 3
    assert workers_that_pay([(carried, 10), (carried, 0)], 3, 2) == 3, "who knows how long that is"
    on_two = [workers_that_pay([(carried, count * FRAMES_A_WORKER)], 2, 2) for count in (7, 8)]
    assert on_two == [1, 2], "one process keeps two cores busy"
    assert workers_that_pay([(carried, 4 * FRAMES_A_WORKER)], 4, 4) == 2, "two cores each, and not one"


def test_who_shares_the_work_loads_no_torch(clip: Path) -> None:
    """Workers could not start before that."""
    code = f"""
import sys
from gopseg.pipelines import StreamRequest
from gopseg.pipelines.stream.jobs import batch, joining
batch.plan(StreamRequest(source={str(clip)!r}), 2, 48)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, make_clip, square_images) -> Path:
    """96 frames, a keyframe every 6."""
    return make_clip(tmp_path_factory.mktemp("plan") / "x.mp4", square_images * 8)


def test_a_plan(clip: Path) -> None:
    made = plan(StreamRequest(source=str(clip)), 2, 48)
    assert [part.frames for part in made.parts] == [48, 48]
    assert (made.mode, made.time_base) == ("auto", Fraction(1, 12800))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"reencode": "always"}, "re-encoded in memory"),
        ({"mode": "flow", "options": {"interval": 5}}, "counts --interval on"),
        ({"mode": "clip"}, "looks at earlier frames"),
        ({"options": {"budget": 0.1}}, "keeps to its budget"),
        ({"max_frames": 20}, "too short"),
        ({"mode": "flow"}, None),
        ({"mode": "motion", "options": {"interval": 5}}, None),
    ],
)
def test_what_is_left_to_one_worker(clip: Path, given: dict[str, object], words: str | None) -> None:
    request = StreamRequest(source=str(clip), **given)  # type: ignore[arg-type]
    if words is None:
        assert len(plan(request, 2, 48).parts) == 2
        return
    with pytest.raises(NotCut, match=words):
        plan(request, 2, 48)


def test_other_codecs(tmp_path: Path, make_clip, square_images) -> None:
    clip = make_clip(tmp_path / "x.mp4", square_images * 8, codec="mpeg4", options={})
    with pytest.raises(NotCut, match="motion of mpeg4"):
        plan(StreamRequest(source=str(clip), mode="motion"), 2, 48)
    assert len(plan(StreamRequest(source=str(clip), mode="frame"), 2, 48).parts) == 2
    (tmp_path / "frames").mkdir()
    with pytest.raises(NotCut, match="still images"):
        plan(StreamRequest(source=str(tmp_path / "frames")), 2, 48)

"""Carrying both ways: motion to a later frame, and what two looks say together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import Frame, MotionField, open_video
from gopseg.pipelines import KeyframePipeline
from gopseg.pipelines.carriers import BothWays, Carrier, Map, Probabilities
from gopseg.pipelines.motion import CodecMotion, ways_to_later
from gopseg.pipelines.refresh import Refresh

B_FRAMES = {"bf": "2", "x264-params": "scenecut=0:b-adapt=0:open-gop=0:weightp=0:b-pyramid=0"}


class At(Refresh[Map]):
    """The network looks at the frames of these numbers."""

    def __init__(self, *frames: int) -> None:
        self.frames = frames

    def choose(self, frame: Frame, field: MotionField, carrier: Carrier[Map]) -> Carrier[Map] | None:
        return None if frame.index in self.frames else carrier


@pytest.fixture(scope="module", params=["vectors", "references"])
def pan(request: Any, make_clip: Any, scene: Any, wide: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world that passes by at 4 pixels a frame, in one GOP of 19 frames."""
    options = (wide if request.param == "vectors" else B_FRAMES) | {"crf": "18"}
    folder = tmp_path_factory.mktemp("pan")
    return Path(make_clip(folder / "pan.mp4", scene(3, 19, 4), gop=250, options=options))


def test_motion_to_a_later_frame_leads_to_what_is_seen(pan: Path) -> None:
    with open_video(pan, references=True) as video:
        frames = list(video)
    later = frames[9]
    assert later.pict_type == "P"
    ways = list(ways_to_later(frames[3:10], 8))
    assert [frame.index for frame, _ in ways] == [8, 7, 6, 5, 4, 3]
    for frame, way in ways:
        known = ~way.unreferenced
        assert known.mean() > 0.5
        distance = 4 * (later.index - frame.index)
        off = np.abs(way.displacement[known] - (-distance, 0)).max(1)
        assert np.mean(off <= 1) > 0.8, "what is seen moves left"


def wrong(pan: Path, runner: Any, carrier: Carrier[Map]) -> list[float]:
    with open_video(pan, references=True) as video:
        frames = list(video)
    made: KeyframePipeline[Map] = KeyframePipeline(runner, CodecMotion(4), carrier, At(9))
    found = list(made.run(frames))
    assert [each.index for each in found] == list(range(19))
    assert [each.index for each in found if each.from_network] == [0, 9]
    truth = [runner.logits(frame.image).argmax(2).repeat(4, 0).repeat(4, 1) for frame in frames]
    return [float(np.mean(each.labels != own)) for each, own in zip(found, truth, strict=True)]


def test_two_looks_know_more_than_one(pan: Path, runner: Any) -> None:
    one_way = Probabilities(runner, mix_lost=True)
    once, twice = (np.array(wrong(pan, runner, carrier)) for carrier in (one_way, BothWays(one_way)))
    assert np.array_equal(once[[0, *range(9, 19)]], twice[[0, *range(9, 19)]])
    assert twice[1:9].mean() < 0.8 * once[1:9].mean()

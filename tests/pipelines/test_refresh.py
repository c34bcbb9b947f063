"""Refresh rules: when the network looks, and which carrier serves instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import Frame, MotionField, open_video
from gopseg.pipelines import KeyframePipeline, Prediction
from gopseg.pipelines.carriers import Carried, Carrier, Map, Probabilities
from gopseg.pipelines.motion import CodecMotion
from gopseg.pipelines.refresh import CUT_ABOVE, AnyOf, FixedInterval, LostCells, Refresh, StreamKeyframes


@pytest.fixture
def frames(square_clip: Path) -> list[Frame]:
    with open_video(square_clip) as video:
        return list(video)


def lost(share: float) -> MotionField:
    unreferenced = np.zeros((10, 10), np.bool_)
    unreferenced.flat[: round(100 * share)] = True
    return MotionField(np.zeros((10, 10, 2), np.float32), unreferenced, (80, 80))


def looks(rule: Refresh[Map], frame: Frame, share: float, carrier: Carrier[Map]) -> bool:
    return rule.choose(frame, lost(share), carrier) is None


def test_the_bound_on_lost_cells_is_higher_near_the_end_of_a_gop(frames: list[Frame], runner: Any) -> None:
    carrier = Probabilities(runner, mix_lost=True)
    rule: LostCells[Map] = LostCells(0.29, spares_ends=True)
    plain: LostCells[Map] = LostCells(0.29, spares_ends=False)
    for frame in frames:
        assert not rule.observe(frame, frame.distance)
        assert not plain.observe(frame, frame.distance)
        near_end = frame.index > 6 and frame.distance > 2  # the second GOP, fewer than 4 frames before its end
        assert looks(rule, frame, 0.5, carrier) is not near_end
        assert looks(plain, frame, 0.5, carrier)
        assert looks(rule, frame, CUT_ABOVE + 0.1, carrier)
        assert not looks(rule, frame, 0.29, carrier)


def test_b_frames_are_spared_below_a_cut(make_clip: Any, tmp_path: Path, runner: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 200, 3), np.uint8)
    options = {"bf": "2", "x264-params": "b-adapt=0:scenecut=0"}
    clip = make_clip(tmp_path / "b.mp4", [noise[:, 4 * i : 4 * i + 128] for i in range(8)], gop=250, options=options)
    with open_video(clip, references=True) as video:
        frames = list(video)
    carrier = Probabilities(runner, mix_lost=True)
    rule: LostCells[Map] = LostCells(0.29, spares_ends=True)
    assert {frame.pict_type for frame in frames[1:]} == {"B", "P"}
    for frame in frames[1:]:
        assert looks(rule, frame, 0.5, carrier) is (frame.pict_type == "P")
        assert looks(rule, frame, CUT_ABOVE + 0.1, carrier)
    assert looks(LostCells(0.7, spares_ends=True), frames[1], 0.8, carrier)
    assert not looks(LostCells(0.7, spares_ends=True), frames[1], 0.65, carrier)


def test_rules_together(frames: list[Frame], runner: Any) -> None:
    rule: AnyOf[Map] = AnyOf(StreamKeyframes(), FixedInterval(4), LostCells(0.2, spares_ends=False))
    assert [rule.observe(frame, frame.distance) for frame in frames[:6]] == [True, False, False, False, True, True]
    carrier = Probabilities(runner, mix_lost=True)
    assert rule.choose(frames[1], lost(0.1), carrier) is carrier
    assert rule.choose(frames[1], lost(0.3), carrier) is None
    with pytest.raises(ValueError, match="an interval of 0 frames is impossible"):
        FixedInterval(0)


class Nothing(Probabilities):
    """Says that everything is of class 2, of several frames at once."""

    batch = 3

    def carry(self, passengers: Any, clock: Any) -> list[Carried]:
        self.sizes = [*getattr(self, "sizes", []), len(passengers)]
        return [
            Carried(np.broadcast_to(np.eye(3, dtype=np.float32)[2], one.payload.shape).copy(), one.motion.unreferenced)
            for one in passengers
        ]


class Router(Refresh[Map]):
    """Sends some frames to another carrier: what a router will do by what it knows of them."""

    def __init__(self, other: Carrier[Map], frames: set[int]) -> None:
        self.other, self.frames = other, frames

    def choose(self, frame: Frame, field: MotionField, carrier: Carrier[Map]) -> Carrier[Map] | None:
        return self.other if frame.index in self.frames else carrier


def test_a_rule_may_change_the_carrier_from_frame_to_frame(frames: list[Frame], runner: Any) -> None:
    def run(step: bool) -> tuple[list[Prediction], Nothing]:
        other = Nothing(runner, mix_lost=True)
        rules: AnyOf[Map] = AnyOf(StreamKeyframes(), Router(other, {1, 2, 4, 7, 8, 9, 10, 11}))
        pipeline = KeyframePipeline(runner, CodecMotion(4), Probabilities(runner, mix_lost=True), rules)
        return [pipeline.step(frame) for frame in frames] if step else list(pipeline.run(frames)), other

    pushed, gathered = run(step=False)
    stepped, _ = run(step=True)
    assert [p.index for p in pushed] == list(range(12))
    assert [bool((p.labels == 2).all()) for p in pushed] == [i in {1, 2, 4, 7, 8, 9, 10, 11} for i in range(12)]
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(pushed, stepped, strict=True))
    assert gathered.sizes == [2, 1, 3, 2], "gathered up to a frame of another carrier, a full batch, or the end"

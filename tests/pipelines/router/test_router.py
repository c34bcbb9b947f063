"""Mode `auto`: the network looks where the codec saw news, and says what it expects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import MotionField, open_video
from gopseg.errors import InputError
from gopseg.pipelines import (
    CELL_FEATURES,
    MODES,
    KeyframePipeline,
    Policy,
    Prediction,
    Predictor,
    routed_pipeline,
)
from gopseg.pipelines.router import Pace, Router, load_predictor
from gopseg.pipelines.router.policy import QUALITY_PRICE
from gopseg.pipelines.router.predictor import by_name


@pytest.fixture(scope="module")
def cut_clip(make_clip: Any, scene: Any, wide: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing but ground, and from frame 12 on a still scene, in one GOP of 24 frames."""
    noise = np.random.default_rng(2).integers(-12, 13, (96, 128, 1))
    ground = np.clip(noise + 40, 0, 255).astype(np.uint8).repeat(3, 2)
    images = [ground] * 12 + scene(1, 12, 0)
    return Path(make_clip(tmp_path_factory.mktemp("router") / "cut.mp4", images, gop=250, options=wide | {"crf": "20"}))


def run(clip: Path, runner: Any, **options: Any) -> list[Prediction]:
    with open_video(clip) as video:
        return list(MODES["auto"].pipeline(runner, **options).run(video))


def looks(predictions: list[Prediction]) -> list[int]:
    return [each.index for each in predictions if each.from_network]


def test_a_cut_wakes_the_network_and_a_still_scene_does_not(cut_clip: Path, runner: Any) -> None:
    predictions = run(cut_clip, runner)
    assert looks(predictions) == [0, 12]
    assert all(each.expected_agreement is not None for each in predictions)
    assert [each.expected_agreement for each in predictions if each.from_network] == [1, 1]
    assert min(each.expected_agreement or 0 for each in predictions) > 0.9


def test_the_higher_the_quality_the_more_looks() -> None:
    def looks_at(quality: float) -> int:
        policy, since, count = Policy(quality), 0, 0
        for _ in range(200):
            since += 1
            if count == 0 or policy.wants_look(0.01 * since):
                policy.looked()
                since, count = 0, count + 1
            else:
                policy.carried(0.01 * since)
        return count

    counts = [looks_at(quality) for quality in (0.9, 0.97, 0.98, 0.99, 0.999)]
    assert counts == sorted(set(counts))
    assert counts[-1] > 100


def test_b_frames_are_looked_at_where_the_quality_cannot_be_had_without(
    make_clip: Any, scene: Any, tmp_path: Path, runner: Any
) -> None:
    options = {"crf": "35", "x264-params": "bframes=3:b-adapt=0:b-pyramid=0:scenecut=0"}
    clip = make_clip(tmp_path / "b.mp4", scene(2, 17, 5), gop=250, options=options)
    types = {}
    for quality in (0.97, 0.9999):
        wary = Predictor(np.zeros(len(CELL_FEATURES), np.float32), offset=-2.0)
        with open_video(clip, references=True) as video:
            found = list(routed_pipeline(runner, MODES["auto"].parse({}), wary, Policy(quality)).run(video))
        types[quality] = {each.pict_type for each in found if each.from_network}
    assert "B" not in types[0.97]
    assert "B" in types[0.9999]


def test_what_the_network_said_where_it_looked_again_counts(cut_clip: Path, runner: Any) -> None:
    """Where more was wrong than a predictor says, the router expects more from then on."""
    low = Predictor(np.zeros(len(CELL_FEATURES), np.float32), offset=-3.0)
    router: Router[Any] = Router(4, low, Policy(quality=0.5))
    with open_video(cut_clip) as video:
        frames = list(video)
    still = MotionField(np.zeros((24, 32, 2), np.float32), np.zeros((24, 32), np.bool_), (96, 128), (4, 4))

    def look_at(number: int, logits: np.ndarray) -> None:
        router.refer_to(frames[number])
        router.looked(frames[number], logits)

    def expected_of(number: int) -> float:
        router.observe(frames[number], 1)
        router.choose(frames[number], still, None)  # type: ignore[arg-type]
        assert router.expected is not None
        return router.expected

    said = runner.logits(frames[12].image)
    router.observe(frames[12], 0)
    look_at(12, said)
    before = expected_of(13)
    router.policy.account.count = 1000  # whatever comes is worth a look
    expected_of(14)
    changed = said.copy()
    changed[:4] = np.roll(changed[:4], 1, axis=2)
    look_at(14, changed)
    assert expected_of(15) < before < 1


def test_a_budget_is_kept(make_clip: Any, scene: Any, wide: Any, tmp_path: Path, runner: Any) -> None:
    clip = make_clip(tmp_path / "pan.mp4", scene(0, 80, 7), gop=250, options=wide | {"crf": "35"})
    with open_video(clip) as video:
        frames = list(video)
    wary = Predictor(by_name({"one": -2, "distance": 1.5}))

    def looks_within(budget: float | None) -> int:
        pipeline = routed_pipeline(runner, MODES["auto"].parse({}), wary, Policy(0.999, budget))
        return len(looks(list(pipeline.run(frames))))

    assert looks_within(0.05) <= 8 < looks_within(None)


def test_b_frames_are_carried_and_the_next_p_frame_is_seen(
    make_clip: Any, scene: Any, tmp_path: Path, runner: Any
) -> None:
    """Even those that others refer to: what comes after the next P-frame was coded before them."""
    options = {"bf": "3", "crf": "35", "x264-params": "scenecut=0:b-adapt=0:open-gop=0:weightp=0:b-pyramid=normal"}
    clip = make_clip(tmp_path / "pan.mp4", scene(2, 33, 5), gop=250, options=options)
    with open_video(clip, references=True) as video:
        frames = list(video)
    assert any(frame.references is not None and frame.references.is_reference for frame in frames[1:4])
    wary = Predictor(np.zeros(len(CELL_FEATURES), np.float32), offset=-0.9)
    found = list(routed_pipeline(runner, MODES["auto"].parse({}), wary, Policy()).run(frames))
    assert len(looks(found)) > 1
    assert all(frames[index].pict_type != "B" for index in looks(found))


def test_runs_that_begin_at_a_keyframe_decide_alike(
    make_clip: Any, scene: Any, wide: Any, tmp_path: Path, runner: Any
) -> None:
    clip = make_clip(tmp_path / "pan.mp4", scene(2, 48, 5), gop=16, options=wide | {"crf": "35"})
    with open_video(clip) as video:
        frames = list(video)

    def pipeline() -> KeyframePipeline[Any]:
        wary = Predictor(np.zeros(len(CELL_FEATURES), np.float32), offset=-2.0)
        return routed_pipeline(runner, MODES["auto"].parse({}), wary, Policy())

    whole, later = list(pipeline().run(frames)), pipeline()
    for frame in frames[:16]:
        later.skip(frame)
    for found, before in zip(later.run(frames[16:]), whole[16:], strict=True):
        assert found.from_network == before.from_network
        assert found.expected_agreement == before.expected_agreement
        assert np.array_equal(found.labels, before.labels)
    assert len(looks(whole)) > 3


def test_the_command_says_what_the_network_saw_and_what_is_expected(
    stream: Any, cut_clip: Path, tmp_path: Path
) -> None:
    result = stream(cut_clip, "-o", tmp_path / "out.mp4", "--save", "labels", "--stats", tmp_path / "stats.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "stats.json").read_text())
    assert report["mode"] == "auto"
    assert sum(report["network_by_frame"]) == report["network_frames"]
    assert len(report["expected_agreement_by_frame"]) == report["frames"] == 24
    seen, expected = report["network_frames"], report["expected_agreement"]
    assert f"network on {seen} of 24 frames, expected agreement {100 * expected:.1f} %" in result.stderr


@pytest.mark.parametrize("option", [("--quality", "1.5"), ("--budget", "0"), ("--target-fps", "-3")])
def test_impossible_spending(stream: Any, cut_clip: Path, option: tuple[str, str]) -> None:
    result = stream(cut_clip, *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr


def test_a_file_that_is_no_router(tmp_path: Path) -> None:
    file = tmp_path / "x-router.json"
    file.write_text('{"weights": {"one": 1}, "offset": 0, "slope": 1, "kind": "router"}')
    with pytest.raises(InputError, match="other features than this version's"):
        load_predictor(tmp_path / "x.safetensors")
    file.write_text("[]")
    with pytest.raises(InputError, match="is no router's file"):
        load_predictor(tmp_path / "x.safetensors")
    assert load_predictor(tmp_path / "y.safetensors").weights.shape == (len(CELL_FEATURES),)


def test_a_pace_allows_what_the_machine_can_do() -> None:
    pace = Pace(20)
    assert pace.budget == 1
    for _ in range(100):
        pace.add(200, True)
        pace.add(12.5, False)
    assert pace.budget == pytest.approx((50 - 12.5) / (200 - 12.5))
    for _ in range(1000):
        pace.add(60, False)
    assert pace.budget < 1e-6
    policy = Policy(budget=0.3, pace=pace)
    policy.looked()
    assert policy.price() > QUALITY_PRICE

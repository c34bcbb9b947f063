"""Carrying over intra-coded frames: `--at-keyframes bridge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import open_video
from gopseg.pipelines import MODES, Prediction
from gopseg.pipelines.motion.bridging import bridge


def textured(shift: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    world = rng.integers(0, 256, (24, 60)).repeat(8, 0).repeat(8, 1)
    world = np.clip(world + rng.integers(-20, 21, world.shape), 0, 255).astype(np.uint8)
    return world[:, 40 + shift : 360 + shift]


def test_a_shift_and_a_change_of_light_are_found() -> None:
    before = textured(0) // 2 + 40
    field = bridge(before, textured(6) // 2 + 52)
    known = ~field.unreferenced
    assert field.unreferenced.shape == (24, 40)
    assert known.mean() > 0.9
    off = np.abs(field.displacement[known] - (6, 0)).max(1)
    assert np.mean(off < 1) > 0.9


def test_another_scene_is_not_followed() -> None:
    field = bridge(textured(0), textured(0)[::-1, ::-1].copy())
    assert field.unreferenced.mean() > 0.5


def run(clip: Path, runner: Any, choice: str) -> list[Prediction]:
    with open_video(clip, references=True) as video:
        return list(MODES["auto"].pipeline(runner, at_keyframes=choice).run(video))


B_FRAMES = {"bf": "2", "x264-params": "scenecut=0:b-adapt=0:open-gop=0"}


@pytest.fixture(scope="module", params=["vectors", "references"])
def short_gops(request: Any, make_clip: Any, scene: Any, wide: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world that passes by slowly in GOPs of 4, and from frame 16 on another one."""
    options = (wide if request.param == "vectors" else B_FRAMES) | {"crf": "18"}
    images = [*scene(4, 16, 1), *scene(9, 8, 1)]
    folder = tmp_path_factory.mktemp("bridging")
    return Path(make_clip(folder / "short.mp4", images, gop=4, options=options))


def test_keyframes_with_nothing_new_are_not_seen(short_gops: Path, runner: Any) -> None:
    seen, bridged = run(short_gops, runner, "look"), run(short_gops, runner, "bridge")
    assert [each.index for each in seen if each.from_network] == list(range(0, 24, 4))
    looks = [each.index for each in bridged if each.from_network]
    assert {0, 16} <= set(looks), "the first frame, and the other world"
    assert len(looks) <= 4
    truth = [runner.logits(each.frame.image).argmax(2).repeat(4, 0).repeat(4, 1) for each in bridged]
    wrong = [float(np.mean(each.labels != own)) for each, own in zip(bridged, truth, strict=True)]
    assert max(wrong) < 0.1


def test_such_runs_are_not_cut() -> None:
    mode = MODES["auto"]
    assert mode.remembers(mode.parse({"at_keyframes": "bridge"})) == "carries over keyframes"
    assert mode.remembers(mode.parse({})) is None

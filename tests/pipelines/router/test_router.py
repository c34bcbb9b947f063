"""Mode `auto`: the network looks where the codec saw news, and says what it expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import open_video
from gopseg.pipelines import MODES, Prediction

WIDE = {"bf": "0", "refs": "1", "x264-params": "scenecut=0:weightp=0:open-gop=0"}


def scene(seed: int, count: int, speed: int) -> list[np.ndarray]:
    """A textured world of blocks in the network's colours, that passes by at `speed` pixels a frame."""
    rng = np.random.default_rng(seed)
    colours = np.array(((40, 40, 40), (230, 60, 60), (60, 60, 230)))
    blocks = colours[rng.integers(0, 3, (4, 40))].repeat(24, 0).repeat(24, 1)
    world = np.clip(blocks + rng.integers(-12, 13, (96, 960, 1)), 0, 255).astype(np.uint8)
    return [world[:, speed * i : speed * i + 128] for i in range(count)]


@pytest.fixture(scope="module")
def cut_clip(make_clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still scene, and from frame 12 on another, in one GOP of 24 frames."""
    images = scene(0, 12, 0) + scene(1, 12, 0)
    return Path(make_clip(tmp_path_factory.mktemp("router") / "cut.mp4", images, gop=250, options=WIDE | {"crf": "20"}))


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

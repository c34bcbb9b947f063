"""`segment-stream` by compiled loops, and without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from gopseg.codec.motion.field import LOOPS as MOTION_LOOPS
from gopseg.compiled import Loops
from gopseg.pipelines.labels import LOOPS as LABEL_LOOPS


def pictures() -> list[np.ndarray]:
    """A still background with a moving square, then a camera that moves, and a cut between keyframes."""
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 256, (60, 90, 3)).astype(np.uint8), (360, 240), interpolation=cv2.INTER_CUBIC)
    scenes = []
    for number in range(44):
        moved = max(0, number - 24)
        scene = noise[3 * moved % 100 : 3 * moved % 100 + 98, 2 * moved : 2 * moved + 162].copy()
        scene = 255 - scene if number > 34 else scene
        scene[30:70, 4 + 2 * number : 44 + 2 * number] = noise[150:190, 200:240]
        scenes.append(scene)
    return scenes


@pytest.fixture(scope="module")
def still_and_moving(tmp_path_factory: pytest.TempPathFactory, make_clip: Callable[..., Path]) -> Path:
    """44 frames of 98x162, keyframes every 20."""
    return make_clip(tmp_path_factory.mktemp("still") / "still.mp4", pictures(), gop=20)


@pytest.mark.parametrize(("clip", "count"), [("square_clip", 12), ("still_and_moving", 44)])
@pytest.mark.parametrize("mode", ["motion", "auto"])
def test_the_labels_are_the_same(
    mode: str,
    clip: str,
    count: int,
    stream: Callable[..., Result],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not (MOTION_LOOPS.wait() and LABEL_LOOPS.wait()):
        pytest.skip("numba is not installed (extra fast)")
    for when in ("never", "now"):
        monkeypatch.setattr(Loops, "when", when)
        done = stream(request.getfixturevalue(clip), "--mode", mode, "--save", "labels", "-o", f"{when}.mp4")
        assert done.exit_code == 0, done.stderr
    files = [sorted((tmp_path / f"{when}_labels").iterdir()) for when in ("never", "now")]
    assert len(files[0]) == len(files[1]) == count
    for plain, compiled in zip(*files, strict=True):
        assert np.array_equal(np.asarray(Image.open(plain)), np.asarray(Image.open(compiled)))

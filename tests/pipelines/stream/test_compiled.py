"""`segment-stream` by compiled loops, and without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from gopseg.codec.motion.field import LOOPS as MOTION_LOOPS
from gopseg.compiled import Loops
from gopseg.pipelines.labels import LOOPS as LABEL_LOOPS


@pytest.mark.parametrize("mode", ["motion", "auto"])
def test_the_labels_are_the_same(
    mode: str,
    stream: Callable[..., Result],
    square_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not (MOTION_LOOPS.wait() and LABEL_LOOPS.wait()):
        pytest.skip("numba is not installed (extra fast)")
    for when in ("never", "now"):
        monkeypatch.setattr(Loops, "when", when)
        done = stream(square_clip, "--mode", mode, "--save", "labels", "-o", f"{when}.mp4")
        assert done.exit_code == 0, done.stderr
    files = [sorted((tmp_path / f"{when}_labels").iterdir()) for when in ("never", "now")]
    assert len(files[0]) == len(files[1]) == 12
    for plain, compiled in zip(*files, strict=True):
        assert np.array_equal(np.asarray(Image.open(plain)), np.asarray(Image.open(compiled)))

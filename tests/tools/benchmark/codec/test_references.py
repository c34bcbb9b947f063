"""`benchmark-codec references`: that it measures and reports; and that its clip tells what it says."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.tools.benchmark.codec.known_references import LayeredClip
from gopseg.tools.benchmark.main import codec as main


def test_report(tmp_path: Path) -> None:
    world = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 220, 3)).astype(np.uint8), (0, 0), 2)
    for index in range(10):
        cv2.imwrite(str(tmp_path / f"{index}.png"), world[:, 4 * index : 4 * index + 128])
    arguments = ["references", str(tmp_path), "--preset", "veryfast,medium", "--frames", "10", "--repeat", "1"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert (report["size_hw"], report["frames"], set(report["presets"])) == ([96, 128], 10, {"veryfast", "medium"})
    for found in report["presets"].values():
        assert 0.9 < found["attribution"]["right"] <= 1
        assert set(found["psnr_db"]["recovered"]) == {str(d) for d in range(1, 10)}
        assert "B" in found["pict_types"]
        assert set(found["ms_per_frame"]) == {"read", "read_with_references", "and_compose"}


@pytest.mark.parametrize("source", ["missing.mp4", "empty"])
def test_bad_sources(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["references", str(tmp_path / source)])
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def test_layers_move_by_their_offsets() -> None:
    clip = LayeredClip.make(12, (160, 224), seed=1)
    assert np.array_equal(clip.image(3), LayeredClip.make(12, (160, 224), seed=1).image(3))
    pairs = [(a, b) for a in range(12) for b in range(a) if clip.scene[a] == clip.scene[b]]
    assert pairs
    assert {clip.scene[a] for a in range(12)} == {0, 1, 2}
    for a, b in pairs:
        middle = 80 + clip.offsets[a, 1, 1], 112 + clip.offsets[a, 1, 0]
        for layer, (y, x) in enumerate(((20, 30), middle)):
            dx, dy = clip.offsets[b, layer] - clip.offsets[a, layer]
            first = clip.image(a)[y - 8 : y + 8, x - 8 : x + 8]
            second = clip.image(b)[max(0, y + dy - 8) : y + dy + 8, max(0, x + dx - 8) : x + dx + 8]
            if first.shape == second.shape:
                assert np.array_equal(first, second)

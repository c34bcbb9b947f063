"""`benchmark-codec signals`: that its truth is one, and that it counts right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.tools.benchmark.codec import signals as benchmark_signals
from gopseg.tools.benchmark.main import codec as main


def moving(seed: int, count: int, rate: int = 15) -> list[np.ndarray]:
    """A camera over a texture of its own, 64x96."""
    noise = np.random.default_rng(seed).normal(0, 1, (64 + count, 96 + count, 3))
    noise = cv2.GaussianBlur(noise, (0, 0), 2.0)
    world = np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(world[i : i + 64, i : i + 96]) for i in range(count)]


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder like CamVid's, and a video with a cut at frame 20; small, with streets that cost nothing."""
    for name, images in (("val", moving(1, 48)), ("train", [moving(100 + i, 1)[0] for i in range(9)])):
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            cv2.imwrite(str(tmp_path / name / f"{i:03d}.png"), image)
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for image in moving(2, 20) + moving(3, 20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    monkeypatch.setattr(benchmark_signals, "_SIZE_HW", (64, 96))
    monkeypatch.setattr(benchmark_signals, "_street", moving)
    chosen = {name: benchmark_signals.ENCODINGS[name] for name in ("ours, 3 Mb/s", "x264's defaults")}
    monkeypatch.setattr(benchmark_signals, "ENCODINGS", chosen)
    return ["--camvid", str(tmp_path), "--video", str(tmp_path / "film.mp4"), "--cuts", "20"]


def test_every_cut_is_counted_once(material: list[str]) -> None:
    done = CliRunner().invoke(main, ["signals", *material], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    clips = {row["clip"]: row for row in report["clips"] if row["encoding"] == "ours, 3 Mb/s"}
    expected = {"film": 1, "CamVid train stills": 8, "joined scenes": 39, "joined places of one drive": 5}
    for name, row in clips.items():
        for kind in ("with_pixels", "without_pixels"):
            counts = row[kind]
            assert counts["cuts_found"] + counts["cuts_missed"] + counts["cuts_not_judged"] == expected.get(name, 0)
        assert row["with_pixels"]["cuts_not_judged"] == 0
        assert (row["novelty_of_cuts"] is None) == (name not in expected)
    assert clips["CamVid val, 5 Hz"]["frames"] == 16
    assert clips["film"]["with_pixels"]["cuts_found"] == 1
    total = report["total"]["with_pixels"]
    assert total["precision"] == round(total["cuts_found"] / (total["cuts_found"] + total["false_cuts"]), 4)
    assert total["recall"] > 0.9
    assert total["cuts_found"] == sum(counts["cuts_found"] for counts in report["by_clip"].values())


def test_cuts_that_are_no_list_are_refused(material: list[str]) -> None:
    done = CliRunner().invoke(main, ["signals", *material[:-1], "twenty"])
    assert done.exit_code == 2
    assert "'--cuts': 'twenty' are no frames" in done.stderr


def test_too_short_a_val_is_refused(material: list[str], tmp_path: Path) -> None:
    for path in sorted((tmp_path / "val").iterdir())[30:]:
        path.unlink()
    done = CliRunner().invoke(main, ["signals", *material])
    assert done.exit_code == 2
    assert "val has 30 frames" in done.stderr

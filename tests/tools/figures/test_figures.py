"""The documentation's pictures: that the tool draws every one that docs/codec.md shows, small enough to ship."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gopseg.tools.figures import pictures
from gopseg.tools.figures.main import NAMES, main

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The pictures of "streets" that are textures of 96x128 pixels."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra report)")

    def sliding(seed: int, count: int) -> list[np.ndarray]:
        noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (96 + count, 128 + count, 3)), (0, 0), 2.0)
        world = np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)
        return [world[i : i + 96, i : i + 128] for i in range(count)]

    monkeypatch.setattr(pictures, "_street", sliding)
    done = CliRunner().invoke(main, ["-o", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return {path.name: path for path in tmp_path.iterdir()}


def test_every_picture_of_the_page_is_drawn(drawn: dict[str, Path]) -> None:
    shown = set(re.findall(r"\((codec-[\w-]+\.webp)\)", (DOCS / "codec.md").read_text()))
    assert shown == set(drawn)
    for path in drawn.values():
        image = np.asarray(Image.open(path))
        assert image.shape[1] == 1200
        assert image.std() > 10


def test_those_that_are_shipped_are_small() -> None:
    for path in DOCS.glob("*.webp"):
        assert path.stat().st_size < 150_000, path.name


def test_pictures_that_are_there_are_refused_or_kept(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.webp").write_text("precious")
    for arguments, status, text in (([], 2, "give -y to replace it"), (["-n"], 0, "are kept")):
        result = CliRunner().invoke(main, ["-o", str(tmp_path), *arguments])
        assert (result.exit_code, text in result.stderr) == (status, True)
    assert {file.read_text() for file in tmp_path.iterdir()} == {"precious"}

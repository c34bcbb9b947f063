"""`NAME.classes.json` beside label outputs, and reading labels back with other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from gopseg.data import FolderDataset


def test_a_data_set_reads_what_was_labelled(stream: Any, tmp_path: Path, square_clip: Path, square_images: Any) -> None:
    result = stream(square_clip, "--mode", "frame", "--save", "labels,color", "-o", "x.mp4")
    assert result.exit_code == 0, result.stderr
    content = json.loads((tmp_path / "x.classes.json").read_text())
    assert [entry["name"] for entry in content["classes"]] == ["ground", "red", "blue"]
    assert content["void"] == 255
    (tmp_path / "set" / "images").mkdir(parents=True)
    for index, image in enumerate(square_images):
        cv2.imwrite(str(tmp_path / "set" / "images" / f"{index:06d}.png"), image)
    (tmp_path / "x_labels").rename(tmp_path / "set" / "labels")
    (tmp_path / "x.classes.json").rename(tmp_path / "set" / "classes.json")
    dataset = FolderDataset(tmp_path / "set")
    assert dataset.classes == ("ground", "red", "blue")
    labels = np.asarray(Image.open(tmp_path / "set" / "labels" / "000000.png"))
    colours = cv2.cvtColor(cv2.imread(str(tmp_path / "x_color" / "000000.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(dataset.palette.color(labels), colours)
    assert len(dataset.stills("all")) == 12


def test_labels_have_the_colours_of_the_data_set_in_the_models_card(
    stream: Any, tmp_path: Path, square_clip: Path, model_file: Path
) -> None:
    own = [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    model = tmp_path / "own.safetensors"
    model.write_bytes(model_file.read_bytes())
    for palette, expected in (
        (own, own),
        (own[:2], [[128, 0, 0], [0, 128, 0], [128, 128, 0]]),
    ):  # a card that fits or not
        model.with_suffix(".json").write_text(json.dumps({"classes": ["ground", "red", "blue"], "palette": palette}))
        result = stream(square_clip, "--mode", "frame", "--save", "labels", "-o", "x.mp4", "-y", model=model)
        assert result.exit_code == 0, result.stderr
        content = json.loads((tmp_path / "x.classes.json").read_text())
        assert [entry["color"] for entry in content["classes"]] == expected


@pytest.mark.parametrize("kind", ["palette", "gray"])
def test_labels_are_read_back(stream: Any, tmp_path: Path, square_clip: Path, kind: str) -> None:
    options = ("--mode", "frame", "--save", "labels,rle", "-o", "x.mp4")
    assert stream(square_clip, *options, "--labels-format", kind).exit_code == 0
    file = tmp_path / "x_labels" / "000003.png"
    by_pillow = np.asarray(Image.open(file))
    assert (Image.open(file).mode, by_pillow.shape, by_pillow.max() < 3) == (
        "P" if kind == "palette" else "L",
        (64, 96),
        True,
    )
    by_opencv = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if kind == "gray":
        assert np.array_equal(by_opencv, by_pillow)
        return
    classes = json.loads((tmp_path / "x.classes.json").read_text())["classes"]
    colours = np.array([entry["color"] for entry in classes])  # the README's way for OpenCV
    back = (cv2.cvtColor(by_opencv[..., :3], cv2.COLOR_BGR2RGB)[:, :, None] == colours).all(-1).argmax(-1)
    assert np.array_equal(back, by_pillow)


def test_no_list_without_labels(stream: Any, tmp_path: Path, square_clip: Path) -> None:
    assert stream(square_clip, "--mode", "frame", "-o", "x.mp4").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.mp4"]

"""`segment`: the way in for programs, whose labels are those of `segment-stream`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gopseg.codec import SourceError
from gopseg.pipelines import Prediction, StreamUsageError, segment
from gopseg.pipelines.outputs.overlay import Painter
from gopseg.segnet import ModelError

COMMON = {"device": "cpu", "precision": "fp32"}


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, ()),
        ({"mode": "frame", "max_frames": 3}, ("--mode", "frame", "--max-frames", 3)),
        ({"mode": "motion", "interval": 4, "start": 0.1}, ("--mode", "motion", "--interval", 4, "--start", 0.1)),
        ({"mode": "flow", "carry": "features"}, ("--mode", "flow", "--carry", "features")),
        ({"reencode": "always", "gop": 5}, ("--reencode", "always", "--gop", 5)),
    ],
)
def test_labels_are_those_of_the_command(
    stream: Any, tmp_path: Path, model_file: Path, square_clip: Path, options: Any, flags: Any
) -> None:
    result = stream(square_clip, *flags, "--save", "labels", "-o", "x.mp4")
    assert result.exit_code == 0, result.stderr
    written = [np.asarray(Image.open(file)) for file in sorted((tmp_path / "x_labels").iterdir())]
    predictions = list(segment(square_clip, model=model_file, **COMMON, **options))
    assert len(predictions) == len(written)
    assert all(np.array_equal(p.labels, labels) for p, labels in zip(predictions, written, strict=True))


def test_what_a_prediction_says(model_file: Path, square_clip: Path) -> None:
    predictions = list(segment(str(square_clip), mode="motion", model=str(model_file), **COMMON))
    assert [p.index for p in predictions] == list(range(12))
    assert [p.pts_seconds for p in predictions] == [i / 25 for i in range(12)]
    assert [p.pict_type for p in predictions] == ["I", *"PPPPP", "I", *"PPPPP"]
    assert [p.distance for p in predictions] == [i % 6 for i in range(12)]
    assert predictions[5].classes == ("ground", "red", "blue")
    assert predictions[5].timings["warp"] > 0
    assert (predictions[0].from_network, predictions[5].from_network) == (True, False)


def test_overlays_are_the_commands(model_file: Path, square_clip: Path, tmp_path: Path) -> None:
    palette = tmp_path / "p.json"
    palette.write_text('{"ground": [1, 2, 3], "red": [200, 10, 10], "blue": [9, 9, 210]}')
    whole: Prediction = next(segment(square_clip, model=model_file, **COMMON))
    assert np.array_equal(whole.overlay(0.0), whole.frame.image)
    assert whole.overlay().shape == (64, 96, 3)
    own = next(segment(square_clip, model=model_file, palette=str(palette), **COMMON))
    colours = np.array([[1, 2, 3], [200, 10, 10], [9, 9, 210]], np.uint8)
    assert np.array_equal(own.overlay(1.0), colours[own.labels])
    expected = Painter(colours, 0.3).overlay(own.frame.image, own.labels)
    assert np.array_equal(own.overlay(0.3), expected)


def test_frames_are_let_go_of_where_the_caller_stops(model_file: Path, square_clip: Path) -> None:
    predictions = segment(square_clip, model=model_file, mode="frame", **COMMON)
    assert next(predictions).index == 0
    predictions.close()
    assert list(predictions) == []


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        ("nonesuch.mp4", {}, SourceError, "no such file"),
        (None, {"mode": "sideways"}, StreamUsageError, "--mode sideways: unknown"),
        (None, {"mode": "frame", "interval": 3}, StreamUsageError, "--interval: mode frame has no use"),
        (None, {"spices": "many"}, StreamUsageError, "no mode has"),
        (None, {"model": "nonesuch"}, ModelError, "unknown model"),
        (None, {"device": "tpu"}, StreamUsageError, "tpu"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    source: Any, options: Any, error: Any, words: str, model_file: Path, square_clip: Path
) -> None:
    given = {"model": model_file, "mode": "motion", **COMMON, **options}
    with pytest.raises(error, match=words):
        segment(source or square_clip, **given)

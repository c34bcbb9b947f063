"""`train-segnet router`: a predictor for mode auto, from any video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.pipelines import CELL_FEATURES
from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.train.main import main
from gopseg.tools.train.routing import CarriedFrames, fit_predictor, score_predictor
from gopseg.tools.train.routing.fitting import logistic


def made(count: int, seed: int) -> CarriedFrames:
    """Cells that are wrong where they are doubtful, in frames that are more doubtful the farther they were carried."""
    rng = np.random.default_rng(seed)
    distance = np.arange(1, count + 1)
    features = rng.random((count, 50, len(CELL_FEATURES))).astype(np.float32)
    features[..., 0] = 1
    features[..., 2] *= distance[:, None] / count
    chance = 1 / (1 + np.exp(5 - 6 * features[..., 2]))
    return CarriedFrames(
        "made",
        features.reshape(-1, len(CELL_FEATURES)),
        chance.ravel().astype(np.float32),
        np.repeat(np.arange(count), 50),
        chance.mean(1),
        distance,
    )


def test_what_made_cells_wrong_is_found() -> None:
    predictor = fit_predictor([made(40, 0), made(60, 1)])
    assert abs(float(predictor.weights[2]) - 6) < 0.5
    score = score_predictor(predictor, made(50, 2))
    assert score["correlation"] > 0.98
    assert score["off_by"] < 0.005


def test_a_fit_far_from_its_beginning_converges() -> None:
    """A rare feature that decides where it is there: there Newton's full steps go to and fro."""
    rng = np.random.default_rng(1)
    doubt, lost = rng.random(600) ** 4, (rng.random(600) < 0.04).astype(float)
    x = np.stack([np.ones(600), doubt, lost, doubt * lost], 1)
    true = np.array((-7, 9, 1, 8.0))
    scale = np.array((1, *x.std(0)[1:]))
    penalty = np.array((0, 1e-4, 1e-4, 1e-4))
    found = logistic(x / scale, 1 / (1 + np.exp(-x @ true)), np.full(600, 1 / 600), penalty) / scale
    assert np.abs(found - true).max() < 0.1


@pytest.fixture
def square_file(tmp_path: Path) -> Path:
    """12 frames in two GOPs of 6, without B-frames."""
    options = {"bf": "0", "refs": "1", "x264-params": "scenecut=0:weightp=0:open-gop=0"}
    world = np.random.default_rng(0).integers(0, 256, (64, 160, 3), np.uint8)
    with av.open(str(tmp_path / "pan.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 64, 96, "yuv420p", 6
        for i in range(12):
            picture = np.ascontiguousarray(world[:, 4 * i : 4 * i + 96])
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return tmp_path / "pan.mp4"


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    file = tmp_path / "random.safetensors"
    save_model(SwiftNet(("ground", "red", "blue")), file, "swiftnet18")
    return file


def test_the_command(square_file: Path, network_file: Path, tmp_path: Path) -> None:
    file = network_file.with_name("random-router.json")
    call: list[Any] = ["router", square_file, "--check", square_file, "--model", network_file, "--device", "cpu"]
    call += ["--interval", "3", "-o", file]
    result = CliRunner().invoke(main, list(map(str, call)))
    assert result.exit_code == 0, result.output
    record = json.loads(file.read_text())
    assert list(record["weights"]) == list(CELL_FEATURES)
    assert record["fitted"][0]["frames"] == 10 + 8
    assert record["checked"] == record["fitted"]
    again = CliRunner().invoke(main, list(map(str, call)))
    assert again.exit_code == 2
    assert "give -y to replace it" in again.stderr


def test_what_nothing_can_be_fitted_to_is_refused_at_once(
    square_file: Path, network_file: Path, tmp_path: Path
) -> None:
    intra = tmp_path / "intra.mkv"
    with av.open(str(intra), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    for videos, target, words in (
        (
            (square_file, intra),
            tmp_path / "r.json",
            f"'{intra}': FFmpeg exports no motion vectors for this codec; leave",
        ),
        ((square_file, "--check", intra), tmp_path / "r.json", f"'{intra}'"),
        ((square_file,), tmp_path / "none" / "r.json", "its folder is not there"),
    ):
        call = ["router", *videos, "--model", network_file, "--device", "cpu", "-o", target]
        result = CliRunner().invoke(main, list(map(str, call)))
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert words in result.stderr
        assert not target.exists()

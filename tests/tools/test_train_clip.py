"""`train-segnet clip` on a tiny data set of VSPW's shape, made by the synthetic street."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("transformers", reason="the extra segformer is not installed")

from gopseg.data import SyntheticStreet
from gopseg.data.vspw import vspw_sequences
from gopseg.segnet import build_network, load_model
from gopseg.tools.clip_training import ClipTrainer, clip_optimiser
from gopseg.tools.train import main
from gopseg.tools.training import TrainSettings, tensors_of

SETTINGS = TrainSettings(batch=2, crops=((64, 64, 1.0),), epochs=1, precision="fp32", warmup=0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("VSPW_480p")
    for seed, split in enumerate(("train", "val")):
        for part in ("origin", "mask"):
            (root / "data" / split / part).mkdir(parents=True)
        for index, (image, labels) in enumerate(SyntheticStreet(seed, (64, 96)).frames(11)):
            cv2.imwrite(str(root / "data" / split / "origin" / f"{index:08d}.jpg"), image[..., ::-1])
            cv2.imwrite(str(root / "data" / split / "mask" / f"{index:08d}.png"), labels + np.uint8(1))
        (root / f"{split}.txt").write_text(f"{split}\n")
    return root


def trainer(root, folder):
    torch.manual_seed(0)
    network = build_network("mrcfa-b0", 124)
    videos = vspw_sequences(root, "train")
    return ClipTrainer(network, videos, vspw_sequences(root, "val")[:1], SETTINGS, folder, repeat=4)


def test_clips_are_one_scene(root, tmp_path):
    made = trainer(root, tmp_path)
    images, labels = made.batch(0)
    assert images.shape == (2, 4, 64, 64, 3)
    assert labels.shape == (2, 4, 64, 64)
    again = made.batch(0)
    assert torch.equal(again[0], images)
    # One view and one set of colours: the sky, which hardly changes, looks the same in all four frames.
    same = (labels == labels[:, :1]).float().mean()
    assert same > 0.5
    assert torch.isfinite(made.loss(*made.batch(1)))


def test_the_average_follows_every_tensor(root, tmp_path):
    made = trainer(root, tmp_path)
    with torch.no_grad():
        for parameter in made.bare.parameters():
            parameter += 1
    before = [tensor.clone() for tensor in made.average.parameters()]
    made.update_average()
    assert all(not torch.equal(a, b) for a, b in zip(before, made.average.parameters(), strict=True))
    assert len(list(tensors_of(made.average))) >= len(before)


def test_the_head_learns_faster_and_norms_are_not_decayed():
    network = build_network("mrcfa-b0", 5)
    groups = clip_optimiser(network, TrainSettings(lr=1.0, weight_decay=0.5)).param_groups
    found = {id(p): (group["base_lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    named = dict(network.named_parameters())
    assert len(found) == len(named)
    for name, parameter in named.items():
        expected = (10.0, 0.5) if name.startswith("decode_head") else (1.0, 0.0 if "norm" in name else 0.5)
        assert found[id(parameter)] == expected, name


def test_the_command(root, tmp_path):
    options = ["--epochs", "1", "--repeat", "2", "--batch", "2", "--crop", "64x64", "--warmup", "0"]
    result = CliRunner().invoke(main, ["clip", "--root", str(root), "-o", str(tmp_path / "run"), *options])
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "run" / "best.json").read_text())
    assert card["steps"] == 1
    assert 0 <= card["metrics"]["vc8_val"] <= 1
    assert load_model(tmp_path / "run" / "best.safetensors").classes[18] == "road"


def test_a_folder_that_is_no_vspw_is_refused(tmp_path):
    result = CliRunner().invoke(main, ["clip", "--root", str(tmp_path), "-o", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "train.txt" in result.output

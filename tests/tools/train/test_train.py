import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.segnet import Supervised, build_network, load_network
from gopseg.tools.train.loop.optimiser import lr_factor
from gopseg.tools.train.loop.settings import TrainSettings
from gopseg.tools.train.main import main
from gopseg.tools.train.trainers.image import crop_at

ARGS = ["--crop", "64x96", "--batch", "2", "--validate-every", "1", "--precision", "fp32", "--seed", "3"]


@pytest.fixture(scope="module")
def tiny_camvid(tmp_path_factory):
    """Six frames whose top is sky and whose bottom is road, in the SegNet layout."""
    root = tmp_path_factory.mktemp("camvid")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        (root / split).mkdir()
        (root / f"{split}annot").mkdir()
        for i in range(count):
            horizon = int(rng.integers(24, 40))
            labels = np.full((64, 96), 3, np.uint8)
            labels[:horizon] = 0
            labels[-2:] = 11
            image = np.where(labels[..., None] == 0, (230, 180, 140), (70, 70, 75)) + rng.integers(0, 20, (64, 96, 3))
            cv2.imwrite(str(root / split / f"{i}.png"), image.astype(np.uint8))
            cv2.imwrite(str(root / f"{split}annot" / f"{i}.png"), labels)
    return root


def train(root, output, *arguments):
    result = CliRunner().invoke(main, ["hr", "--root", str(root), "-o", str(output), *ARGS, *arguments])
    assert result.exit_code == 0, result.output
    return torch.load(output / "last.pt", weights_only=True)


def test_a_killed_run_goes_on_exactly(tiny_camvid, tmp_path, monkeypatch):
    """Killed between two steps after a checkpoint, then resumed: the same weights as the run that was left alone."""
    whole = train(tiny_camvid, tmp_path / "whole", "--epochs", "3")
    from gopseg.tools.train.loop import trainer as training

    original, calls = training.Trainer.train_step, []

    def dies(self, batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(training.Trainer, "train_step", dies)
    arguments = ["hr", "--root", str(tiny_camvid), "-o", str(tmp_path / "cut"), *ARGS, "--epochs", "3"]
    assert CliRunner().invoke(main, arguments).exit_code != 0
    monkeypatch.undo()
    resumed = train(tiny_camvid, tmp_path / "cut", "--epochs", "3", "--resume")
    for part in ("model", "average"):
        for key, value in whole[part].items():
            torch.testing.assert_close(resumed[part][key], value, rtol=0, atol=0, msg=key)
    assert resumed["progress"]["step"] == whole["progress"]["step"] == 6
    card = json.loads((tmp_path / "cut" / "best.json").read_text())
    assert card["metrics"]["miou_val"] == resumed["progress"]["best_miou"]
    network = load_network(tmp_path / "cut" / "best.safetensors")
    assert network.classes[3] == "road"


def test_the_loss_falls(tiny_camvid, tmp_path):
    state = train(tiny_camvid, tmp_path / "run", "--epochs", "10", "--warmup", "4")
    losses = [entry["loss"] for entry in state["progress"]["history"]]
    assert min(losses[-3:]) < 0.5 * losses[0]


def test_an_existing_run_is_refused_without_resume(tiny_camvid, tmp_path):
    (tmp_path / "last.pt").touch()
    result = CliRunner().invoke(main, ["hr", "--root", str(tiny_camvid), "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "--resume" in result.output


def test_resuming_where_there_is_nothing_says_so(tiny_camvid, tmp_path):
    arguments = ["hr", "--root", str(tiny_camvid), "-o", str(tmp_path / "run"), *ARGS, "--epochs", "1", "--resume"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert f"--resume: '{tmp_path / 'run'}' holds no checkpoint yet; starting from the beginning" in result.stderr
    (tmp_path / "run" / "last.pt").unlink()
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "holds best.safetensors but no last.pt to continue from" in result.stderr


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_batch_too_small_for_batch_norm_is_refused_in_a_line(precision, tiny_camvid, tmp_path):
    small = ["--crop", "32x32", "--batch", "1", "--epochs", "1", "--precision", precision]
    result = CliRunner().invoke(main, ["hr", "--root", str(tiny_camvid), "-o", str(tmp_path / "run"), *small])
    assert result.exit_code == 2
    assert "single value per channel; give a larger --batch, or larger pictures (--crop)" in result.stderr


def test_a_folder_that_is_no_camvid_is_refused_in_one_line(tmp_path):
    result = CliRunner().invoke(main, ["hr", "--root", str(tmp_path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "train" in result.output
    assert "Traceback" not in result.output


def test_schedules():
    flat = TrainSettings(warmup=10, decay_share=0.5)
    assert lr_factor(flat, 0, 100) == pytest.approx(0.1)
    assert lr_factor(flat, 50, 100) == 1.0
    assert lr_factor(flat, 75, 100) == pytest.approx(0.5)
    assert lr_factor(flat, 100, 100) == pytest.approx(0)
    poly = TrainSettings(schedule="poly", warmup=1)
    assert lr_factor(poly, 50, 100) == pytest.approx(0.5**0.9)
    crops = ((32, 32, 0.25), (64, 64, 0.75))
    assert crop_at(crops, 0.2) == (32, 32)
    assert crop_at(crops, 0.25) == (64, 64)
    assert crop_at(crops, 1.0) == (64, 64)


def test_a_networks_own_auxiliary_heads_are_trained():
    """ETC's PSPNet-18 has one on its third stage; SwiftNet gets linear ones on its coarser maps."""
    images = torch.zeros(2, 3, 32, 40)
    own = build_network("etc-psp18", 3)
    for deep, count in ((True, 2), (False, 1)):
        p, outputs = Supervised(own, deep=deep)(images)
        assert [o.shape for o in outputs] == [(2, 3, 4, 5)] * count
        assert p.shape == (2, 256, 4, 5)
    swift = build_network("swiftnet18", 3)
    assert len(Supervised(swift)(images)[1]) == 4

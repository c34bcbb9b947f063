import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.data.datasets.camvid import CamVid
from gopseg.data.datasets.sequences import Clip
from gopseg.preprocess.main import main as preprocess
from gopseg.segnet import (
    PropagationLoss,
    PropagationModel,
    PropagationSettings,
    SwiftNet,
    load_propagation,
    save_model,
)
from gopseg.segnet.propagation.training import PRESETS
from gopseg.tools.train.loop import trainer as training
from gopseg.tools.train.loop.settings import TrainSettings
from gopseg.tools.train.main import main
from gopseg.tools.train.propagation import parse_distances
from gopseg.tools.train.samples.validation_clips import encode_clip
from gopseg.tools.train.trainers.propagation_trainer import PropagationTask, PropagationTrainer

ARGS = "--batch 2 --steps-per-epoch 3 --validate-every 1 --precision fp32 --seed 3 --width 8 --stride 8 --warmup 1"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A CamVid of a grey road under a sky whose horizon sinks, its frames as a labelled video, and a random network."""
    root = tmp_path_factory.mktemp("camvid")
    texture = np.random.default_rng(0).integers(0, 60, (64, 96, 3))
    for split, count in (("train", 10), ("val", 13)):
        (root / split).mkdir()
        (root / f"{split}annot").mkdir()
        for i in range(count):
            labels = np.full((64, 96), 3, np.uint8)
            labels[: 24 + i] = 0
            image = np.where(labels[..., None] == 0, 190, 20) + np.roll(texture, i, 0)
            cv2.imwrite(str(root / split / f"{i:02d}.png"), image.astype(np.uint8))
            cv2.imwrite(str(root / f"{split}annot" / f"{i:02d}.png"), labels)
    clips = root / "clips"
    data = CamVid(root)
    (drive,) = data.sequences("train")
    encode_clip(Clip(drive, 0, len(drive), 12, tuple(range(len(drive)))), clips, data.frame_rate, 750_000, data.palette)
    torch.manual_seed(0)
    save_model(SwiftNet(CamVid.classes), root / "hr.safetensors", "swiftnet18")
    return root


def call(world, output, *arguments):
    fixed = ["--root", world, "--hr", world / "hr.safetensors", "--clips", world / "clips", "-o", output]
    return CliRunner().invoke(main, ["propagation", *map(str, fixed), *ARGS.split(), *arguments])


def train(world, output, *arguments):
    result = call(world, output, *arguments)
    assert result.exit_code == 0, result.output
    return torch.load(output / "last.pt", weights_only=True)


def test_dense_clips_are_trained_on_as_well(world, tmp_path):
    clips = tmp_path / "clips"
    arguments = ["clips", "--root", str(world), "--split", "val", "-o", str(clips), "--gop", "4"]
    assert CliRunner().invoke(preprocess, arguments).exit_code == 0
    train(world, tmp_path / "run", "--epochs", "1", "--clips", str(clips))
    data = json.loads((tmp_path / "run" / "best.json").read_text())["data"]
    assert data == ["1 labelled videos in clips", "4 labelled videos in clips"]


def test_a_killed_run_goes_on_exactly_and_sees_each_picture_once(world, tmp_path, monkeypatch):
    cache = tmp_path / "seen"
    common = ["--epochs", "2", "--cache", str(cache), "--distillation", "10", "--evidence", "0.7"]
    whole = train(world, tmp_path / "whole", *common)
    seen = {file.name: file.stat().st_mtime_ns for file in cache.iterdir()}
    original, calls = training.Trainer.train_step, []

    def dies(self, batch):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(training.Trainer, "train_step", dies)
    assert call(world, tmp_path / "cut", *common).exit_code != 0
    monkeypatch.undo()
    resumed = train(world, tmp_path / "cut", *common, "--resume")
    for key, value in whole["average"].items():
        torch.testing.assert_close(resumed["average"][key], value, rtol=0, atol=0, msg=key)
    assert {file.name: file.stat().st_mtime_ns for file in cache.iterdir()} == seen
    model = load_propagation(tmp_path / "cut" / "best.safetensors")
    assert (model.settings.flow, model.settings.recursive, model.settings.refining) == ("motion", False, True)
    card = json.loads((tmp_path / "cut" / "best.json").read_text())
    assert model.settings.evidence == card["form"]["evidence"] == 0.7
    assert card["distances"] == list(range(1, 10))
    assert card["metrics"]["miou_val"] == resumed["progress"]["best_miou"]


def test_the_loss_falls(world, tmp_path):
    state = train(world, tmp_path / "run", "--epochs", "8", "--lr", "0.01", "--distances", "4-8", "--views", "1")
    losses = [entry["loss"] for entry in state["progress"]["history"]]
    assert min(losses[-3:]) < 0.8 * losses[0]


@pytest.mark.parametrize(("preset", "flow"), [("code", "light"), ("paper", "motion"), ("clean", "light")])
def test_every_form_trains(preset, flow, world, tmp_path):
    state = train(world, tmp_path / "run", "--epochs", "1", "--preset", preset, "--flow", flow, "--no-edges")
    model = load_propagation(tmp_path / "run" / "best.safetensors")
    assert (model.settings.flow, model.settings.recursive) == (flow, flow == "light")
    assert model.settings.edges is None
    assert model.settings.softmax == (preset == "clean")
    if preset != "clean":
        recipe, groups = PRESETS[preset], state["optimiser"]["param_groups"]
        assert [group["base_lr"] for group in groups][:2] == [recipe.lr, recipe.lr_guide]
        assert groups[0]["nesterov"] == recipe.nesterov
    fresh, trained = model.state_dict(), state["model"]
    moved = [key for key in fresh if key.startswith("flow.") and f"clip.model.{key}" in trained]
    assert bool(moved) == (flow == "light")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--distances", "0-3"], "from 1 on"),
        (["--distances", "10-11"], "distance of 9 only"),
        (["--distances", "near"], "'near' is no list"),
        (["--flow", "sonar"], "unknown motion source 'sonar'"),
    ],
)
def test_bad_options(arguments, words, world, tmp_path):
    result = call(world, tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_distances():
    assert parse_distances("1-3,8,2") == (1, 2, 3, 8)


def test_the_keyframe_network_goes_where_the_trainer_is(tmp_path):
    class Network(torch.nn.Module):
        def to(self, device):
            self.moved = device
            return self

    form = PropagationSettings(classes=("a", "b"), flow="motion", recursive=False)
    source = SimpleNamespace(seen=SimpleNamespace(network=Network()), settings=form)
    task = PropagationTask(PropagationModel(form), PropagationLoss(None), photometric=0.0)
    settings = TrainSettings(precision="fp32")
    trainer = PropagationTrainer(task, source, [], settings, tmp_path, distances=(1,), steps_per_epoch=1)
    assert source.seen.network.moved == trainer.device

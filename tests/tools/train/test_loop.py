"""The loop: stopping on request, fp16, timed precision, errors in a line."""

from __future__ import annotations

import json
import os
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gopseg.data import Sample
from gopseg.segnet import FLOW_SOURCES, FLOWS, FUSIONS, PRESETS, build_network
from gopseg.tools.train import ar, hr, propagation
from gopseg.tools.train.loop import interruption, precision
from gopseg.tools.train.loop import trainer as training
from gopseg.tools.train.loop.precision import CHOICES, Precision, fastest_precision
from gopseg.tools.train.loop.settings import TrainSettings
from gopseg.tools.train.main import main
from gopseg.tools.train.trainers.image import ImageSettings, ImageTrainer

CPU = torch.device("cpu")
OWN = ImageSettings(crops=((32, 48, 1.0),))


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    shape = (32, 48)
    return [
        Sample(str(i), rng.integers(0, 255, (*shape, 3), np.uint8), np.full(shape, i % 3, np.uint8)) for i in range(4)
    ]


def trainer(samples, folder, arch="swiftnet18", **settings):
    torch.manual_seed(0)
    settings = {"batch": 2, "epochs": 3, "precision": "fp32", "warmup": 0} | settings
    return ImageTrainer(build_network(arch, 3), samples, samples[:1], TrainSettings(**settings), OWN, folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_leaves_a_checkpoint(number, samples, tmp_path, monkeypatch):
    """In the middle of an epoch; resumed, it goes on exactly as if it had not been stopped."""
    whole = trainer(samples, tmp_path)
    assert whole.run(lambda *_: None)
    original = training.Trainer.train_step

    def told(self, batch):
        if self.progress.step == 2:
            os.kill(os.getpid(), number)
        return original(self, batch)

    before = signal.getsignal(number)
    monkeypatch.setattr(training.Trainer, "train_step", told)
    cut = trainer(samples, tmp_path)
    assert not cut.run(lambda *_: None)
    assert signal.getsignal(number) == before
    monkeypatch.undo()
    resumed = trainer(samples, tmp_path)
    resumed.load(tmp_path / "last.pt")
    assert resumed.progress.step == 3
    assert resumed.run(lambda *_: None)
    for part in ("module", "average"):
        for key, value in getattr(whole, part).state_dict().items():
            torch.testing.assert_close(getattr(resumed, part).state_dict()[key], value, rtol=0, atol=0, msg=key)


def test_a_second_signal_ends_at_once_but_an_echo_of_the_first_does_not(monkeypatch):
    with interruption.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.made
        monkeypatch.setattr(interruption, "PATIENCE", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_fp16_goes_on_with_its_scale_and_is_read_into_main_memory(samples, tmp_path, monkeypatch):
    begun = trainer(samples, tmp_path, precision="fp16")
    begun.scaler.scale(torch.ones(()))
    begun.scaler.update(512.0)
    begun.train_step(begun.batch(0))
    begun.save(tmp_path / "last.pt")
    read, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: read.append(k["map_location"]) or load(*a, **k))
    resumed = trainer(samples, tmp_path, precision="fp16")
    resumed.load(tmp_path / "last.pt")
    assert read == ["cpu"]
    assert resumed.scaler.state_dict() == begun.scaler.state_dict()
    assert resumed.scaler.get_scale() == 512


def test_a_checkpoint_of_another_training_is_refused_in_a_line(samples, tmp_path):
    trainer(samples, tmp_path).save(tmp_path / "last.pt")
    for other in ("etc-psp18", "swiftnet18-pyramid"):
        with pytest.raises(training.InputError, match="does not fit this training"):
            trainer(samples, tmp_path, arch=other).load(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(b"")
    with pytest.raises(training.InputError, match="does not fit this training"):
        trainer(samples, tmp_path).load(tmp_path / "last.pt")


@pytest.mark.parametrize("best", CHOICES, ids=str)
def test_the_fastest_precision_is_taken(best, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    counts = dict.fromkeys(CHOICES, 0)

    def step(choice):
        """The first of the best one also prepares its kernels, and is slower than the others'."""
        counts[choice] += 1
        clock.now += (1.0 if choice == best else 3.0) + 5 * (counts[choice] == 1 and choice == best)

    found, seconds = fastest_precision(step, CPU)
    assert found == best
    assert seconds[str(best)] == 1.0


def test_a_hopeless_precision_is_given_up(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    steps = []

    def step(choice):
        steps.append(choice)
        clock.now += 100.0 if choice.name == "bf16" else 1.0

    assert fastest_precision(step, CPU)[0].name == "fp32"
    assert [choice.name for choice in steps] == ["fp32"] * 6 + ["bf16"] * 2


def test_auto_times_real_steps_and_a_resumed_run_takes_what_was_found(samples, tmp_path, monkeypatch):
    begun = trainer(samples, tmp_path, precision="auto")
    before = {key: value.clone() for key, value in begun.module.state_dict().items()}
    assert begun.precision in CHOICES
    assert begun.timings.keys() == {str(choice) for choice in CHOICES}
    for key, value in begun.module.state_dict().items():
        assert torch.equal(before[key], value), key  # timing leaves no trace
    begun._precision = Precision("bf16", channels_last=False)
    assert begun.model.network.backbone.layer1[0].conv1.weight.is_contiguous()
    begun.save(tmp_path / "last.pt")
    resumed = trainer(samples, tmp_path, precision="auto")
    monkeypatch.setattr(resumed, "timed_precision", None)
    resumed.load(tmp_path / "last.pt")
    assert (resumed.precision, resumed.timings) == (begun.precision, begun.timings)
    told = trainer(samples, tmp_path)
    told.load(tmp_path / "last.pt")
    assert told.precision == Precision("fp32")


@pytest.mark.parametrize(("arch", "heads"), [("gsvnet-bise18", "heads.0."), ("camvid-psp18", "classifier.")])
def test_published_auxiliary_heads_learn(arch, heads, samples, tmp_path):
    made = trainer(samples, tmp_path, arch=arch)
    made.train_step(made.batch(0))
    found = {key: p.grad for key, p in made.network.named_parameters() if key.startswith(heads)}
    assert found
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in found.values())


def command(tmp_path, samples):
    root = tmp_path / "mine"
    classes = [{"name": name, "color": [60 * i, 0, 0]} for i, name in enumerate("abc")]
    for split in ("train", "val"):
        for part in ("images", "labels"):
            (root / split / part).mkdir(parents=True)
        for sample in samples:
            Image.fromarray(sample.image).save(root / split / "images" / f"{sample.name}.png")
            Image.fromarray(sample.labels).save(root / split / "labels" / f"{sample.name}.png")
    (root / "classes.json").write_text(json.dumps(classes))
    options = ["--batch", "2", "--epochs", "1", "--crop", "32x48", "--warmup", "0"]
    return ["hr", "--dataset", str(root), "-o", str(tmp_path / "run"), *options]


def test_stopping_says_how_to_go_on(samples, tmp_path, monkeypatch):
    original = training.Trainer.train_step
    monkeypatch.setattr(
        training.Trainer,
        "train_step",
        lambda self, batch: (os.kill(os.getpid(), signal.SIGINT), original(self, batch))[1],
    )
    result = CliRunner().invoke(main, command(tmp_path, samples))
    assert result.exit_code == 130, result.output
    assert "continue with the same command and --resume" in result.output
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["progress"]["step"] == 1


def test_out_of_memory_is_one_line(samples, tmp_path, monkeypatch):
    def full(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. GPU 0 has ...")

    monkeypatch.setattr(training.Trainer, "train_step", full)
    result = CliRunner().invoke(main, [*command(tmp_path, samples), "--precision", "fp32"])
    assert result.exit_code == 1
    assert "Error: out of memory (CUDA out of memory); take a smaller" in result.output


def test_a_missing_extra_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    result = CliRunner().invoke(main, ["hr", "--root", str(tmp_path), "-o", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert result.output == "Error: training needs accelerate: pip install 'gopseg[train]'\n"


def test_choices_are_segnets():
    assert ("codec", *FLOWS) == hr.FLOW_CHOICES
    assert ar.FUSION_CHOICES == FUSIONS
    assert tuple(PRESETS) == propagation.PRESET_CHOICES
    assert ("motion", *FLOW_SOURCES) == propagation.MOTION_CHOICES

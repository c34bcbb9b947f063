"""`evaluate-segnet` on data sets that gopseg does not know: a new one by its module and a line, and a folder."""

import json
import textwrap

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.data import DATASETS
from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.evaluate import evaluating
from gopseg.tools.evaluate.main import main

SIZE = (64, 96)

TOY = '''
from fractions import Fraction

from gopseg.data import Dataset, LabelledImages, LabelledSequence, Palette, read_labels


class Toy(Dataset):
    """Three classes; a split is a folder of frames beside one of labels."""

    name = "toy"
    title = "The toy"
    palette = Palette.of({"ground": (10, 20, 30), "sky": (40, 50, 60), "thing": (70, 80, 90)})
    frame_rate = Fraction(10)
    licence = "Trained on nothing."
    splits = ("val",)

    def stills(self, split):
        return self.sequences(split)[0].stills()

    def sequences(self, split):
        images = sorted((self.root / split).glob("*.png"))
        labels = {i: path.with_suffix(".label.pgm") for i, path in enumerate(images)}
        return [LabelledSequence(split, images, labels, read_labels, {})]
'''


def labels_of(index):
    labels = np.full(SIZE, 1, np.uint8)
    labels[30 + index :], labels[:4] = 0, 255
    return labels


def write_frames(folder, count, label_name):
    for i in range(count):
        labels = labels_of(i)
        image = np.repeat((60 + 100 * (labels == 1))[..., None], 3, 2).astype(np.uint8)
        for path, array in ((folder[0] / f"{i}.png", image), (folder[1] / label_name(i), labels)):
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), array)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that always says ground, which is its class 2; its classes are the toy's in another order."""
    network = SwiftNet(("Thing", "sky", "ground"))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        [bias] = [value for value in network.parameters() if value.shape == (3,)]
        bias[2] = 1
    file = tmp_path_factory.mktemp("weights") / "ground.safetensors"
    save_model(network, file, "swiftnet18")
    return file


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A data set of three frames: its module, its line, its files."""
    (tmp_path / "toy_dataset.py").write_text(textwrap.dedent(TOY))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(DATASETS, "toy", "toy_dataset:Toy")
    write_frames((tmp_path / "toy" / "val",) * 2, 3, lambda i: f"{i}.label.pgm")
    return tmp_path / "toy"


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in ("--precision", "fp32", *arguments)])


def confusion(*frames):
    """What a network that always says ground scores on these frames."""
    truth = np.stack([labels_of(i) for i in frames])
    counts = np.zeros((3, 3), int)
    counts[:2, 0] = (truth == 0).sum(), (truth == 1).sum()
    return counts


def test_a_new_data_set_is_one_module_and_one_line(toy, weights, tmp_path):
    """And a recording shorter than a GOP is scored as far as it goes."""
    result = call("--dataset", "toy", "--root", toy, "--model", weights, "--modes", "frame,motion", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["settings"]["classes"] == ["ground", "sky", "thing"]
    assert (report["settings"]["frame_rate"], report["settings"]["frames"]) == (10.0, 3)
    for record in report["modes"]:
        # Encoded from frame 0, 1 and 2 on, frame i is seen i + 1 times.
        np.testing.assert_array_equal(record["confusion"], confusion(0, 1, 1, 2, 2, 2))
        assert record["miou_d"][3:] == 9 * [None]
        assert record["miou_mean"] == pytest.approx(np.mean(record["miou_d"][:3]))
        assert record["iou"][2] is None
    page = (tmp_path / "report.html").read_text()
    assert "The toy val: accuracy by distance" in page
    assert "rgb(40 50 60)" in page  # sky, in the toy's colour
    assert (tmp_path / "toy-swiftnet18-1.0x-resolution-exp-GOP12-3M-evaluation.txt").is_file()


def test_one_frame_is_enough(toy, weights, tmp_path):
    arguments = ("--dataset", "toy", "--root", toy, "--model", weights, "--limit", 1, "--by-interval", "-o", tmp_path)
    result = call(*arguments, "--modes", "motion")
    assert result.exit_code == 0, result.output
    [record] = json.loads((tmp_path / "report.json").read_text())["modes"]
    np.testing.assert_array_equal(record["confusion"], confusion(0))
    assert record["gflops_per_frame"] > 0


def test_a_folder_of_ones_own(weights, tmp_path):
    root = tmp_path / "yard"
    write_frames((root / "images", root / "labels"), 2, lambda i: f"{i}.png")
    colours = {"ground": [1, 2, 3], "sky": [4, 5, 6], "thing": [7, 8, 9]}
    (root / "classes.json").write_text(json.dumps(colours))
    result = call("--dataset", root, "--model", weights, "--stills", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    np.testing.assert_array_equal(report["modes"][0]["confusion"], confusion(0, 1))
    assert (report["settings"]["dataset"], report["settings"]["split"]) == ("yard", "all")
    result = call("--dataset", root, "--model", weights)
    assert result.exit_code == 2
    assert 'add "frame_rate" to classes.json' in result.output
    result = call("--dataset", root, "--model", "swiftnet18-camvid", "--stills")
    assert result.exit_code == 2
    assert "it lacks ground, thing; it also has building" in result.output


def test_reports_are_replaced_only_on_demand(toy, weights, tmp_path):
    arguments = ("--dataset", "toy", "--root", toy, "--model", weights, "--stills", "-o", tmp_path)
    assert call(*arguments).exit_code == 0
    before = (tmp_path / "report.json").stat().st_mtime_ns
    refused = call(*arguments)
    assert refused.exit_code == 2
    assert "give -y to replace it" in refused.output
    assert call(*arguments, "-n").exit_code == 0
    assert (tmp_path / "report.json").stat().st_mtime_ns == before
    assert call(*arguments, "-y").exit_code == 0
    assert (tmp_path / "report.json").stat().st_mtime_ns > before
    assert not list(tmp_path.glob(".*part*"))
    taken = call(*arguments[:-1], tmp_path / "report.json")
    assert taken.exit_code == 2
    assert "is a file" in taken.output


def test_labels_of_another_size_are_named(toy, weights):
    assert cv2.imwrite(str(toy / "val" / "1.label.pgm"), np.zeros((32, 96), np.uint8))
    result = call("--dataset", "toy", "--root", toy, "--model", weights, "--gop", 2)
    assert result.exit_code == 2
    assert "the labels of '1' are 96x32 pixels, its frame is 96x64; make them equal" in result.output
    result = call("--dataset", "toy", "--root", toy, "--model", weights, "--stills")
    assert result.exit_code == 2
    assert "1.label.pgm' is 96x32 pixels" in result.output


def test_a_fault_is_no_bad_input(toy, weights, monkeypatch):
    def broken(*_, **__):
        raise ValueError("axes do not match")

    monkeypatch.setattr(evaluating, "open_protocol", broken)
    result = call("--dataset", "toy", "--root", toy, "--model", weights)
    assert result.exit_code == 1
    assert "axes do not match" in result.output
    assert "report it" in result.output


def test_models_of_transformers_are_scored(toy, tmp_path):
    transformers = pytest.importorskip("transformers", reason="the extra segformer is not installed")
    names = dict(enumerate(("sky", "thing", "ground")))
    config = transformers.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        id2label=names,
        label2id={name: i for i, name in names.items()},
    )
    torch.manual_seed(0)
    folder = tmp_path / "tiny"
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    means = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "do_resize": False}
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "SegformerImageProcessor", "do_normalize": True, **means})
    )
    arguments = ("--dataset", "toy", "--root", toy, "--model", f"hf:{folder}", "--gop", 2, "-o", tmp_path / "out")
    result = call(*arguments, "--modes", "frame,motion")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["settings"]["weights_sha256"][f"hf:{folder}"]) == 64
    assert (tmp_path / "out" / "toy-tiny-motion-resolution-exp-GOP2-3M-evaluation.txt").is_file()
    assert np.sum(report["modes"][0]["confusion"]) == (3 + 2) * 60 * 96

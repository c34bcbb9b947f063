"""Every training takes any data set, with its own classes; labels and networks of other classes are refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.data import CamVid, CamVid12, SyntheticStreet, open_dataset
from gopseg.data.datasets.sequences import Clip, LabelledSequence
from gopseg.errors import InputError
from gopseg.segnet import SwiftNet, build_network, load_ar, load_network, save_model
from gopseg.tools.train.main import main
from gopseg.tools.train.samples import check_network
from gopseg.tools.train.samples.fusion_samples import find_sources
from gopseg.tools.train.samples.validation_clips import encode_clip, validation_clips, validation_videos

NAMES = ("sky", "road", "rest")
FAST = "--batch 2 --epochs 1 --validate-every 1 --precision fp32 --warmup 1".split()  # noqa: SIM905
OPTIONS = {
    "hr": ["--crop", "32x48"],
    "lr": ["--crop", "64x96"],
    "ar": ["--steps-per-epoch", "1"],
    "propagation": ["--steps-per-epoch", "1", "--width", "8", "--stride", "8"],
    "clip": ["--crop", "32x48", "--repeat", "2", "--scale", "0.5", "1"],
}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings with three classes, frames and labels in folders; the first as a labelled video, and a network."""
    root = tmp_path_factory.mktemp("world") / "mine"
    for split, seed, count in (("train", 1, 12), ("val", 2, 3)):
        for part in ("images", "labels"):
            (root / split / part).mkdir(parents=True)
        for i, (image, labels) in enumerate(SyntheticStreet(seed, (64, 96)).frames(count)):
            three = np.select([labels == 0, labels == 3], [0, 1], 2).astype(np.uint8)
            cv2.imwrite(str(root / split / "images" / f"{i:02d}.png"), image[..., ::-1])
            cv2.imwrite(str(root / split / "labels" / f"{i:02d}.png"), three)
    classes = [{"name": name, "color": [80 * i, 0, 0]} for i, name in enumerate(NAMES)]
    (root / "classes.json").write_text(json.dumps({"classes": classes, "frame_rate": 15}))
    data = open_dataset(root)
    (drive,) = data.sequences("train")
    encode_clip(Clip(drive, 0, 12, 12, tuple(range(12))), root.parent / "gops", Fraction(15), 750_000, data.palette)
    torch.manual_seed(0)
    save_model(SwiftNet(NAMES), root.parent / "hr.safetensors", "swiftnet18")
    return root


def train(command: str, mine: Path, output: Path, *arguments: str) -> str:
    fixed = ["--dataset", str(mine), "-o", str(output), *FAST, *OPTIONS[command], *arguments]
    if command in ("lr", "ar", "propagation"):
        fixed += ["--hr", str(mine.parent / "hr.safetensors")]
    if command in ("ar", "propagation"):
        fixed += ["--clips", str(mine.parent / "gops")]
    if command == "clip":
        pytest.importorskip("transformers", reason="the extra segformer is not installed")
    result = CliRunner().invoke(main, [command, *fixed])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", OPTIONS)
def test_a_data_set_of_the_users_own(command: str, mine: Path, tmp_path: Path) -> None:
    """`val` has three frames: too few to begin a second clip with the seventh."""
    output = train(command, mine, tmp_path / "run")
    assert "training in fp32, channels-last on cpu" in output
    card = json.loads((tmp_path / "run" / "best.json").read_text())
    assert card["classes"] == list(NAMES)
    assert card["dataset"] == card["dataset"].lower() == "mine"
    assert card["precision"] == {"type": "fp32", "channels_last": True}
    assert 0 <= card["metrics"]["miou_val"] <= 1
    if command == "hr":
        assert load_network(tmp_path / "run" / "best.safetensors").classes == NAMES


def sequence(count: int, labelled: range) -> LabelledSequence:
    files = {i: Path(f"{i}.png") for i in labelled}
    return LabelledSequence("drive", tuple(Path(f"{i}.png") for i in range(count)), files, lambda _: np.zeros(0), {})


def test_what_is_encoded_for_validation() -> None:
    whole, short, sparse = sequence(20, range(20)), sequence(3, range(3)), sequence(30, range(19, 20))
    assert [(c.start, c.stop, len(c.scored)) for c in validation_clips([whole])] == [(0, 20, 20), (6, 20, 14)]
    assert [(c.start, c.stop) for c in validation_clips([short])] == [(0, 3)]
    assert [(c.start, c.stop, c.scored) for c in validation_clips([sparse])] == [(16, 20, (3,)), (10, 20, (9,))]
    assert not list(validation_clips([sequence(1, range(1)), sequence(30, range(1))]))


def test_a_recording_of_one_frame_is_refused(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labelled frame between keyframes"):
        validation_videos(open_dataset(mine), tmp_path, 750_000, labelled_frames=1)


@pytest.fixture(scope="module")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CamVid of a street, and AR-Seg's processed folder of it, whose twelfth class is void."""
    root = tmp_path_factory.mktemp("camvid")
    for split in ("train", "val"):
        for part in (split, f"{split}_labels_with_ignored"):
            (root / part).mkdir()
        for i, (image, labels) in enumerate(SyntheticStreet(2, (64, 96)).frames(3)):
            labels[:8] = 11
            cv2.imwrite(str(root / split / f"0001TP_{8550 + 2 * i:06d}.png"), image[..., ::-1])
            cv2.imwrite(str(root / f"{split}_labels_with_ignored" / f"0001TP_{8550 + 2 * i:06d}_L.png"), labels)
    processed = root / "3M-GOP2"
    image, labels = (cv2.imread(str(next((root / part).iterdir()))) for part in ("train", "train_labels_with_ignored"))
    for d in range(2):
        decoded = processed / f"decoded_GOP2_dist_{d}"
        for file, picture in (
            (decoded / "train" / "0001TP_008550.png", image),
            (decoded / "train_labels_with_ignored" / "0001TP_008550_L.png", labels[..., 0]),
            (processed / "frames" / "0001TP" / f"0001TP_{8550 - 6659 - d:06d}.png", image),
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), picture)
    motion = processed / "MVmap_GOP2_dist_1" / "0001TP" / "0001TP_008550.bin"
    motion.parent.mkdir(parents=True)
    np.zeros((64, 96, 2), "<i2").tofile(motion)
    torch.manual_seed(0)
    for data in (CamVid, CamVid12):
        save_model(SwiftNet(data.classes), root / f"{data.name}.safetensors", "swiftnet18", half=False)
    return root


def train_ar(root: Path, network: str, dataset: str, output: Path) -> object:
    fixed = ["--dataset", dataset, "--root", root, "--hr", root / f"{network}.safetensors", "-o", output]
    return CliRunner().invoke(
        main, ["ar", *map(str, fixed), "--clips", str(root / "3M-GOP2"), *FAST, *OPTIONS["ar"], "--low-lr", "1"]
    )


@pytest.mark.parametrize(("dataset", "void"), [("camvid", 255), ("camvid12", 11)])
def test_ar_segs_processed_frames_have_the_data_sets_classes(
    dataset: str, void: int, camvid: Path, tmp_path: Path
) -> None:
    """And an LR branch that learns keeps its classifier, which is the HR network's."""
    (source,) = find_sources(camvid / "3M-GOP2", open_dataset(dataset, camvid))
    (sample,) = source.keyed([0], 4)
    assert (sample.labels[:8] == void).all()
    result = train_ar(camvid, dataset, dataset, tmp_path / "run")
    assert result.exit_code == 0, result.output
    branch = load_ar(tmp_path / "run" / "best.safetensors")
    begun = load_network(camvid / f"{dataset}.safetensors")
    assert len(branch.low.classes) == len(begun.classes) == (11 if dataset == "camvid" else 12)
    for key, value in begun.logits.state_dict().items():
        torch.testing.assert_close(branch.low.network.logits.state_dict()[key], value, rtol=1e-3, atol=1e-3)
    average = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["model"]
    assert torch.equal(average["branch.low.network.logits.conv.weight"], begun.logits.conv.weight)
    assert not torch.equal(average["branch.low.network.backbone.conv1.weight"], begun.backbone.conv1.weight)


@pytest.mark.parametrize("command", ["ar", "lr", "propagation"])
def test_a_network_of_other_classes_is_refused(command: str, camvid: Path, tmp_path: Path) -> None:
    fixed = ["--root", camvid, "--hr", camvid / "camvid12.safetensors", "-o", tmp_path / "run"]
    clips = [] if command == "lr" else ["--clips", str(camvid)]
    result = CliRunner().invoke(main, [command, *map(str, fixed), *clips])
    assert result.exit_code == 2
    assert "does not fit CamVid: it has 12 classes, the data set 11" in result.output


def test_a_network_with_the_classes_in_another_order_is_refused(mine: Path) -> None:
    """As its labels would mean others; `evaluate-segnet`, which only compares labels, matches them by name."""
    data = open_dataset(mine)
    check_network(build_network("swiftnet18", [name.upper() for name in data.classes]), "m", data)
    check_network(build_network("swiftnet18", len(data.classes)), "m", data)
    with pytest.raises(InputError, match=f"--hr: 'm' has the classes of {data.title} in another order"):
        check_network(build_network("swiftnet18", tuple(reversed(data.classes))), "m", data)


@pytest.mark.parametrize("command", ["hr", "clip"])
@pytest.mark.parametrize(
    ("option", "values", "text"),
    [
        ("--seed", ["-1"], "-1 is not in the range x>=0"),
        ("--lr", ["-0.1"], "-0.1 is not in the range 0<x<=1000"),
        ("--lr", ["inf"], "inf is not in the range 0<x<=1000"),
        ("--balance", ["-3"], "-3.0 is not in the range 0<=x<=10"),
        ("--weight-decay", ["inf"], "inf is not in the range"),
        ("--scale", ["0", "1"], "0.0 is not in the range 0.05<=x<=20"),
        ("--scale", ["2", "1"], "2 is above 1; give the smaller first"),
        ("--crop", ["1x64"], "'1x64' is smaller than 16x16; give a larger crop"),
    ],
)
def test_values_that_no_training_can_have_are_refused(
    command: str, option: str, values: list[str], text: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, [command, "-o", str(tmp_path / "run"), option, *values])
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


@pytest.mark.parametrize("crop", ["0x0", "32x-1", "32x48:0", "32x48:nan", "32x48:inf"])
def test_crops_of_nothing_are_refused(crop: str, mine: Path, tmp_path: Path) -> None:
    fixed = ["hr", "--dataset", str(mine), "-o", str(tmp_path / "run"), "--crop", crop]
    result = CliRunner().invoke(main, fixed)
    assert result.exit_code == 2
    assert f"'{crop}' has a number that is not above 0" in result.stderr.splitlines()[-1]


def test_labels_beyond_the_classes_are_refused(mine: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    data = open_dataset(mine)
    (drive,) = data.sequences("val")
    encode_clip(Clip(drive, 0, 3, 12, (0, 1, 2)), clips, Fraction(15), 750_000, data.palette)
    for file in next(clips.glob("*_labels")).iterdir():
        cv2.imwrite(str(file), np.full((64, 96), 7, np.uint8))
    fixed = ["--dataset", mine, "--hr", mine.parent / "hr.safetensors", "--clips", clips, "-o", tmp_path / "run"]
    result = CliRunner().invoke(main, ["ar", *map(str, fixed), *FAST])
    assert result.exit_code == 2, result.output
    assert "has the label 7, but the data set has 3 classes" in result.output

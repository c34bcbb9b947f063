"""`train-segnet clip` on a tiny data set of VSPW's shape, made by the synthetic street."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("transformers", reason="the extra segformer is not installed")

from gopseg.codec import EncodeSettings
from gopseg.codec.writing.pictures import pictures_of_images
from gopseg.codec.writing.transcoding import transcode
from gopseg.data import CamVid, DatasetError, SyntheticStreet, write_labels
from gopseg.data.datasets.vspw import vspw_sequences
from gopseg.data.labelled_video import find_labelled_videos
from gopseg.segnet import build_network, load_network
from gopseg.segnet.losses.mrcfa_loss import per_frame_loss
from gopseg.tools.train.loop.optimiser import make_optimiser
from gopseg.tools.train.loop.settings import TrainSettings
from gopseg.tools.train.loop.trainer import tensors_of
from gopseg.tools.train.main import main
from gopseg.tools.train.trainers.clip_trainer import ClipBatch, ClipSettings, ClipTrainer, frequency_weights

SETTINGS = TrainSettings(batch=2, epochs=1, precision="fp32", warmup=0)
OWN = ClipSettings(crops=((64, 64, 1.0),), balance=0.5, repeat=4)


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
    return ClipTrainer(network, videos, vspw_sequences(root, "val")[:1], SETTINGS, OWN, folder)


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
    assert torch.isfinite(made.loss(made.batch(1)))


def test_the_average_follows_every_tensor(root, tmp_path):
    made = trainer(root, tmp_path)
    with torch.no_grad():
        for parameter in made.module.parameters():
            parameter += 1
    before = [tensor.clone() for tensor in made.average.parameters()]
    made.update_average()
    assert all(not torch.equal(a, b) for a, b in zip(before, made.average.parameters(), strict=True))
    assert len(list(tensors_of(made.average))) >= len(before)


def test_the_head_learns_faster_and_norms_are_not_decayed():
    network = build_network("mrcfa-b0", 5)
    groups = make_optimiser(network.parameter_groups(), TrainSettings(lr=1.0, weight_decay=0.5)).param_groups
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
    assert load_network(tmp_path / "run" / "best.safetensors").classes[18] == "road"


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """CamVid's layout: `val` is a video of three frames; and two labelled GOPs to train on."""
    root = tmp_path_factory.mktemp("camvid")
    for part in ("val", "valannot"):
        (root / part).mkdir()
    for index, (image, labels) in enumerate(street()[:3]):
        cv2.imwrite(str(root / "val" / f"0016E5_{8001 + 2 * index:05d}.png"), image[..., ::-1])
        cv2.imwrite(str(root / "valannot" / f"0016E5_{8001 + 2 * index:05d}.png"), labels)
    for part, count in (("gops", 2), ("streets", 1)):
        write_streets(root / part, count)
    return root


@cache
def street():
    return list(SyntheticStreet(3, (64, 96)).frames(12))


def write_streets(folder, count):
    """Labelled videos of one GOP, as `preprocess street` makes them."""
    for number in range(count):
        labels = folder / f"street{number}_labels"
        labels.mkdir(parents=True)
        frames = street()
        pictures = pictures_of_images((image for image, _ in frames), "street", Fraction(15), len(frames))
        transcode(pictures, folder / f"street{number}.mp4", EncodeSettings(gop=12, bitrate_bps=500_000))
        for index, (_, truth) in enumerate(frames):
            write_labels(labels / f"{index:06d}.png", truth, CamVid.palette)


@pytest.mark.parametrize("kind", [(), ("--per-frame",)])
def test_camvid_is_trained_on_gops_and_streets(camvid, tmp_path, kind):
    options = ["--dataset", "camvid", "--root", camvid, "--clips", camvid / "gops", "--clips", camvid / "streets"]
    options += ["--preset", "small", "--repeat", "0.5", "--crop", "64x64", "--precision", "fp32", *kind]
    run = tmp_path / "run"
    result = CliRunner().invoke(main, [str(word) for word in ("clip", *options, "-o", run)])
    assert result.exit_code == 0, result.output
    card = json.loads((run / "best.json").read_text())
    assert card["architecture"] == ("segformer-b0" if kind else "mrcfa-b0")
    assert (card["steps"], card["settings"]["batch"], card["settings"]["balance"]) == (1, 2, 0.5)
    assert card["data"] == "labelled GOPs: 2 of gops, 1 of streets"
    assert load_network(run / "best.safetensors").classes == CamVid.classes


def test_a_baseline_has_the_first_term_only(camvid, tmp_path):
    """Both see the same clips; a SegFormer's loss is the per-frame term of an MRCFA with the same weights."""
    videos = find_labelled_videos(camvid / "gops")
    torch.manual_seed(0)
    whole, alone = build_network("mrcfa-b0", 11), build_network("segformer-b0", 11)
    alone.load_state_dict({key: whole.state_dict()[key] for key in alone.state_dict()})
    losses, batches = [], []
    for network in (whole, alone):
        made = ClipTrainer(network, videos, [], SETTINGS, replace(OWN, repeat=1), tmp_path)
        made.model.eval()
        images, labels = made.batch(0)
        batches.append(images)
        outputs = made.module(network.normalise(images.flatten(0, 1)).unflatten(0, (2, 4)))
        losses.append(per_frame_loss(outputs[0], labels.long(), weights=made.weights).item())
    assert torch.equal(*batches)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert made.loss(ClipBatch(images, labels)).item() == pytest.approx(losses[1], rel=1e-5)


def test_rare_classes_weigh_more(camvid):
    videos = find_labelled_videos(camvid / "gops")
    counts = sum(np.bincount(video.labels(6).ravel(), minlength=11) for video in videos)
    weights = frequency_weights(videos, 11, 0.5).numpy()
    present = np.flatnonzero(counts)
    assert weights[present[counts[present].argmin()]] > 1 > weights[counts.argmax()]


def test_labelled_videos_are_decoded_once(camvid):
    video = find_labelled_videos(camvid / "gops")[0]
    backwards = video.samples([11, 2, 5])
    assert [sample.name for sample in backwards] == [f"{video.name}:{index}" for index in (11, 2, 5)]
    for sample, index in zip(backwards, (11, 2, 5), strict=True):
        np.testing.assert_array_equal(sample.image, video.sample(index).image)
        np.testing.assert_array_equal(sample.labels, video.labels(index))
    with pytest.raises(DatasetError, match="ends before frame 12"):
        video.samples([3, 12])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--dataset", "camvid"), "give --clips"),
        (("--clips", "gops"), "--dataset camvid"),
    ],
)
def test_options_that_do_not_fit_are_refused(root, camvid, tmp_path, options, words):
    """CamVid's stills are no video to draw clips from, and its labels are not VSPW's."""
    options = [str(camvid / word) if word == "gops" else word for word in options]
    result = CliRunner().invoke(main, ["clip", "--root", str(root), "-o", str(tmp_path / "run"), *options])
    assert result.exit_code == 2
    assert words in result.output


def test_a_folder_that_is_no_vspw_is_refused(tmp_path):
    result = CliRunner().invoke(main, ["clip", "--root", str(tmp_path), "-o", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "train.txt" in result.output

"""`train-segnet ar`: the fusion, with the LR branch or alone, on labelled videos."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.data.datasets.camvid import CamVid
from gopseg.data.street.street import SyntheticStreet
from gopseg.errors import InputError
from gopseg.preprocess.main import main as preprocess
from gopseg.segnet import SwiftNet, build_network, load_ar, load_lr, load_network, save_model
from gopseg.tools.train.main import main
from gopseg.tools.train.samples.fusion_samples import find_sources, has_labels

STREET = ["--count", "2", "--size", "64", "96", "--gop", "4", "--bitrate", "400k"]
FAST = "--batch 4 --epochs 1 --steps-per-epoch 2 --validate-every 1 --precision fp32 --warmup 1 --ema 0.5".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CamVid that is a drive through a synthetic street, two corpora of other streets, and a random network."""
    root = tmp_path_factory.mktemp("camvid")
    for split, seed, count in (("train", 1, 2), ("val", 2, 8)):
        (root / split).mkdir()
        (root / f"{split}annot").mkdir()
        for i, (image, labels) in enumerate(SyntheticStreet(seed, (64, 96)).frames(count)):
            cv2.imwrite(str(root / split / f"{i:02d}.png"), image[..., ::-1])
            cv2.imwrite(str(root / f"{split}annot" / f"{i:02d}.png"), labels)
    for folder, seed in (("one", "3"), ("two", "13")):
        result = CliRunner().invoke(preprocess, ["street", "-o", str(root / folder), "--seed", seed, *STREET])
        assert result.exit_code == 0, result.output
    torch.manual_seed(0)
    save_model(SwiftNet(CamVid.classes), root / "hr.safetensors", "swiftnet18", half=False)
    return root


def train(world: Path, output: Path, *arguments: str) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    fixed = ["--root", world, "--hr", world / "hr.safetensors", "--clips", world / "one", "-o", output]
    result = CliRunner().invoke(main, ["ar", *map(str, fixed), *FAST, *arguments])
    assert result.exit_code == 0, result.output
    assert load_ar(output / "best.safetensors").low.scale == 0.5
    state = torch.load(output / "last.pt", weights_only=True)["average"]
    return state, json.loads((output / "best.json").read_text())


def moved(world: Path, state: dict[str, torch.Tensor]) -> bool:
    from gopseg.segnet import load_network

    start = load_network(world / "hr.safetensors").state_dict()
    return any(not torch.equal(state[f"low.network.{name}"], value) for name, value in start.items())


@pytest.mark.parametrize("fusion", ["evidence", "creff"])
def test_a_frozen_branch_stays_and_its_fusion_learns(world: Path, tmp_path: Path, fusion: str) -> None:
    arguments = ["--clips", str(world / "two"), "--low-lr", "0", "--fusion", fusion]
    state, card = train(world, tmp_path / "run", *arguments)
    assert card["data"] == "2 videos of one and 2 videos of two"
    assert not moved(world, state)
    torch.manual_seed(0)
    assert all(np.isfinite(value.numpy()).all() for value in state.values())
    learned = "fusion.weigh.weight" if fusion == "evidence" else "fusion.creff.hr_value_conv.weight"
    assert state[learned].abs().max() > 0  # it began at zero


def test_the_branch_learns_too(world: Path, tmp_path: Path) -> None:
    state, _ = train(world, tmp_path / "run", "--low-lr", "0.5", "--fst", "1")
    assert moved(world, state)


def test_heads_of_the_branch_learn_with_it(world: Path, tmp_path: Path) -> None:
    with_heads, card = train(world, tmp_path / "deep", "--low-lr", "0.5", "--fst", "0", "--deep", "1")
    without, _ = train(world, tmp_path / "flat", "--low-lr", "0.5", "--fst", "0")
    assert with_heads.keys() == without.keys()  # fresh heads are not kept
    assert not all(torch.equal(with_heads[name], value) for name, value in without.items())
    assert card["settings"]["deep"] == 1


def test_published_losses_are_the_architectures_own(world: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(build_network("camvid-bise18", CamVid.classes), tmp_path / "bise.safetensors", "camvid-bise18")
    fixed = ["ar", "--root", world, "--clips", world / "one", "-o", tmp_path / "run", *FAST, "--losses", "published"]
    for options, said in (
        ([], "none for swiftnet18, only for camvid-psp18"),
        (["--hr", str(tmp_path / "bise.safetensors"), "--fst", "0.5"], "decides --fst, too"),
    ):
        refused = CliRunner().invoke(main, [*map(str, fixed), "--hr", str(world / "hr.safetensors"), *options])
        assert refused.exit_code == 2
        assert said in refused.output
    both = [*map(str, fixed[:-2]), "--hr", str(world / "hr.safetensors"), "--ohem", "0.5", "--ohem-confidence", "0.7"]
    refused = CliRunner().invoke(main, both)
    assert refused.exit_code == 2
    assert "give one of them" in refused.output
    run = CliRunner().invoke(main, [*map(str, fixed), "--hr", str(tmp_path / "bise.safetensors")])
    assert run.exit_code == 0, run.output
    settings = json.loads((tmp_path / "run" / "best.json").read_text())["settings"]
    names = ("auxiliary", "deep", "fst", "confidence", "keep", "published")
    assert [settings[name] for name in names] == [0, 2, 1, 0.7, 1, True]


def test_unlabelled_video_needs_feature_similarity(world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "drive.mp4").symlink_to(world / "one" / "street3.mp4")
    (source,) = find_sources(folder, CamVid(world))
    assert len(source) == 3
    assert not has_labels(source)
    (sample,) = source.keyed([1], 4)
    assert sample.distance == 2
    assert (sample.labels == 255).all()
    fixed = ["--root", world, "--hr", world / "hr.safetensors", "--clips", folder, "-o", tmp_path / "no"]
    refused = CliRunner().invoke(main, ["ar", *map(str, fixed), *FAST, "--fst", "0"])
    assert isinstance(refused.exception, InputError) or "give --distillation, or --fst" in refused.output
    state, _ = train(world, tmp_path / "run", "--clips", str(folder), "--fst", "1")
    assert moved(world, state)


def test_a_fusion_learns_from_the_hr_network_alone(world: Path, tmp_path: Path) -> None:
    """Its labels aside: one and the same frames with none of them."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "drive.mp4").symlink_to(world / "one" / "street3.mp4")
    fixed = ["--root", world, "--hr", world / "hr.safetensors", "--clips", folder, "-o", tmp_path / "run"]
    arguments = ["ar", *map(str, fixed), *FAST, "--low-lr", "0", "--distillation", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["average"]
    assert state["fusion.weigh.weight"].abs().max() > 0


def test_frames_of_clips(world: Path, tmp_path: Path) -> None:
    """Of `preprocess clips`: each frame at each distance, with its own labels."""
    arguments = ["clips", "--root", str(world), "--split", "val", "-o", str(tmp_path), "--gop", "3"]
    result = CliRunner().invoke(preprocess, arguments)
    assert result.exit_code == 0, result.output
    samples = [s for source in find_sources(tmp_path, CamVid(world)) for s in source.keyed(range(len(source)), 4)]
    assert {s.distance for s in samples} == {1, 2}
    truths = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted((world / "valannot").glob("*.png"))]
    for sample in samples:
        assert any((sample.labels == truth).all() for truth in truths)
        assert sample.displacement.shape == (16, 24, 2)


def test_ar_segs_processed_frames(tmp_path: Path) -> None:
    root, image = tmp_path / "3M-GOP2", np.full((32, 48, 3), 90, np.uint8)
    for d in range(2):
        decoded = root / f"decoded_GOP2_dist_{d}"
        for file, picture in (
            (decoded / "train" / "0001TP_008550.png", image),
            (decoded / "train_labels_with_ignored" / "0001TP_008550_L.png", np.full((32, 48), 3, np.uint8)),
            (root / "frames" / "0001TP" / f"0001TP_{8550 - 6659 - d:06d}.png", image - 40),
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), picture)
    motion = root / "MVmap_GOP2_dist_1" / "0001TP" / "0001TP_008550.bin"
    motion.parent.mkdir(parents=True)
    np.full((32, 48, 2), (12, -8), "<i2").tofile(motion)
    (source,) = find_sources(root, CamVid(root))
    (sample,) = source.keyed([0], 4)
    assert (sample.distance, sample.image[0, 0, 0], sample.key_image[0, 0, 0], sample.labels[0, 0]) == (1, 90, 50, 3)
    np.testing.assert_array_equal(sample.displacement, np.broadcast_to(np.float32([3, -2]), (8, 12, 2)))


def test_a_branch_of_another_architecture_is_trained_and_fused(world: Path, tmp_path: Path) -> None:
    """It starts with what fits of the HR network, shares its classifier, and a fusion with it is loaded again."""
    hr = tmp_path / "hr.safetensors"
    torch.manual_seed(1)
    save_model(build_network("swiftnet-lite0", CamVid.classes), hr, half=False)
    common = ["--root", str(world), "--hr", str(hr), "--validate-every", "1", "--precision", "fp32", "--epochs", "1"]
    small = [*common, "--crop", "64x96", "--batch", "1", "--lr", "1e-9"]
    arch = ["--arch", "swiftnet-lite0-light"]
    result = CliRunner().invoke(main, ["lr", *small, *arch, "-o", str(tmp_path / "lr")])
    assert result.exit_code == 0, result.output
    low = load_lr(tmp_path / "lr" / "best.safetensors")
    assert low.network.architecture == "swiftnet-lite0-light"
    theirs, own = load_network(hr).state_dict(), low.network.state_dict()
    for part in ("logits.conv", "backbone.encoder.stem.conv", "backbone.upsample.1.blend_conv.norm"):
        torch.testing.assert_close(own[f"{part}.weight"], theirs[f"{part}.weight"], rtol=1e-3, atol=1e-3)
    fusing = ["--lr-weights", str(tmp_path / "lr" / "best.safetensors"), "--clips", str(world / "one")]
    more = ["--fusion", "evidence-light", "--batch", "4", "--steps-per-epoch", "1", "-o", str(tmp_path / "ar")]
    result = CliRunner().invoke(main, ["ar", *common, *fusing, *more])
    assert result.exit_code == 0, result.output
    assert load_ar(tmp_path / "ar" / "best.safetensors").low.network.architecture == "swiftnet-lite0-light"
    result = CliRunner().invoke(main, ["lr", *small, "--arch", "swiftnet18", "-o", str(tmp_path / "other")])
    assert result.exit_code == 2
    assert "--arch swiftnet18 has 128 feature channels at stride 4" in result.output

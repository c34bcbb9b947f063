"""`evaluate-segnet --dataset vspw` on a tiny data set of its shape, made by the synthetic street."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.data import SyntheticStreet
from gopseg.data.datasets.vspw import VSPW, vspw_sequences
from gopseg.segnet import SwiftNet, build_network, save_model
from gopseg.tools.evaluate.main import main

NAMES = ("sky", "building", "pole", "road", "path", "tree", "traffic_light", "handrail_or_fence", "car", "person")
TO_VSPW = np.array([VSPW.classes.index(name) for name in (*NAMES, "bicycle")], np.uint8)
FRAMES = {"long": 18, "short": 9}
ROAD = VSPW.classes.index("road")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two videos, one of an odd size, as 853x480 is; a strip of void on top."""
    root = tmp_path_factory.mktemp("VSPW_480p")
    for seed, (name, count) in enumerate(FRAMES.items()):
        for part in ("origin", "mask"):
            (root / "data" / name / part).mkdir(parents=True)
        for index, (image, labels) in enumerate(SyntheticStreet(seed, (64, 96 + seed)).frames(count)):
            raw = TO_VSPW[labels] + np.uint8(1)
            raw[:3] = 0
            cv2.imwrite(str(root / "data" / name / "origin" / f"{index:08d}.jpg"), image[..., ::-1])
            cv2.imwrite(str(root / "data" / name / "mask" / f"{index:08d}.png"), raw)
    (root / "val.txt").write_text("\n".join(FRAMES))
    return root


def evaluated(root, output, *arguments):
    fixed = ["--dataset", "vspw", "--root", root, "--gop", 3, "--precision", "fp32", "-o", output]
    result = CliRunner().invoke(main, [str(argument) for argument in (*fixed, *arguments)])
    assert result.exit_code == 0, result.output
    return json.loads((output / "report.json").read_text())


def test_metrics_of_a_network_that_always_says_road(root, tmp_path):
    network = SwiftNet(VSPW.classes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        [bias] = [value for name, value in network.named_parameters() if value.shape == (len(VSPW.classes),)]
        bias[ROAD] = 1
    save_model(network, tmp_path / "road.safetensors", "swiftnet18")
    report = evaluated(root, tmp_path / "out", "--model", tmp_path / "road.safetensors", "--modes", "frame")
    [record] = report["modes"]
    assert report["settings"]["frames"] == sum(FRAMES.values())
    assert np.sum(record["confusion"]) == 18 * 61 * 96 + 9 * 61 * 97  # every frame once, void left out
    pixels = np.zeros(len(VSPW.classes))
    steady = {8: [], 16: []}
    for video in vspw_sequences(root, "val"):
        truth = np.stack([video.labels(index) for index in range(len(video))])
        pixels += np.bincount(truth.ravel(), minlength=256)[: len(VSPW.classes)]
        for n, windows in steady.items():
            for start in range(len(truth) - n + 1):
                known = (truth[start : start + n] == truth[start]).all(0) & (truth[start] != 255)
                windows.append((known & (truth[start] == ROAD)).sum() / known.sum())
    share = pixels[ROAD] / pixels.sum()
    assert record["miou_present"] == pytest.approx(share / np.count_nonzero(pixels))
    assert record["weighted_iou"] == pytest.approx(share**2)
    assert (record["vc8"], record["vc16"], record["vc16_legacy"]) == (1, 1, 1)
    assert (len(steady[8]), len(steady[16])) == (11 + 2, 3)
    for n, windows in steady.items():
        assert record[f"vc{n}_strict"] == pytest.approx(np.mean(windows))


def test_references_are_compared(root, tmp_path):
    pytest.importorskip("transformers", reason="the extra segformer is not installed")
    torch.manual_seed(0)
    save_model(build_network("mrcfa-b0", VSPW.classes), tmp_path / "clip.safetensors", "mrcfa-b0")
    sweep = ("--modes", "clip", "--sweep", "references=fixed,guided", "--limit", 9, "--consistency", "none")
    report = evaluated(root, tmp_path / "out", "--model", tmp_path / "clip.safetensors", *sweep)
    assert [record["variant"] for record in report["modes"]] == ["clip references=fixed", "clip references=guided"]
    for record in report["modes"]:
        assert 0 < record["vc8"] <= 1
        assert record["vc16"] is None  # nine frames
        assert np.isfinite(record["weighted_iou"])


def test_stills_are_all_frames(root, tmp_path):
    save_model(SwiftNet(VSPW.classes), tmp_path / "any.safetensors", "swiftnet18")
    report = evaluated(root, tmp_path / "out", "--model", tmp_path / "any.safetensors", "--stills")
    [record] = report["modes"]
    assert record["frames"] == sum(FRAMES.values())
    assert np.sum(record["confusion"]) == 18 * 61 * 96 + 9 * 61 * 97
    assert "VSPW val: accuracy on stills" in (tmp_path / "out" / "report.html").read_text()

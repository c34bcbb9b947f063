import csv
import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.data.camvid import CLASSES
from gopseg.data.sample import Sample
from gopseg.pipelines import Prediction
from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.evaluate import main
from gopseg.tools.evaluation import encode_samples, evaluate_dense, network_gflops

GOP = 3


def striped(index, size_hw=(64, 96)):
    """A frame whose grey level says its class, with a border that moves so that no two frames are alike."""
    labels = np.zeros(size_hw, np.uint8)
    labels[:, 16 + 8 * index :] = 1
    return Sample(f"{index:03d}", np.repeat((labels * 200)[..., None], 3, 2).astype(np.uint8), labels)


class Reader:
    """Reads the class off the grey level: right wherever truth and frame belong together."""

    def step(self, frame):
        labels = (frame.image[..., 0] > 100).astype(np.uint8)
        return Prediction(frame.index, frame.pts, Fraction(1), frame.pict_type, frame.distance, labels)


class Frozen:
    """Repeats the keyframe's labels: right at distance 0 only."""

    def step(self, frame):
        if frame.is_keyframe:
            self.labels = (frame.image[..., 0] > 100).astype(np.uint8)
        return Prediction(frame.index, frame.pts, Fraction(1), frame.pict_type, frame.distance, self.labels)


def test_every_frame_is_scored_against_its_own_labels_at_every_distance(tmp_path):
    samples = [striped(i) for i in range(7)]

    def encode(part, file):
        encode_samples(part, file, gop=GOP, bitrate_bps=3_000_000, frame_rate=15)

    seen = []
    results = evaluate_dense(
        samples, {"reader": Reader, "frozen": Frozen}, encode, ("a", "b"), GOP, tmp_path, seen.append
    )
    assert len(seen) == 7 + 6 + 5
    reader, frozen = results
    pixels = samples[0].labels.size
    # Offsets 0, 1, 2 leave 7, 6, 5 frames: distances 0 1 2 0 1 2 0 | 0 1 2 0 1 2 | 0 1 2 0 1.
    assert [c.counts.sum() // pixels for c in reader.confusions] == [7, 6, 5]
    assert min(reader.miou_d) > 0.98
    assert frozen.miou_d[0] > 0.98
    assert frozen.miou_d[0] - 0.05 > frozen.miou_d[1] > frozen.miou_d[2] + 0.02
    record = reader.record(2.0)
    assert record["miou_min"] == min(reader.miou_d)
    assert record["gflops_per_frame"] == 2.0
    assert not list(tmp_path.iterdir())


def test_gflops_of_swiftnet_are_the_published_ones():
    """gsvnet.md, section 9: 19.35 GMAC for 540x720, whose share at 360x480 is 4/9 (odd sizes round up)."""
    gmac = network_gflops(SwiftNet(11), (540, 720)) / 2
    assert gmac == pytest.approx(19.35, rel=0.01)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    for name in ("val", "valannot"):
        (root / name).mkdir()
    for i in range(5):
        sample = striped(i)
        cv2.imwrite(str(root / "val" / f"{i}.png"), sample.image)
        cv2.imwrite(str(root / "valannot" / f"{i}.png"), sample.labels)
    weights = root / "net.safetensors"
    save_model(SwiftNet(CLASSES), weights, "swiftnet18")
    return root, weights


def test_the_command_writes_its_reports(clip, tmp_path):
    root, weights = clip
    arguments = ["--root", str(root), "--model", str(weights), "--gop", "2", "-o", str(tmp_path), "--precision", "fp32"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert [record["mode"] for record in report["modes"]] == ["frame", "motion"]
    for record in report["modes"]:
        assert len(record["miou_d"]) == 2
        assert len(record["iou_d"][0]) == len(CLASSES)
        lines = (tmp_path / f"{record['mode']}.txt").read_text().split()
        assert float(lines[-1]) == pytest.approx(record["miou_mean"], abs=1e-6)
    # Keyframes are the same in both modes, and the network runs on them only in mode motion.
    assert report["modes"][0]["miou_d"][0] == pytest.approx(report["modes"][1]["miou_d"][0])
    assert report["modes"][1]["gflops_per_frame"] < report["modes"][0]["gflops_per_frame"]
    assert len(report["settings"]["weights_sha256"]) == 64
    with (tmp_path / "report.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 3


def test_stills_and_errors(clip):
    root, weights = clip
    result = CliRunner().invoke(main, ["--root", str(root), "--model", str(weights), "--stills"])
    assert result.exit_code == 0, result.output
    assert "mIoU" in result.output
    for arguments, text in (
        (["--root", str(root), "--model", "nonsense"], "unknown model"),
        (["--root", str(root / "none"), "--model", str(weights)], "none"),
        (["--root", str(root), "--model", str(weights), "--modes", "frame,warp9"], "unknown mode 'warp9'"),
        (["--root", str(root), "--model", str(weights), "--bitrate", "fast"], "fast"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2, result.output
        assert text in result.output

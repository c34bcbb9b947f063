"""`evaluate-segnet VIDEO`: from a rendered clip to the reports."""

import csv
import json
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.codec import EncodeSettings, pictures_of_images, transcode
from gopseg.data import CamVid, SyntheticStreet
from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.evaluate.main import main
from gopseg.tools.evaluate.measuring.false_alarms import Absent, FalseAlarms

REFERENCE = "agreement with the per-frame network"
FRAMES, GOP = 7, 5


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    folder = tmp_path_factory.mktemp("street")
    images = [image[180:276, 176:304] for image, _ in SyntheticStreet(seed=3).frames(FRAMES)]
    pictures = pictures_of_images(iter(images), "street", Fraction(15))
    transcode(pictures, folder / "street.mp4", EncodeSettings(gop=GOP, bitrate_bps=1_000_000))
    torch.manual_seed(0)
    save_model(SwiftNet(CamVid.classes), folder / "net.safetensors", "swiftnet18")
    return folder / "street.mp4", folder / "net.safetensors"


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def test_the_video_is_compared_as_it_is(street, tmp_path):
    video, weights = street
    result = call(
        video, "--modes", "frame,motion", "--sweep", "refresh_above=1", "--model", weights, "--precision", "fp32", "-o",
        tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = report_of(tmp_path)
    frame, motion = report["modes"]
    assert frame["pixel_agreement"] == frame["miou_agreement"] == 1
    assert 0 < motion["pixel_agreement"] < 1
    assert motion["by_distance"][0]["pixel_agreement"] == 1, "on keyframes it is the network"
    assert [(row["distances"], row["frames"]) for row in motion["by_distance"]] == [
        ("0", 2), ("1", 2), ("2", 1), ("3", 1), ("4", 1)
    ]  # fmt: skip
    assert (frame["network_frames"], frame["frames"]) == (FRAMES, FRAMES)
    assert motion["network_frames"] == 2
    share = 2 / FRAMES
    assert motion["gflops_per_frame"] == pytest.approx(share * frame["gflops_per_frame"], rel=1e-6)
    (stream,) = report["streams"]
    assert (stream["video"], stream["stream"], stream["frames"]) == ("street.mp4", "as it is", FRAMES)
    assert 0 <= stream["network_flicker"]["share"] <= 1
    assert len(report["settings"]["weights_sha256"][str(weights)]) == 64


def test_every_file_names_the_reference_and_none_speaks_of_accuracy(street, tmp_path):
    video, weights = street
    result = call(video, "--model", weights, "--precision", "fp32", "--max-frames", 3, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"{REFERENCE} {weights}" in result.output
    for name in ("report.json", "report.csv", "report.txt", "report.html"):
        text = (tmp_path / name).read_text()
        assert REFERENCE in text.lower(), name
        assert "accuracy" not in text.replace("this is no accuracy", ""), name
    with (tmp_path / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["distances"] for row in rows] == ["0", "1", "2", "all"] * 2
    assert report_of(tmp_path)["modes"][0]["frames"] == 3


def test_videos_are_encoded_anew_where_that_is_asked_for(street, tmp_path):
    video, weights = street
    arguments = ("--model", weights, "--precision", "fp32", "--modes", "motion", "--max-frames", 4, "-o", tmp_path)
    result = call(video, *arguments, "--gop", "2,3", "--bitrate", "500k")
    assert result.exit_code == 0, result.output
    report = report_of(tmp_path)
    assert [record["stream"] for record in report["modes"]] == ["GOP 2, 500k", "GOP 3, 500k"]
    assert [len(record["by_distance"]) for record in report["modes"]] == [2, 3]
    assert {record["frames"] for record in report["modes"]} == {4}
    (mean,) = report["mean_over_videos"]
    shares = [record["pixel_agreement"] for record in report["modes"]]
    assert mean["pixel_agreement"] == pytest.approx(sum(shares) / 2)
    assert mean["pixel_agreement_lowest_stream"] == min(shares)
    assert "mean over 2 streams" in (tmp_path / "report.txt").read_text()


def test_videos_without_motion_are_refused_unless_encoded_anew(street, tmp_path):
    _, weights = street
    other = tmp_path / "intra.mkv"
    with av.open(str(other), "w") as target:
        stream = target.add_stream("ffv1", rate=15)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(3):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8), "rgb24")))
        target.mux(stream.encode())
    arguments = (other, "--model", weights, "--precision", "fp32", "--max-frames", 3)
    result = call(*arguments, "--modes", "motion")
    assert result.exit_code == 2, result.output
    assert "give --gop or --bitrate" in result.output
    assert call(*arguments, "--modes", "frame").exit_code == 0
    assert call(*arguments, "--modes", "motion", "--gop", 3).exit_code == 0


@pytest.mark.parametrize("encoding", [(), ("--gop", 3)])
def test_a_file_that_cannot_be_read_is_refused_before_the_others_are_measured(street, tmp_path, encoding):
    video, weights = street
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(video.read_bytes()[:500])
    arguments = ("--modes", "frame", "--model", weights, *encoding, "-o", tmp_path / "report")
    result = call(video, bad, *arguments)
    assert result.exit_code == 2, result.output
    assert REFERENCE not in result.output
    assert result.stderr.startswith(f"Error: {bad}")
    assert not (tmp_path / "report").exists()


def test_videos_and_labelled_data_are_told_apart(street):
    video, weights = street
    for arguments, text in (
        ((video, "--dataset", "camvid"), "--dataset is for labelled data"),
        ((video, "--root", video.parent), "--root is for labelled data"),
        ((video, "--by-interval"), "--by-interval is for labelled data"),
        (("--max-frames", 3), "take --limit"),
        ((video, "--gop", "0"), "no GOP length"),
        ((video, "--modes", "warp9"), "unknown mode"),
        ((video, "--modes", "frame,frame@swiftnet-lite0-camvid", "--model", weights), None),
    ):
        result = call("--model", weights, *arguments) if text else call(*arguments, "--max-frames", 1)
        assert result.exit_code == (2 if text else 0), result.output
        assert text is None or (text in result.output and result.output.count("\n") == 1), result.output


def test_models_with_other_classes_are_no_reference(street, tmp_path):
    video, weights = street
    other = tmp_path / "other.safetensors"
    save_model(SwiftNet(3), other, "swiftnet18")
    result = call(video, "--model", weights, "--modes", f"motion@{other}", "--precision", "fp32")
    assert result.exit_code == 2
    assert "other classes" in result.output


def test_auto_has_a_peer_at_equal_cost(street, tmp_path):
    video, weights = street
    result = call(video, "--modes", "auto", "--model", weights, "--precision", "fp32", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    auto, peer = report_of(tmp_path)["modes"]
    assert (auto["variant"], peer["variant"]) == ("auto", "motion, equal cost")
    assert auto["frames"] == peer["frames"] == FRAMES
    assert peer["options"]["interval"] == FRAMES // auto["network_frames"]
    assert peer["network_frames"] >= auto["network_frames"]
    assert 0 < auto["expected_agreement"] <= 1
    assert "expected_agreement" not in peer
    assert f"expected {100 * auto['expected_agreement']:.1f}" in result.output
    per_frame = report_of(tmp_path)["streams"][0]["network_flicker"]["share"]
    for record in (auto, peer):
        seen = record["network_frames"] / FRAMES
        assert record["operations_share"] == pytest.approx(seen, rel=1e-6)
        assert record["ceiling"] == pytest.approx(1 - (1 - seen) * per_frame)
        assert record["below_ceiling"] == pytest.approx(record["ceiling"] - record["pixel_agreement"])
    alone = call(video, "--modes", "motion", "--sweep", f"interval={peer['options']['interval']}", "--sweep",
                 "refresh_above=1", "--model", weights, "--precision", "fp32", "-o", tmp_path / "alone")  # fmt: skip
    assert alone.exit_code == 0, alone.output
    (motion,) = report_of(tmp_path / "alone")["modes"]
    assert motion["pixel_agreement"] == peer["pixel_agreement"]
    assert motion["gflops_per_frame"] == pytest.approx(peer["gflops_per_frame"])


def test_what_the_network_said_is_kept(street, tmp_path, monkeypatch):
    video, weights = street
    arguments = (video, "--modes", "motion", "--sweep", "refresh_above=1", "--model", weights, "--runtime", "torch",
                 "--precision", "fp32", "--cache", tmp_path / "known")  # fmt: skip
    first = call(*arguments, "-o", tmp_path / "first")
    assert first.exit_code == 0, first.output
    (folder,) = (tmp_path / "known").iterdir()
    assert len(list(folder.iterdir())) == FRAMES
    for file in folder.iterdir():  # from now on the network says one class everywhere
        said = np.load(file)
        np.savez(file, logits=np.zeros_like(said["logits"]), seconds=100.0)
    again = call(*arguments, "-o", tmp_path / "again")
    assert again.exit_code == 0, again.output
    (before,), (after,) = (report_of(tmp_path / name)["modes"] for name in ("first", "again"))
    assert before["pixel_agreement"] < after["pixel_agreement"] == 1
    assert after["network_frames"] / FRAMES * 100 < 1 / after["fps"] < before["network_frames"] / FRAMES * 100 + 5
    assert len(list(folder.iterdir())) == FRAMES


def test_classes_that_are_not_there(street, tmp_path):
    video, weights = street
    seen = [word for name in CamVid.classes for word in ("--absent", f"{name}:0")]
    fixed = [video, "--model", weights, "--precision", "fp32", "--modes", "frame,motion", "-o", tmp_path]
    result = call(*fixed, *seen)
    assert result.exit_code == 0, result.output
    report = report_of(tmp_path)
    network, (frame, motion) = report["streams"][0]["network_false_alarms"], report["modes"]
    assert frame["false_alarms"] == network
    assert set(motion["false_alarms"]) == set(CamVid.classes)
    assert max(network.values()) == 1, "every frame holds some class"
    assert "which is absent, in 100.0 % of its frames" in (tmp_path / "report.html").read_text()
    result = call(*fixed, "-y", "--absent", "car:1000000", "--absent", "sky")
    assert result.exit_code == 0, result.output
    assert report_of(tmp_path)["modes"][1]["false_alarms"]["car"] == 0
    assert report_of(tmp_path)["settings"]["absent"] == {"car": 1_000_000, "sky": 50}
    for wrong, said in (("dog", "no class 'dog'"), ("car:many", "'many' is no number")):
        result = call(video, "--model", weights, "--absent", wrong)
        assert result.exit_code == 2
        assert said in result.output
    result = call("--absent", "car")
    assert result.exit_code == 2
    assert "for VIDEO files" in result.output


def test_false_alarms_count_frames_above_the_limit():
    alarms = FalseAlarms([Absent("car", 8, 2), Absent("sky", 0, 50)])
    for cars in (2, 3, 0, 4):
        labels = np.full((10, 10), 5, np.uint8)
        labels[0, :cars] = 8
        alarms.update(labels)
    assert alarms.compute() == {"car": 0.5, "sky": 0.0}

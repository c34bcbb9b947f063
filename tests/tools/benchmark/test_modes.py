import json

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.benchmark.main import segnet as main

torch.set_num_threads(1)  # the pictures are tiny, and a busy machine makes threads wait for each other


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_model(SwiftNet(3), file, "swiftnet18")
    return file


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    file = tmp_path_factory.mktemp("clip") / "x.mp4"
    options = {"bf": "0", "refs": "1", "x264-params": "scenecut=0:weightp=0"}
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 64, 96, "yuv420p", 4
        for i in range(8):
            image = np.roll(np.random.default_rng(0).integers(0, 99, (64, 96, 3), np.uint8), i, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return file


def test_modes_are_measured_in_turns(clip, model_file):
    result = CliRunner().invoke(
        main,
        ["modes", str(clip), "--model", str(model_file), "--repeats", "2", "--precision", "fp32", "--device", "cpu"],
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["frames"], report["size_hw"]) == (8, [64, 96])
    frame, motion = report["modes"]["frame"], report["modes"]["motion"]
    assert frame["network_frames"] == 8
    assert motion["network_frames"] < 8
    assert len(frame["fps_of_runs"]) == 2
    assert motion["times_frame"] == pytest.approx(motion["fps"] / frame["fps"], abs=0.01)
    assert {"read", "network", "labels", "encode"} <= set(frame["stages_ms"])


def test_speed_is_measured_beside_decoding_and_transcoding(clip, model_file):
    arguments = ["speed", str(clip), "--model", str(model_file), "--repeats", "1", "--frames", "7"]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert set(report["ratios"]) == set(report["goals"])
    rates = report["frames_per_second"]
    assert {"decoding", "transcoding", "reading", "metadata", "overlay", "labels"} < set(rates)
    assert report["ratios"]["labels / decoding"] == pytest.approx(rates["labels"] / rates["decoding"], rel=0.02)
    assert set(report["cpu_ms_per_frame"]) == set(rates)
    assert all(value > 0 for value in report["cpu_ms_per_frame"].values())
    assert set(report["ratios_by_cpu"]) == set(report["goals"])
    assert set(report["composition_ms"]) == {"1"}
    assert {"overlay", "encode", "labels"} <= set(report["stages_ms"]["overlay"])
    assert "encode" not in report["stages_ms"]["labels"]


def test_speed_needs_vectors_to_the_frame_before(tmp_path):
    file = tmp_path / "b.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for i in range(8):
            image = np.roll(np.random.default_rng(0).integers(0, 99, (64, 96, 3), np.uint8), i, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    result = CliRunner().invoke(main, ["speed", str(file)])
    assert result.exit_code == 2
    assert "B-frames" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--modes", "frame,warp"], "unknown mode 'warp'"), (["--model", "nonesuch"], "unknown model")],
)
def test_modes_refuses_what_it_does_not_know(clip, model_file, arguments, words):
    result = CliRunner().invoke(main, ["modes", str(clip), "--model", str(model_file), *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


def test_memory_of_two_runs(model_file):
    result = CliRunner().invoke(main, ["memory", "--model", str(model_file), "--short", "4", "--long", "60"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert set(report["peak_mib"]) == {"4", "60"}
    assert 50 < report["peak_mib"]["60"] < 4000
    assert report["growth"] == pytest.approx(report["peak_mib"]["60"] / report["peak_mib"]["4"] - 1, abs=1e-3)

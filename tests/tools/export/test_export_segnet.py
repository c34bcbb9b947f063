"""`export-segnet` from the command line: what it writes, what it refuses, and that other commands take its files."""

import json

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.tools.export.main import main


def write_clip(file, rng):
    with av.open(str(file), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(2):
            picture = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def run(*arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    import torch

    from gopseg.segnet import SwiftNet, save_model

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("models") / "random.safetensors"
    save_model(SwiftNet(("ground", "red", "blue")), file, "swiftnet18")
    return file


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("x", "--format", "onnx", "-o", "x.xml"), "must end in .onnx"),
        (("x", "--format", "openvino", "-o", "x.xml", "--int8"), "--int8 and --calibrate DIR go together"),
        (("x", "--format", "onnx", "-o", "x.onnx", "--int8"), "--int8 is for --format openvino"),
        (("x", "--format", "openvino", "-o", "x.xml", "--root", "."), "--root and --clips measure what --int8 loses"),
        (("none.onnx", "--format", "openvino", "-o", "x.xml"), "does not exist"),
    ],
)
def test_what_cannot_be_is_refused(arguments, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept_or_refused(tmp_path):
    (tmp_path / "x.json").write_text("mine")
    assert "exists; replace it with -y" in run("x", "--format", "onnx", "-o", tmp_path / "x.onnx").stderr
    assert run("x", "--format", "onnx", "-o", tmp_path / "x.onnx", "-n").exit_code == 0
    assert (tmp_path / "x.json").read_text() == "mine"


def test_a_quantised_graph_beside_the_weights_is_found(model_file, tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    from gopseg.segnet import automatic_precisions, load_network, on_runtime

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pictures = model_file.parent / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        cv2.imwrite(str(pictures / f"{i}.png"), rng.integers(0, 256, (48, 64, 3), np.uint8))
    output = model_file.with_name("random-int8.xml")
    quantised = (model_file, "--format", "openvino", "--int8", "--calibrate", pictures)
    elsewhere = run(*quantised, "--clips", pictures, "-o", output.with_name("elsewhere.xml"))
    assert "write to -o" in elsewhere.stderr
    clips = model_file.parent / "clips"
    clips.mkdir()
    write_clip(clips / "noise.mp4", rng)
    result = run(*quantised, "--clips", clips, "-o", output)
    assert result.exit_code == 0, result.output
    assert "of its labels in the calibration agree" in result.stdout
    card = json.loads(output.with_suffix(".json").read_text())
    measured = card["calibration"]["measured"]
    assert 0.5 < measured["label_agreement_on_street_clips"]["noise"] < 1
    assert 0.5 < measured["of_fp32_with_a_grey_level_of_noise"]["noise"] <= 1
    assert card["calibration"]["pictures"] == ["0.png", "1.png"]
    assert card["precision"] == "int8"
    network = load_network(model_file)
    assert automatic_precisions(network, "openvino")[-1] == "int8"
    assert on_runtime(network, "openvino", "int8").precision == "int8"
    card["weights_sha256"] = "0" * 64
    output.with_suffix(".json").write_text(json.dumps(card))
    assert "int8" not in automatic_precisions(load_network(model_file), "openvino")

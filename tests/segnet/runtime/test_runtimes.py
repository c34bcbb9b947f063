"""Networks on OpenVINO and ONNX Runtime give torch's numbers, at any size; what is converted is kept."""

import subprocess
import sys
import time

import pytest
import torch

from gopseg.segnet import LowResolution, ModelError, RuntimeNetwork, choose_runtime, in_torch, on_runtime
from gopseg.segnet.exportable import at_least_one, rounded_ratio
from gopseg.segnet.runtime import names
from gopseg.segnet.runtime.cache import fingerprint, kept

PACKAGES = {"openvino": ("openvino",), "onnx": ("onnx", "onnxscript", "onnxruntime")}
SIZES = ((67, 93), (50, 131))


@pytest.fixture(scope="module", params=["openvino", "onnx"])
def converted(request, network, tmp_path_factory):
    for package in PACKAGES[request.param]:
        pytest.importorskip(package, reason=f"the extra {request.param} is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return on_runtime(network, request.param, "fp32")


@pytest.mark.parametrize("size_hw", SIZES)
def test_another_runtime_gives_torchs_numbers(network, converted, size_hw):
    images = torch.randn(2, 3, *size_hw)
    with torch.inference_mode():
        p, logits = network.features(images), network(images)
        assert logits.std() > 1e-2
        torch.testing.assert_close(converted.features(images), p, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(converted.classify(p), logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(converted(images), logits, atol=1e-4, rtol=1e-4)


def test_pictures_do_not_depend_on_those_beside_them(converted):
    images = torch.randn(3, 3, 40, 56)
    alone = torch.cat([converted(image[None]) for image in images])
    torch.testing.assert_close(converted(images), alone, atol=0 if converted.runtime == "openvino" else 1e-5, rtol=0)


def test_another_runtime_declares_what_the_network_does(network, converted):
    assert isinstance(converted, RuntimeNetwork)
    assert converted.classes == network.classes
    assert (converted.feature_channels, converted.feature_stride) == (12, 4)
    picture = torch.randint(0, 256, (1, 20, 30, 3), dtype=torch.uint8)
    assert torch.equal(converted.normalise(picture), network.normalise(picture))


def test_in_torch_the_network_itself_runs(network, converted):
    images = torch.randn(1, 3, 40, 56)
    with torch.inference_mode(), in_torch():
        assert torch.equal(converted(images), network(images))


def test_networks_of_the_same_weights_share_their_engine(network, converted):
    assert on_runtime(network, converted.runtime, "fp32").engine is converted.engine


def test_an_lr_branch_runs_its_network_there(network, converted):
    low = LowResolution(network, 0.5)
    images = torch.randn(1, 3, 67, 93)
    with torch.inference_mode():
        expected = low(images)
        try:
            torch.testing.assert_close(on_runtime(low, converted.runtime, "fp32")(images), expected, atol=1e-4, rtol=0)
        finally:
            low.network = network


def test_automatic_is_openvino_on_cpus_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(names, "find_spec", lambda name: None)
    assert choose_runtime("auto", "cpu") == "torch"
    monkeypatch.setattr(names, "find_spec", lambda name: name)
    assert choose_runtime("auto", "cpu") == "openvino"
    assert choose_runtime("auto", "cuda") == "torch"


def test_what_cannot_be_is_refused_with_a_way_out(monkeypatch, network):
    with pytest.raises(ModelError, match="runs on the CPU, not on cuda"):
        choose_runtime("openvino", "cuda")
    monkeypatch.setattr(names, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"openvino, which is not installed: pip install 'gopseg\[openvino\]'"):
        choose_runtime("openvino", "cpu")
    with pytest.raises(ModelError, match=r"pip install 'gopseg\[onnx\]'"):
        on_runtime(network, "onnx", "fp32")


def test_the_variable_names_the_default(monkeypatch):
    monkeypatch.setenv("GOPSEG_RUNTIME", "onnx")
    assert names.default_runtime() == "onnx"
    monkeypatch.setenv("GOPSEG_RUNTIME", "tensorrt")
    with pytest.raises(ModelError, match="GOPSEG_RUNTIME 'tensorrt': unknown; take one of auto, torch"):
        names.default_runtime()


def test_ratios_are_rounded_as_python_rounds():
    for numerator in range(1, 200):
        for denominator in range(1, 40):
            assert rounded_ratio(numerator, denominator) == round(numerator / denominator)
    assert at_least_one(0) == 1
    assert at_least_one(5) == 5


def test_slow_conversions_are_kept_and_read_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def convert():
        made.append(1)
        end = time.process_time() + 1.1
        while time.process_time() < end:
            pass
        return "graph"

    def write(graph, file):
        file.write_text(graph)

    def read(file):
        return file.read_text()

    def again():
        return kept("key", "graph.txt", convert, write, read)

    assert (again(), again(), len(made)) == ("graph", "graph", 1)

    def broken(file):
        raise ModelError("unreadable")

    monkeypatch.setattr("gopseg.segnet.runtime.cache.WORTH_SECONDS", 0)
    assert kept("key", "graph.txt", lambda: "new", write, broken) == "new"
    assert again() == "new"


def test_other_weights_and_settings_are_other_graphs(network):
    before = fingerprint(network, {"runtime": "onnx"})
    assert fingerprint(network, {"runtime": "onnx"}) == before
    assert fingerprint(network, {"runtime": "openvino"}) != before
    bias = network.logits.conv.bias
    with torch.no_grad():
        bias += 1
        changed = fingerprint(network, {"runtime": "onnx"})
        bias -= 1
    assert changed != before


def test_nothing_is_sent_over_the_network():
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    code = (
        "import sys, gopseg.segnet.runtime.engines.openvino_engine\n"
        "from openvino.tools.ovc import telemetry_utils as utils\n"
        "print(utils.tm.__name__, sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "None"]


@pytest.mark.parametrize("converted", ["openvino"], indirect=True)
def test_no_thread_keeps_to_a_core(converted):
    """Else the networks of several processes would all compute on the first cores; ONNX Runtime pins none."""
    converted(torch.zeros(1, 3, 32, 48))
    assert converted.engine._requests["logits"].get_compiled_model().get_property("ENABLE_CPU_PINNING") is False

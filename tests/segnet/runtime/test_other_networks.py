"""Networks whose logits are more than classified features, and modules that were adapted, on OpenVINO."""

import pytest
import torch
from torch import nn

from gopseg.segnet import (
    ExportCard,
    Interface,
    adapter_of,
    as_segmentation_network,
    build_network,
    export_network,
    load_network,
    on_runtime,
    placed,
    torch_network_of,
)

SIZES = ((67, 93), (150, 203))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Module(nn.Module):
    """Logits at stride 8, as a mapping."""

    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 8, 8)

    def forward(self, x):
        return {"logits": self.conv(x)}


def test_logits_that_are_resized_stay_apart_from_the_classifier():
    torch.manual_seed(0)
    network = build_network("camvid-bise18", 3).eval()
    converted = on_runtime(network, "openvino", "fp32")
    assert not converted.engine.is_plain
    for size_hw in SIZES:
        images = torch.randn(1, 3, *size_hw)
        with torch.inference_mode():
            p = network.features(images)
            torch.testing.assert_close(converted(images), network(images), atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(converted.features(images), p, atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(converted.classify(p), network.classify(p), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("options", [{"classes": 3}, {"classes": ("cell",), "input_size": (64, 80), "bgr": True}])
def test_an_adapted_module_runs_there_and_in_an_exported_file(options, tmp_path):
    torch.manual_seed(0)
    count = options["classes"] if isinstance(options["classes"], int) else 1
    network = as_segmentation_network(Module(count), **options).eval()
    converted = on_runtime(network, "openvino", "fp32")
    assert placed(converted) == ("openvino", "fp32")
    assert torch_network_of(converted) is network
    assert placed(network) is None
    card = ExportCard(
        interface=Interface.of(network),
        source="x",
        weights_sha256="0" * 64,
        format="openvino",
        precision="fp32",
        adapter=adapter_of(network),
    )
    export_network(network, tmp_path / "x.xml", "openvino", card, overwrite=False)
    loaded = load_network(tmp_path / "x.xml")
    assert loaded.classes == network.classes
    for size_hw in SIZES:
        images = torch.randn(1, 3, *size_hw)
        with torch.inference_mode():
            expected = network(images)
            torch.testing.assert_close(converted(images), expected, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(loaded(images), expected, atol=1e-4, rtol=1e-4)

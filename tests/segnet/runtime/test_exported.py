"""Exported graphs: written whole with a card, checked against torch, loaded as networks, quantised."""

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gopseg.data import SyntheticStreet
from gopseg.segnet import (
    BRANCH,
    ExportCard,
    Interface,
    ModelError,
    RuntimeNetwork,
    export_network,
    find_weights,
    in_torch,
    load_network,
    quantised_beside,
    quantised_graph,
)
from gopseg.segnet.runtime import graphs

SIZES = ((67, 93), (50, 131))


def card(network, format_="openvino", precision="fp32", **more):
    return ExportCard(
        interface=Interface.of(network),
        source="tiny",
        weights_sha256="0" * 64,
        format=format_,
        precision=precision,
        **more,
    )


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    file = tmp_path_factory.mktemp("exported") / "tiny.xml"
    export_network(network, file, "openvino", card(network), overwrite=False)
    return file


def test_an_exported_network_is_the_network(network, exported):
    assert sorted(each.name for each in exported.parent.iterdir()) == ["tiny.bin", "tiny.json", "tiny.xml"]
    loaded = load_network(exported)
    assert isinstance(loaded, RuntimeNetwork)
    assert (loaded.classes, loaded.feature_stride, loaded.weights_file) == (network.classes, 4, exported)
    assert torch.equal(loaded.mean, network.mean)
    assert torch.equal(loaded.std, network.std)
    for size_hw in SIZES:
        images = torch.randn(1, 3, *size_hw)
        with torch.inference_mode():
            torch.testing.assert_close(loaded(images), network(images), atol=1e-3, rtol=0)


def test_the_card_says_what_it_is(exported):
    found = json.loads(exported.with_suffix(".json").read_text())
    assert found["kind"] == "exported network"
    assert (found["format"], found["precision"], found["source"]) == ("openvino", "fp32", "tiny")
    assert found["checked"]["largest_difference"] <= graphs.TOLERANCE
    assert {"torch", "openvino"} <= set(found["versions"])


def test_operations_are_counted_as_torchs(network, exported):
    loaded = load_network(exported)
    images = torch.zeros(1, 3, 64, 96)
    counts = []
    for each in (network, loaded):
        with torch.inference_mode(), in_torch():
            p = each.features(images)
            for call in (lambda: each(images), lambda: each.features(images), lambda: each.classify(p)):  # noqa: B023
                with FlopCounterMode(display=False) as counter:
                    call()
                counts.append(counter.get_total_flops())
    assert counts[3:] == pytest.approx(counts[:3], rel=0.02)  # pooling to fixed grids does not grow with the picture
    with FlopCounterMode(display=False) as counter:
        loaded(images)
    assert counter.get_total_flops() == 0


def test_a_graph_that_differs_from_torch_is_not_written(network, monkeypatch, tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    honest = graphs.runner_of

    def lying(model, format_):
        run = honest(model, format_)
        return lambda inputs: [value + 0.01 for value in run(inputs)]

    monkeypatch.setattr(graphs, "runner_of", lying)
    with pytest.raises(ModelError, match=r"differs from torch by 0\.01"):
        export_network(network, tmp_path / "tiny.xml", "openvino", card(network), overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_quantised_it_says_nearly_the_same(network, tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    rng = np.random.default_rng(0)
    pictures = [{"images": rng.standard_normal((1, 3, 48, 64 + 4 * i)).astype(np.float32)} for i in range(3)]
    file = tmp_path / "tiny-int8.xml"
    written = export_network(
        network, file, "openvino", card(network, precision="int8"), calibration=pictures, overwrite=False
    )
    assert written.calibration["label_agreement_with_fp32"] > 0.8  # a random network is rarely sure
    assert "FakeQuantize" in file.read_text()
    loaded = load_network(file)
    assert loaded.precision == "int8"
    images = torch.from_numpy(rng.standard_normal((1, 3, 67, 93)).astype(np.float32))
    with torch.inference_mode():
        logits, expected = loaded(images), network(images)
    assert not torch.equal(logits, expected)
    assert (logits.argmax(1) == expected.argmax(1)).float().mean() > 0.8


def test_layers_that_cost_much_by_themselves_stay_in_fp32(network, tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    from gopseg.segnet.runtime import quantising

    rng = np.random.default_rng(0)
    pictures = [{"images": rng.standard_normal((1, 3, 48, 64)).astype(np.float32)} for _ in range(2)]
    costs = {}
    for times in (1e9, 1.0):
        monkeypatch.setattr(quantising, "SENSITIVE", times)
        file = tmp_path / f"{times:g}.xml"
        own = card(network, precision="int8")
        costs[times] = export_network(network, file, "openvino", own, calibration=pictures, overwrite=False)
    assert costs[1e9].calibration["layers_in_fp32"] == {}
    kept = costs[1.0].calibration["layers_in_fp32"]  # what is above the middle
    assert 1 <= len(kept) <= 5
    assert all(cost > 0 for cost in kept.values())
    in_int8 = {times: (tmp_path / f"{times:g}.xml").read_text().count('type="FakeQuantize"') for times in costs}
    assert in_int8[1.0] < in_int8[1e9]


def test_what_cannot_be_loaded_says_why(exported, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load_network(tmp_path / "none.onnx")
    alone = tmp_path / "alone.xml"
    alone.write_bytes(exported.read_bytes())
    with pytest.raises(ModelError, match=r"'.*alone.xml' needs the card 'alone.json' that export-segnet wrote"):
        load_network(alone)
    alone.with_suffix(".json").write_bytes(exported.with_suffix(".json").read_bytes())
    alone.write_text("<net/>")
    with pytest.raises(ModelError, match="is no network that export-segnet wrote for OpenVINO"):
        load_network(alone)


def test_the_shipped_int8_graph_is_of_the_shipped_weights_and_nearly_says_the_same():
    name = "swiftnet-lite0-camvid"
    network = load_network(name)
    file = quantised_graph(network)
    assert file is not None, "train anew, quantise anew: docs/runtimes.md, int8"
    measured = ExportCard.read(file).calibration["measured"]
    assert measured["miou_val_int8"] > measured["miou_val_fp32"] - 0.003
    assert min(measured["label_agreement_on_street_clips"].values()) > 0.97
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    picture, _ = SyntheticStreet(seed=3).frame(0)
    images = network.normalise(torch.from_numpy(picture)[None])
    with torch.inference_mode():
        expected, found = network(images), load_network(file)(images)
    assert not torch.equal(found, expected)
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.97


def test_the_shipped_int8_branch_is_of_the_shipped_weights_and_loses_little():
    file = quantised_beside(find_weights("swiftnet-lite0-camvid-ar0.5"), BRANCH)
    assert file is not None, "train anew, quantise anew: docs/runtimes.md, int8"
    measured = ExportCard.read(file).calibration["measured"]
    assert measured["miou_val_int8"] > measured["miou_val_fp32"] - 0.003
    assert min(measured["label_agreement_on_street_clips"].values()) > 0.97

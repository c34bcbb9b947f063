"""Branches with their fusion and propagation heads as graphs: torch's numbers at odd sizes, each input on the card."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch

from gopseg.segnet import (
    BRANCH,
    AlteringResolution,
    ExportCard,
    Interface,
    LowResolution,
    ModelError,
    Motion,
    PropagationModel,
    PropagationSettings,
    RuntimeFrames,
    branch_graphs,
    build_fusion,
    export_branches,
    head_graph,
    int8_file,
    load_network,
    local_attention,
    quantised_beside,
    quantised_graph,
)
from gopseg.segnet.fusion.attention import shifted_attention

SIZES = ((67, 93), (52, 133))


def card(classes, mean, std):
    interface = Interface(
        classes=classes,
        feature_channels=12,
        feature_stride=4,
        linear_classifier=False,
        architecture="",
        mean=mean,
        std=std,
    )
    return ExportCard(interface=interface, source="x", weights_sha256="0" * 64, format="openvino", precision="fp32")


def sources_of_outputs(file):
    """The kinds of the nodes that make a graph's outputs."""
    import openvino

    model = openvino.Core().read_model(file)
    return [each.get_node().input_value(0).get_node().get_type_name() for each in model.outputs]


def test_what_is_said_of_an_argument_of_many_goes_together():
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    from gopseg.segnet.runtime.engines.onnx_engine import _as_arguments

    class Plain(torch.nn.Module):
        def forward(self, a, b): ...

    class Open(torch.nn.Module):
        def forward(self, a, *rest): ...

    assert _as_arguments(Plain(), [1, 2]) == (1, 2)
    assert _as_arguments(Open(), [1, 2, 3]) == (1, (2, 3))
    assert _as_arguments(Open(), [1]) == (1, ())


@pytest.mark.parametrize("fusion", ["evidence", "creff"])
def test_an_ar_branch_is_exported_with_its_fusion(fusion, network, tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    torch.manual_seed(0)
    made = build_fusion(fusion, network)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    branch = AlteringResolution(LowResolution(network, 0.5), made).eval()
    file = tmp_path / "ar.xml"
    own = card(network.classes, (70.0, 80.0, 90.0), (50.0, 51.0, 52.0))
    written = export_branches(branch_graphs(branch, SIZES), file, "openvino", own, overwrite=False)
    names = {"evidence": ["ar.xml", "ar-keyframe.xml"], "creff": ["ar.xml"]}[fusion]
    assert [path.name for path in written] == names
    for path, each in written.items():
        assert each.checked["largest_difference"] < 1e-3
        assert json.loads(path.with_suffix(".json").read_text())["kind"] == "exported branch"
    told = {"unreferenced", "distance", "carried1", "carried2"} if fusion == "evidence" else set()
    assert set(written[file].inputs) == {"small", "displacement", "carried0"} | told
    whose = {"evidence": "logits of the keyframe", "creff": "features of the keyframe"}[fusion]
    assert written[file].inputs["carried0"].startswith(whose)
    for path in written:
        assert "Parameter" not in sources_of_outputs(path), (
            "no output that is an input, which OpenVINO does not copy where sizes are free"
        )
    with pytest.raises(ModelError, match="part of an exported branch"):
        load_network(file)


@pytest.mark.parametrize("published", [False, True])
def test_a_heads_step_is_exported(published, tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    torch.manual_seed(0)
    classes = ("road", "sky", "tree")
    settings = (
        PropagationSettings.published(classes, edges=True, flow="light")
        if published
        else PropagationSettings(classes=classes, stride=4, width=8)
    )
    head = PropagationModel(settings, flow="motion").eval()
    own = card(classes, settings.mean, settings.std)
    graphs = [head_graph(head, SIZES)]
    written = export_branches(graphs, tmp_path / "head.xml", "openvino", own, overwrite=False)
    (made,) = written.values()
    assert made.checked["largest_difference"] < 1e-3
    assert set(made.inputs) == {"scores", "displacement", "frame", "nearest"} | (set() if published else {"validity"})


def test_a_quantised_branch_beside_its_weights_is_what_int8_runs(network, tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    weights = tmp_path / "ar.safetensors"
    weights.write_bytes(b"weights")
    branch = AlteringResolution(LowResolution(network, 0.5), build_fusion("evidence", network)).eval()
    monkeypatch.setattr(branch.low, "weights_file", weights)
    graphs = branch_graphs(branch, SIZES)
    examples = [{name: value[:1].numpy() for name, value in each.items()} for each in graphs[0].tried.values()]
    own = card(network.classes, (70.0, 80.0, 90.0), (50.0, 51.0, 52.0))
    own = replace(own, precision="int8", weights_sha256=hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(ModelError, match="'ar' has no quantised graph of its present weights"):
        RuntimeFrames(branch, "openvino", "int8")
    written = export_branches(graphs, int8_file(weights), "openvino", own, examples, overwrite=False)
    assert list(written) == [tmp_path / "ar-int8.xml"]  # what is carried is made once a keyframe
    assert 0.8 < written[tmp_path / "ar-int8.xml"].calibration["label_agreement_with_fp32"] <= 1
    assert quantised_beside(weights, BRANCH) == tmp_path / "ar-int8.xml"
    assert quantised_graph(branch.low) is None  # mode lr runs the network alone
    given = {name: torch.from_numpy(value) for name, value in examples[0].items()}
    motion = Motion(given["displacement"], given["unreferenced"], given["distance"])
    carried = tuple(value for name, value in given.items() if name.startswith("carried"))
    with torch.inference_mode():
        found, expected = (
            RuntimeFrames(branch, "openvino", precision).fuse(given["small"], carried, motion, SIZES[0])
            for precision in ("int8", "fp32")
        )
    assert not torch.equal(found, expected)
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.8
    weights.write_bytes(b"others")
    assert quantised_beside(weights, BRANCH) is None


def test_attention_by_shifts_is_attention():
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 6, 9, 11), torch.randn(2, 6, 9, 11), torch.randn(2, 4, 9, 11)
    torch.testing.assert_close(shifted_attention(query, key, value, 7), local_attention(query, key, value, 7))

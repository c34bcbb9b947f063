"""Frames between keyframes on another runtime: torch's numbers, at each size, also where the graph is cut in two."""

import dataclasses

import pytest
import torch

from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    Motion,
    PropagationFrame,
    PropagationModel,
    PropagationSettings,
    RuntimeFrames,
    RuntimeSteps,
    build_fusion,
    frame_inputs,
    in_torch,
)

SIZES = ((67, 93), (52, 133))


@pytest.fixture(scope="module", autouse=True)
def cached(tmp_path_factory):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def branch(network):
    torch.manual_seed(0)
    fusion = build_fusion("evidence-light", network)
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return AlteringResolution(LowResolution(network, 0.5), fusion).eval()


@pytest.fixture(scope="module")
def frames(branch):
    return RuntimeFrames(branch, "openvino", "fp32")


def altered(branch, size_hw, grid_hw=None):
    """Two frames of a keyframe: what `fuse` takes of each, and what it is given for all."""
    low = branch.low
    grid_hw = grid_hw or low.grid(size_hw)
    p, logits = torch.randn(1, low.feature_channels, *grid_hw), torch.randn(1, len(low.classes), *grid_hw)
    carried = branch.fusion.carry(low, torch.randn(1, 3, *size_hw), p, logits)
    cells = low.grid(size_hw)
    motion = Motion(5 * torch.randn(2, *cells, 2), torch.rand(2, *cells), torch.tensor([1, 7.0]))
    return torch.randn(2, 3, *low.low_size(size_hw)), carried, motion, size_hw


def in_torch_alone(branch, small, carried, motion, size_hw):
    each = tuple(x.expand(len(small), -1, -1, -1) for x in carried)
    return branch.fuse(small, branch.low.network.features(small), each, motion, size_hw)


@pytest.mark.parametrize("grid_hw", [None, (18, 25)])
@pytest.mark.parametrize("size_hw", SIZES)
def test_frames_are_fused_as_in_torch(branch, frames, size_hw, grid_hw):
    with torch.inference_mode():
        given = altered(branch, size_hw, grid_hw)  # on whole cells, or on a grid that spans the picture
        expected = in_torch_alone(branch, *given)
        found = frames.fuse(*given)
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
        again = frames.fuse(*given)  # what was given before is not written over
        assert torch.equal(found, again)
        with in_torch():
            assert torch.equal(frames.fuse(*given), expected)


def head_of(**settings):
    torch.manual_seed(0)
    classes = ("road", "sky", "tree")
    model = PropagationModel(PropagationSettings(classes=classes, stride=4, width=8, refining=True, **settings)).eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return model


def told(model, size_hw):
    grid_hw = model.settings.grid_hw(size_hw)
    reduced, before = torch.randn(2, 1, 3, *grid_hw).unbind(0)
    return {
        "scores": torch.randn(1, 3, *grid_hw).softmax(1),
        "frame": PropagationFrame(size_hw, reduced, reduced),
        "reference": PropagationFrame(size_hw, before, before),
        "displacement": 2 * torch.randn(1, *grid_hw, 2),
        "validity": (torch.randn(1, 1, *grid_hw) < 1).float(),
        "nearest": torch.randint(grid_hw[0] * grid_hw[1], (1, *grid_hw)),
    }


@pytest.mark.parametrize("photometric", [False, True])
def test_steps_are_made_as_in_torch(photometric):
    model = head_of(photometric=photometric)
    steps = RuntimeSteps(model, "openvino", "fp32")
    for size_hw in SIZES:
        given = told(model, size_hw)
        for left_out in ((), ("nearest",), ("validity", "nearest")):
            known = {name: value for name, value in given.items() if name not in left_out}
            with torch.inference_mode():
                expected, found = model.step(**known), steps.step(**known)
            torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
            assert (found.validity is None) == (expected.validity is None)
            if found.validity is not None:
                torch.testing.assert_close(found.validity, expected.validity, atol=1e-4, rtol=0)


def test_settings_that_no_weight_tells_are_another_graph():
    settings = {"photometric": False}
    model = head_of(**settings)
    given = told(model, SIZES[0])
    with torch.inference_mode():
        plain = RuntimeSteps(model, "openvino", "fp32").step(**given).scores
        model.head.settings = model.settings = dataclasses.replace(model.settings, evidence=3.0)
        assert not torch.equal(RuntimeSteps(model, "openvino", "fp32").step(**given).scores, plain)


def test_places_are_worked_out_by_themselves_where_the_rest_is_in_bf16(branch, frames, monkeypatch):
    """The cut itself, at fp32, which every CPU has."""
    from gopseg.segnet.runtime.engines import OpenVinoGraph

    model = head_of(photometric=True)
    steps = RuntimeSteps(model, "openvino", "fp32")
    with torch.inference_mode():
        given, known = altered(branch, SIZES[0]), told(model, SIZES[0])
        whole, step = frames.fuse(*given), steps.step(**known)
        names, engine = steps._engine(knows_validity=True)
        steps._engines[True] = names, OpenVinoGraph(engine.model, 1, "fp32", split_warps=True)
        halved = steps.step(**known)
        monkeypatch.setattr(frames, "_engine", OpenVinoGraph(frames._engine.model, 1, "fp32", split_warps=True))
        torch.testing.assert_close(frames.fuse(*given), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(halved.scores, step.scores, atol=1e-5, rtol=0)
    assert torch.equal(halved.validity, step.validity)
    first, rest = steps._engines[True][1]._parts.popitem()[1]
    assert set(first._outputs) == {"warped0", "warped1", "made_validity"}
    assert rest._outputs == ["made_scores"]


def test_graphs_stay_compiled_for_a_few_sizes(branch, frames):
    from gopseg.segnet.runtime.engines import openvino_graph

    with torch.inference_mode():
        for width in range(40, 40 + 8 * (openvino_graph.SIZES_KEPT + 1), 8):
            frames.fuse(*altered(branch, (40, width)))
    assert len(frames._engine._parts) == openvino_graph.SIZES_KEPT


def test_what_changes_nothing_at_a_size_is_left_out(branch, frames):
    """At 64x96 the small picture has the size of the fusion's own."""
    from gopseg.segnet.runtime.engines import skip_identities

    def kinds(model):
        return [node.get_type_name() for node in model.get_ordered_ops()]

    given = altered(branch, (64, 96))
    inputs = frame_inputs(branch, *given)
    model = frames._engine.model.clone()
    model.reshape({name: [1, *inputs[name].shape[1:]] for name in frames._inputs})
    before = kinds(model)
    skip_identities(model)
    after = kinds(model)
    assert before.count("MatMul") - after.count("MatMul") >= 2  # picture to parts of cells, along both axes
    assert before.count("Interpolate") - after.count("Interpolate") >= 2  # query to cells, motion to the network's grid
    with torch.inference_mode():
        torch.testing.assert_close(frames.fuse(*given), in_torch_alone(branch, *given), atol=1e-3, rtol=0)


def test_layers_that_several_kinds_of_layers_follow_are_set_apart(branch, frames):
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    from gopseg.segnet.runtime.engines import OpenVinoGraph
    from gopseg.segnet.runtime.quantising import CONVOLUTIONS, set_apart

    apart = set_apart(frames._engine.model)
    followed = []
    for node in apart.get_ordered_ops():
        if node.get_type_name() in CONVOLUTIONS:
            kinds = {target.get_node().get_type_name() for target in node.output(0).get_target_inputs()}
            assert len(kinds) == 1
            followed += kinds
    assert "Clamp" in followed  # such as behind what is classified, which the fusion takes, too
    given = frame_inputs(branch, *altered(branch, SIZES[0]))
    inputs = {name: given[name][:1].detach().contiguous().numpy() for name in frames._inputs}
    (found,) = OpenVinoGraph(apart, 1, "fp32")(inputs)
    (expected,) = frames._engine(inputs)
    assert abs(found - expected).max() < 1e-5

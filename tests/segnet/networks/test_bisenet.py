import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gopseg.segnet import Supervised, build_network, parameter_count
from gopseg.segnet.networks.bisenet import BiSeNet


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return BiSeNet(["road", "sky", "tree"]).eval()


def test_sizes_are_the_published_ones():
    network = BiSeNet(12)
    assert parameter_count(network) == 13_423_012
    assert parameter_count(BiSeNet(19)) == 13_425_721
    parts = {name: parameter_count(part) for name, part in network.named_children()}
    heads = {"conv_out": 593_420, "conv_out16": 74_636, "conv_out32": 74_636}
    assert parts == {"cp": 12_456_256, "sp": 91_968, "ffm": 132_096} | heads


@torch.inference_mode()
@pytest.mark.parametrize(
    ("classes", "size", "without_auxiliary", "published"),
    [(12, (720, 960), 39.12, 40.12), (19, (1024, 2048), 118.34, 121.41)],
)
def test_cost_in_multiply_accumulates_is_the_published_one(classes, size, without_auxiliary, published):
    with torch.device("meta"):
        network, image = BiSeNet(classes).eval(), torch.zeros(1, 3, *size)
    for call, expected in ((network, without_auxiliary), (network.published_outputs, published)):
        with FlopCounterMode(display=False) as counter:
            call(image)
        assert counter.get_total_flops() / 2e9 == pytest.approx(expected, abs=0.006)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("size", "p_grid", "grid"),
    [((64, 96), (8, 12), (8, 12)), ((72, 96), (10, 12), (9, 12)), ((41, 51), (6, 8), (6, 7))],
)
def test_p_spans_the_picture_and_logits_keep_the_contract(network, size, p_grid, grid):
    image = torch.randn(1, 3, *size)
    p = network.features(image)
    assert p.shape == (1, 256, *p_grid)
    logits = network(image)
    assert logits.shape == (1, 3, *grid)
    if p_grid == grid:
        torch.testing.assert_close(logits, network.classify(p))


@torch.inference_mode()
def test_published_outputs(network):
    outputs = network.published_outputs(torch.randn(1, 3, 72, 96))
    assert [tuple(x.shape) for x in outputs] == [*([(1, 3, 80, 96)] * 3), (1, 256, 10, 12)]
    torch.testing.assert_close(outputs[0], network.published_scores(outputs[-1]))


def test_gradients_reach_every_parameter(network):
    p, (_, *auxiliary) = Supervised(network)(torch.randn(2, 3, 64, 64))
    assert [tuple(x.shape[1:]) for x in auxiliary] == [(3, 8, 8), (3, 4, 4)]
    (network.classify(p).mean() + sum(x.mean() for x in auxiliary)).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    network.zero_grad()


def test_the_two_data_sets_differ_in_their_statistics_only():
    camvid, cityscapes = build_network("camvid-bise18", 2), build_network("cityscapes-bise18", 2)
    assert camvid.state_dict().keys() == cityscapes.state_dict().keys()
    assert float(camvid.mean[0, 0]) == pytest.approx(255 * 0.39068785)
    assert float(cityscapes.mean[0, 0]) == pytest.approx(255 * 0.3257)

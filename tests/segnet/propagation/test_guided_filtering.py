import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gopseg.segnet import parameter_count
from gopseg.segnet.flow.light import LightFlowNet
from gopseg.segnet.propagation.edges import label_edges, score_edges
from gopseg.segnet.propagation.guided_filtering import (
    GuidingNetwork,
    IdealDelays,
    IntraNetwork,
    guided_filter,
    normalise_kernels,
)

NEIGHBOURS = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize("dead_map", [False, True])
def test_the_bank_is_eight_neighbours_and_the_published_dead_map(dead_map):
    bank = IdealDelays(dead_map=dead_map).filter_copy_s
    assert bank.shape == (9 if dead_map else 8, 1, 1, 3, 3)
    for kernel, (row, column) in zip(bank[:, 0, 0], NEIGHBOURS, strict=False):
        assert kernel.sum() == kernel[row, column] == 1
    assert not dead_map or bank[8].abs().max() == 0
    assert not list(IdealDelays(dead_map=dead_map).parameters())


def definition(scores, intra, shares, bank):
    """GSVNet's stack of maps, written out: the scores, the bank over (class, y, x), the intra scores."""
    maps = functional.conv3d(scores[:, None], bank, padding=(0, 1, 1))
    stack = torch.cat([scores[:, None], maps, intra[:, None]], 1)
    return (shares[:, :, None] * stack).sum(1)


@pytest.mark.parametrize("dead_map", [False, True])
@pytest.mark.parametrize("shape", [(2, 5, 9, 13), (1, 1, 1, 1), (1, 3, 2, 7)])
def test_guided_filter_is_its_definition(dead_map, shape):
    torch.manual_seed(0)
    bank = IdealDelays(dead_map=dead_map)
    scores, intra = torch.randn(shape), torch.randn(shape)
    shares = torch.rand(shape[0], len(bank.taps) + 1, *shape[2:])
    found = guided_filter(scores, intra, shares, bank.taps, pad_mode="constant")
    torch.testing.assert_close(found, definition(scores, intra, shares, bank.filter_copy_s))


def test_a_trained_bank_is_used_as_it_is():
    bank = IdealDelays(dead_map=True)
    bank.filter_copy_s.uniform_(-1, 1)
    scores, intra, shares = torch.randn(1, 2, 6, 6), torch.randn(1, 2, 6, 6), torch.rand(1, 11, 6, 6)
    found = guided_filter(scores, intra, shares, bank.taps, pad_mode="constant")
    torch.testing.assert_close(found, definition(scores, intra, shares, bank.filter_copy_s))


@pytest.mark.parametrize("pad_mode", ["constant", "replicate"])
def test_one_hot_shares_pick_their_map(pad_mode):
    taps = IdealDelays(dead_map=True).taps
    scores, intra = torch.randn(1, 4, 7, 8), torch.randn(1, 4, 7, 8)

    def pick(index):
        shares = torch.zeros(1, 11, 7, 8)
        shares[:, index] = 1
        return guided_filter(scores, intra, shares, taps, pad_mode=pad_mode)

    torch.testing.assert_close(pick(0), scores)
    torch.testing.assert_close(pick(10), intra)
    assert pick(9).abs().max() == 0
    for index, (row, column) in enumerate(NEIGHBOURS, 1):
        torch.testing.assert_close(
            pick(index)[..., 1:-1, 1:-1], scores[..., row : row + 5, column : column + 6], msg=f"map {index}"
        )
    border = pick(2)[..., 0, :]
    torch.testing.assert_close(border, scores[..., 0, :] if pad_mode == "replicate" else torch.zeros(1, 4, 8))


def test_shares_sum_to_one_unless_published_and_closed():
    weights = torch.rand(2, 11, 4, 5)
    weights[0, :, 1, 2] = 0
    published = normalise_kernels(weights, softmax=False).sum(1)
    assert published[0, 1, 2] == 0
    published[0, 1, 2] = 1
    torch.testing.assert_close(published, torch.ones(2, 4, 5))
    torch.testing.assert_close(normalise_kernels(weights, softmax=True).sum(1), torch.ones(2, 4, 5))


def naive_edges(labels, rule):
    height, width = labels.shape
    edges = np.zeros(labels.shape, np.float32)
    for y in range(height):
        for x in range(width):
            near = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            inside = [labels[p] for p in near if 0 <= p[0] < height and 0 <= p[1] < width]
            if rule == "any-neighbour":
                edges[y, x] = any(value != labels[y, x] for value in inside)
            else:
                edges[y, x] = sum(int(value) for value in inside) != 9 * int(labels[y, x])
    return edges


@pytest.mark.parametrize("rule", ["any-neighbour", "index-difference"])
@pytest.mark.parametrize("size", [(7, 9), (1, 1), (1, 6)])
def test_edges_are_their_definition(rule, size):
    labels = np.random.default_rng(3).integers(0, 3, (4, *size)) // 2 * 7
    found = label_edges(torch.from_numpy(labels), rule)
    assert found.shape == (4, 1, *size)
    np.testing.assert_array_equal(found[:, 0], [naive_edges(label, rule) for label in labels])


def test_the_published_edges_have_false_borders_and_cancel():
    labels = torch.full((1, 5, 6), 5)
    assert label_edges(labels, "index-difference").sum() == 5 * 6 - 3 * 4
    assert label_edges(labels * 0, "index-difference").sum() == 0
    assert label_edges(labels, "any-neighbour").sum() == 0
    labels[0, 2, 1:4] = torch.tensor([4, 5, 6])
    assert label_edges(labels, "index-difference")[0, 0, 2, 2] == 0
    assert label_edges(labels, "any-neighbour")[0, 0, 2, 2] == 1


def test_edges_of_scores_carry_no_gradient():
    scores = torch.randn(1, 3, 6, 6, requires_grad=True)
    edges = score_edges(scores)
    assert not edges.requires_grad
    torch.testing.assert_close(edges, label_edges(scores.argmax(1)))


@pytest.mark.parametrize("grid_hw", [(90, 120), (23, 37), (5, 1), (1, 1)])
@torch.inference_mode()
def test_guiding_network_takes_any_grid(grid_hw):
    network = GuidingNetwork(12, 11).eval()
    weights = network(torch.randn(2, 12, *grid_hw))
    assert weights.shape == (2, 11, *grid_hw)
    assert weights.min() >= 0
    assert GuidingNetwork(12, 11, rectified=False).eval()(torch.randn(1, 12, *grid_hw)).min() < 0


def test_published_sizes_and_costs():
    """GMAC on the grid of 1024x2048, of the released code (Lee et al., ICME 2021); the bank spends no 0.050 here."""
    with torch.device("meta"):
        parts = {
            "flow": (LightFlowNet(), (1, 6, 128, 256), 186_402, 0.390),
            "intra": (IntraNetwork(19), (1, 3, 128, 256), 15_763, 0.510),
            "guide": (GuidingNetwork(20, 11), (1, 20, 128, 256), 194_241, 1.803),
        }
        for name, (network, shape, parameters, gmac) in parts.items():
            with FlopCounterMode(display=False) as counter:
                network(torch.zeros(shape))
            assert parameter_count(network) == parameters, name
            assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=6e-4), name

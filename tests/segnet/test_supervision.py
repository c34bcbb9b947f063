"""Auxiliary heads and parameter groups: what training knows of a network's insides."""

import numpy as np
import pytest
import torch
from torch import nn

from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    SegmentationLoss,
    Supervised,
    build_fusion,
    build_network,
    head_loss,
    parameter_groups,
    presence_loss,
)

SIZE = (72, 104)
OWN_HEADS = {
    "gsvnet-bise18": [(5, 7), (9, 13)],
    "camvid-psp18": [()],
    "cityscapes-psp18": [(9, 13)],
    "etc-psp18": [(9, 13)],
    "camvid-bise18": [(10, 14), (5, 7)],
}
FRESH_HEADS = {
    "swiftnet18": [(3, 4), (5, 7), (9, 13)],
    "swiftnet18-pyramid": [(3, 4), (5, 7), (9, 13)],
    "swiftnet-lite0": [(3, 4), (5, 7), (9, 13)],
}


def network_of(name, classes=3):
    torch.manual_seed(0)
    return build_network(name, classes)


@pytest.mark.parametrize("name", [*OWN_HEADS, *FRESH_HEADS])
def test_heads_give_one_logit_per_class(name):
    network = network_of(name).eval()
    images = torch.randn(1, 3, *SIZE)
    with torch.inference_mode():
        p, (logits, *auxiliary) = Supervised(network)(images)
        assert torch.equal(p, network.features(images)), "supervision changes nothing"
        assert torch.equal(logits, network.classify(p))
    assert [tuple(x.shape) for x in auxiliary] == [(1, 3, *grid) for grid in {**OWN_HEADS, **FRESH_HEADS}[name]]


@pytest.mark.parametrize("name", OWN_HEADS)
def test_own_heads_are_in_the_weights_and_are_frozen_without_supervision(name):
    network = network_of(name)
    own = {id(x) for x in network.parameters()}
    assert all(id(x) in own for x in network.auxiliary().parameters())
    supervised = Supervised(network)
    assert all(group.name != "auxiliary" for group in supervised.parameter_groups())
    before = torch.get_rng_state()
    Supervised(network, deep=False)
    assert torch.equal(torch.get_rng_state(), before)
    frozen = {id(x) for x in network.parameters() if not x.requires_grad}
    assert frozen == {id(x) for x in network.auxiliary().parameters()}


@pytest.mark.parametrize("name", FRESH_HEADS)
def test_fresh_heads_belong_to_the_caller(name):
    network = network_of(name)
    supervised = Supervised(network)
    extra = [group for group in supervised.parameter_groups() if group.name == "auxiliary"]
    assert sum(len(group.parameters) for group in extra) == 6
    own = {id(x) for x in network.parameters()}
    assert not any(id(x) in own for group in extra for x in group.parameters.values())
    before = torch.get_rng_state()
    assert all(x.requires_grad for x in Supervised(network, deep=False).parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_without_heads_are_supervised_as_they_are():
    pytest.importorskip("transformers")
    network = network_of("segformer-b0")
    assert len(Supervised(network)(torch.randn(1, 3, 64, 64))[1]) == 1


def test_an_lr_branch_has_the_heads_of_its_network():
    low = LowResolution(network_of("swiftnet18"), 0.5).eval()
    images = torch.randn(1, 3, 128, 192)
    with torch.inference_mode():
        p, (_, *auxiliary) = Supervised(low)(images)
        assert torch.equal(p, low.features(images))
    assert [tuple(x.shape[-2:]) for x in auxiliary] == [(2, 3), (4, 6), (8, 12)]


ALL = [*OWN_HEADS, *FRESH_HEADS, "segformer-b0", "mrcfa-b0"]


@pytest.mark.parametrize("name", ALL)
def test_groups_hold_every_parameter_once_by_its_name(name):
    if name.startswith(("segformer", "mrcfa")):
        pytest.importorskip("transformers")
    network = network_of(name)
    for module in (network, Supervised(network), Supervised(LowResolution(network, 0.5))):
        found = {}
        for group in parameter_groups(module):
            for key, value in group.parameters.items():
                assert id(value) not in found
                found[id(value)] = value
                assert module.get_parameter(key) is value
        assert found.keys() == {id(x) for x in module.parameters()}
        assert {group.name for group in parameter_groups(module)} - {"auxiliary"} == {"encoder", "decoder"}


@pytest.mark.parametrize("name", [*OWN_HEADS, "swiftnet18", "swiftnet18-pyramid"])
def test_the_encoder_is_resnet_18_without_its_classifier(name):
    groups = [group for group in parameter_groups(network_of(name)) if group.name == "encoder"]
    convolutions = [x for group in groups for x in group.parameters.values() if group.decayed]
    assert sum(x.numel() for x in convolutions) == 11_166_912
    assert all(x.ndim == 4 for x in convolutions)


def test_segformers_groups_are_the_published_recipe():
    pytest.importorskip("transformers")
    network = network_of("mrcfa-b0")
    for group in parameter_groups(network):
        assert group.rate == (10.0 if group.name == "decoder" else 1.0)
        if group.name == "encoder":
            assert all(("norm" in key) != group.decayed for key in group.parameters)
        else:
            assert group.decayed


def test_an_ar_branch_has_its_low_branch_and_its_fusion_apart():
    network = network_of("swiftnet18")
    branch = AlteringResolution(LowResolution(network, 0.5), build_fusion("evidence", network))
    sizes = {}
    for group in parameter_groups(branch):
        sizes[group.name] = sizes.get(group.name, 0) + sum(x.numel() for x in group.parameters.values())
        assert all(branch.get_parameter(key) is value for key, value in group.parameters.items())
    parts = {"low branch": branch.low, "fusion": branch.fusion}
    assert sizes == {name: sum(x.numel() for x in part.parameters()) for name, part in parts.items()}


def test_a_module_without_groups_is_one_of_all():
    groups = parameter_groups(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    assert [(group.name, group.decayed, sorted(group.parameters)) for group in groups] == [
        ("all", True, ["0.weight"]),
        ("all", False, ["0.bias", "1.bias", "1.weight"]),
    ]


def test_presence_is_learned_from_the_classes_in_the_picture():
    labels = torch.full((2, 4, 4), 255, dtype=torch.uint8)
    labels[0, 0, 0], labels[1] = 2, 0
    right = torch.tensor([[-9.0, -9, 9], [9, -9, -9]])
    assert presence_loss(right, labels) < 1e-3
    assert presence_loss(-right, labels) > 5
    criterion = SegmentationLoss(np.ones(3, np.float32))
    assert torch.equal(head_loss(criterion, right, labels), presence_loss(right, labels))
    logits = torch.randn(2, 3, 2, 2)
    assert torch.equal(head_loss(criterion, logits, labels), criterion(logits, labels[:, 2::4, 2::4]))

from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gopseg.segnet import ModelError, Supervised, SwiftNet, initialise, parameter_count
from gopseg.segnet.flow.flownet import FlowNetS
from gopseg.segnet.importing.published import import_network
from gopseg.segnet.networks.bisenet_gsvnet import BiSeNetGSVNet
from gopseg.segnet.networks.resnet import ResNet18
from gopseg.segnet.networks.swiftnet_pyramid import SwiftNetPyramid


def test_sizes_are_the_published_ones():
    pyramid, bisenet = SwiftNetPyramid(19), BiSeNetGSVNet(19)
    assert (parameter_count(pyramid), len(pyramid.state_dict())) == (12_056_275, 333)
    assert (parameter_count(bisenet), len(bisenet.state_dict())) == (13_494_777, 218)
    inference = bisenet.state_dict()
    without_auxiliary = sum(
        p.numel() for key, p in bisenet.named_parameters() if not key.startswith(("heads.0", "heads.1"))
    )
    assert round(4e-6 * without_auxiliary, 2) == 51.58
    assert "ffm.channel_attention.2.conv.weight" in inference
    assert "global_context.1.bn.running_var" in inference


@torch.inference_mode()
def test_pyramid_fingerprint(fill, draw, matches):
    network = fill(SwiftNetPyramid(19))
    images = (80 + 40 * draw(1, (1, 3, 128, 256))).permute(0, 2, 3, 1)
    matches(
        network(network.normalise(images)),
        (1, 19, 32, 64),
        "5.671556 36.691136 -112.991554 98.989349 -8.06355 7.92081 11.48508",
    )


@torch.inference_mode()
def test_bisenet_fingerprint(fill, draw, matches):
    network = fill(BiSeNetGSVNet(19))
    matches(
        network(draw(1, (1, 3, 128, 256))),
        (1, 19, 16, 32),
        "21.530768 61.126337 -129.022461 200.238754 11.51616 20.9994 28.76196",
    )


@pytest.mark.parametrize("build", [SwiftNetPyramid, BiSeNetGSVNet])
@torch.inference_mode()
def test_any_size_and_the_split_at_p(build):
    network = build(["a", "b", "c"]).eval()
    for size in ((64, 96), (75, 101), (33, 47)):
        images, stride = torch.randn(2, 3, *size), network.feature_stride
        p = network.features(images)
        assert p.shape == (2, network.feature_channels, -(-size[0] // stride), -(-size[1] // stride))
        logits = network.classify(p)
        assert logits.shape == (2, 3, *p.shape[-2:])
        torch.testing.assert_close(logits, network(images))


def test_the_levels_of_the_pyramid_have_their_own_norms():
    network = SwiftNetPyramid(2)
    network.train()(torch.randn(2, 3, 64, 64))
    means = [norm.running_mean for norm in network.backbone.bn1]
    assert not torch.allclose(means[0], means[1])
    assert all(norm.num_batches_tracked == 1 for norm in network.backbone.bn1)
    assert network.backbone.get_submodule("layer2.0.downsample.1").num_batches_tracked == 3


def test_bisenet_means_are_imagenets():
    network = BiSeNetGSVNet(2)
    grey = network.normalise(torch.full((1, 1, 1, 3), 127.5)).flatten()
    torch.testing.assert_close(grey, (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225]))


@torch.inference_mode()
def test_bisenet_auxiliary_logits():
    _, (_, coarse, fine) = Supervised(BiSeNetGSVNet(5).eval())(torch.randn(1, 3, 72, 104))
    assert coarse.shape == (1, 5, 5, 7)
    assert fine.shape == (1, 5, 9, 13)


def test_both_can_be_built_by_name_and_imported_strictly():
    for name, network in (("swiftnet18-pyramid", SwiftNetPyramid(3)), ("gsvnet-bise18", BiSeNetGSVNet(3))):
        imported, fusion = import_network(network.state_dict(), name)
        assert fusion is None
        assert type(imported) is type(network)
        assert len(imported.classes) == 3
        with pytest.raises(ModelError, match="not a checkpoint of"):
            import_network(dict(list(network.state_dict().items())[1:]), name)


@pytest.mark.parametrize("build", [SwiftNetPyramid, BiSeNetGSVNet])
def test_imagenet_weights_initialise_the_encoder_and_every_level(build, tmp_path):
    donor = ResNet18().state_dict()
    for key, value in donor.items():
        if value.is_floating_point():
            donor[key] = torch.rand_like(value)
    torch.save(donor | {"fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet18.pth")
    network = build(2)
    taken = initialise(network, tmp_path / "resnet18.pth")
    state = network.state_dict()
    if build is BiSeNetGSVNet:
        assert taken == len(donor)
        assert torch.equal(state["context_path.layer4.1.bn2.running_mean"], donor["layer4.1.bn2.running_mean"])
    else:
        norms = [key for key in donor if "bn" in key]
        assert taken == len(donor) + 2 * len(norms)
        for level in range(3):
            assert torch.equal(state[f"backbone.layer4.1.bn2.{level}.weight"], donor["layer4.1.bn2.weight"])
            assert torch.equal(state[f"backbone.bn1.{level}.running_var"], donor["bn1.running_var"])
        again = build(2)
        torch.save(state, tmp_path / "own.pth")
        assert initialise(again, tmp_path / "own.pth") == len(state)
        assert torch.equal(again.state_dict()["backbone.bn1.2.weight"], state["backbone.bn1.2.weight"])


@pytest.mark.parametrize(
    ("build", "shape", "gmac"),
    [
        (SwiftNet, (3, 1024, 2048), 103.57),
        (SwiftNet, (3, 768, 1536), 58.26),
        (SwiftNet, (3, 512, 1024), 25.89),
        (SwiftNetPyramid, (3, 1024, 2048), 128.2),
        (BiSeNetGSVNet, (3, 1024, 2048), 103.72),
        (BiSeNetGSVNet, (3, 768, 1536), 58.34),
        (partial(FlowNetS, "gsvnet"), (6, 128, 256), 2.63),
        (partial(FlowNetS, "flownet2s"), (6, 1024, 2048), 168.4),
    ],
)
def test_published_costs(build, shape, gmac):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build().eval()(torch.zeros(1, *shape))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=0.5 * 10 ** -len(str(gmac).split(".")[1]))

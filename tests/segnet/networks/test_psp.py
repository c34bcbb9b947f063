import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gopseg.segnet import Supervised, build_network, parameter_count
from gopseg.segnet.networks.psp import PSPNet
from gopseg.segnet.networks.psp_semseg import SemsegPSPNet
from gopseg.segnet.networks.resnet import ResNet18

BUILDERS = {"camvid-psp18": PSPNet, "cityscapes-psp18": SemsegPSPNet}


@pytest.fixture(scope="module", params=BUILDERS)
def network(request):
    torch.manual_seed(0)
    return build_network(request.param, ["road", "sky", "tree"]).eval()


def test_sizes_are_the_published_ones():
    camvid, semseg = PSPNet(12), SemsegPSPNet(19)
    assert parameter_count(camvid) == 17_461_979
    assert len(camvid.state_dict()) == 156
    assert {name: parameter_count(part) for name, part in camvid.named_children() if parameter_count(part)} == {
        "feats": 11_176_512,
        "psp": 3_671_040,
        "up_1": 2_360_065,
        "up_2": 147_649,
        "up_3": 37_057,
        "final_conv": 780,
        "classifier": 68_876,
    }
    assert parameter_count(semseg) == 16_764_262
    assert len(semseg.state_dict()) == 160
    assert [parameter_count(part) for part in (semseg.ppm, semseg.cls, semseg.aux)] == [263_168, 4_729_363, 595_219]


@torch.inference_mode()
@pytest.mark.parametrize(
    ("build", "size", "without_auxiliary", "published"),
    [(PSPNet, (720, 960), 308.64, 308.64), (SemsegPSPNet, (1024, 2048), 539.98, 559.47)],
)
def test_cost_in_multiply_accumulates_is_the_published_one(build, size, without_auxiliary, published):
    with torch.device("meta"):
        network, image = build().eval(), torch.zeros(1, 3, *size)
    for call, expected in ((network, without_auxiliary), (network.published_outputs, published)):
        with FlopCounterMode(display=False) as counter:
            call(image)
        assert counter.get_total_flops() / 2e9 == pytest.approx(expected, abs=0.006)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(48, 64), (41, 51)])
def test_any_size_and_the_split_at_p(network, size):
    image = torch.randn(1, 3, *size)
    p = network.features(image)
    cells = [-(-side // 8) for side in size]
    assert p.shape == (1, network.feature_channels, *(side * 8 // network.feature_stride for side in cells))
    logits = network(image)
    assert logits.shape == (1, 3, *(-(-side // network.feature_stride) for side in size))
    if p.shape[-2:] == logits.shape[-2:]:
        torch.testing.assert_close(network.classify(p), logits)


@torch.inference_mode()
def test_published_outputs_have_the_size_of_the_picture(network):
    first, second, p = network.published_outputs(torch.randn(1, 3, 41, 51))
    assert first.shape == (1, 3, 41, 51)
    if isinstance(network, PSPNet):
        torch.testing.assert_close(first.exp().sum(1), torch.ones(1, 41, 51))
        assert second.shape == (1, 3)
        torch.testing.assert_close(network.published_scores(p).exp().sum(1), torch.ones(1, 48, 56))
    else:
        assert second.shape == first.shape
        assert network.published_scores(p).shape == (1, 3, 6, 7)


def test_dilated_stages_keep_their_resolution_and_see_further():
    image = torch.zeros(1, 3, 64, 64)
    dilations = ((1, 1), (2, 2)), ((1, 1), (4, 4))
    dilated, plain = ResNet18(dilations), ResNet18()
    assert [x.shape[-1] for x in dilated(image)] == [8, 8, 8]
    assert [x.shape[-1] for x in plain(image)] == [8, 4, 2]
    assert dilated.state_dict().keys() == plain.state_dict().keys()
    assert [c.dilation[0] for c in (dilated.layer4[0].conv2, dilated.layer4[1].conv1)] == [1, 4]
    semseg = SemsegPSPNet(2)
    assert [c.dilation[0] for c in (semseg.layer4[0].conv1, semseg.layer4[0].conv2, semseg.layer3[0].conv2)] == [
        1,
        4,
        2,
    ]


def test_gradients_reach_every_parameter_of_the_frame_model(network):
    images = torch.randn(2, 3, 48, 48)
    if isinstance(network, PSPNet):
        log_probabilities, presence, _ = network.published_outputs(images)
        loss = log_probabilities.mean() + presence.mean()
    else:
        p, (_, auxiliary) = Supervised(network)(images)
        loss = network.classify(p).mean() + auxiliary.mean()
    loss.backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    network.zero_grad()


def test_normalisation_is_the_published_one_and_no_part_of_the_weights():
    camvid, semseg = PSPNet(2), SemsegPSPNet(2)
    assert float(camvid.mean[0, 0]) == pytest.approx(255 * 0.39068785)
    assert float(semseg.std[0, 2]) == pytest.approx(255 * 0.225)
    assert not [key for key in camvid.state_dict() if "mean" in key and "running" not in key]
    image = semseg.mean.view(1, 1, 1, 3).expand(1, 4, 5, 3)
    assert semseg.normalise(image).abs().max() < 1e-5

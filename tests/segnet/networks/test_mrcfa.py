"""MRCFA's parts by definition, its exact speed-ups, and its cost; the Mix Transformer's names and sizes."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch.nn.functional import conv2d, interpolate, relu
from torch.utils.flop_counter import FlopCounterMode

from gopseg.segnet import ModelError, build_network, load_network, parameter_count, save_model
from gopseg.segnet.losses.mrcfa_loss import clip_loss
from gopseg.segnet.networks.segformer.affinity import Affinity, Refinement, Tokens, chosen, most_important
from gopseg.segnet.networks.segformer.mit import SIZES, from_published, key_map, published_key, to_published
from gopseg.segnet.networks.segformer.mrcfa import last_of

torch.set_num_threads(1)


def built(name, classes=5):
    pytest.importorskip("transformers", reason="the extra segformer is not installed")
    torch.manual_seed(0)
    network = build_network(name, classes)
    bn = network.decode_head.linear_fuse.bn
    bn.running_mean.uniform_(-0.1, 0.1)
    bn.running_var.uniform_(0.8, 1.2)
    return network.eval()


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def b0():
    return built("mrcfa-b0")


@pytest.fixture(scope="module")
def b1():
    return built("mrcfa-b1")


VERSION_4 = {
    "encoder.patch_embeddings.0.proj.weight": "patch_embed1.proj.weight",
    "encoder.patch_embeddings.3.layer_norm.bias": "patch_embed4.norm.bias",
    "encoder.block.1.10.layer_norm_1.weight": "block2.10.norm1.weight",
    "encoder.block.1.10.attention.self.query.bias": "block2.10.attn.q.bias",
    "encoder.block.0.1.attention.self.key.weight": "block1.1.attn.kv.weight",
    "encoder.block.0.1.attention.self.value.weight": "block1.1.attn.kv.weight",
    "encoder.block.0.1.attention.output.dense.weight": "block1.1.attn.proj.weight",
    "encoder.block.0.1.attention.self.sr.weight": "block1.1.attn.sr.weight",
    "encoder.block.0.1.attention.self.layer_norm.weight": "block1.1.attn.norm.weight",
    "encoder.block.0.1.layer_norm_2.weight": "block1.1.norm2.weight",
    "encoder.block.0.1.mlp.dense1.weight": "block1.1.mlp.fc1.weight",
    "encoder.block.0.1.mlp.dwconv.dwconv.bias": "block1.1.mlp.dwconv.dwconv.bias",
    "encoder.block.0.1.mlp.dense2.weight": "block1.1.mlp.fc2.weight",
    "encoder.layer_norm.2.weight": "norm3.weight",
}
VERSION_5 = {
    "stages.0.patch_embeddings.proj.weight": "patch_embed1.proj.weight",
    "stages.3.patch_embeddings.layer_norm.bias": "patch_embed4.norm.bias",
    "stages.1.blocks.10.layernorm_before.weight": "block2.10.norm1.weight",
    "stages.1.blocks.10.attention.q_proj.bias": "block2.10.attn.q.bias",
    "stages.0.blocks.1.attention.k_proj.weight": "block1.1.attn.kv.weight",
    "stages.0.blocks.1.attention.v_proj.weight": "block1.1.attn.kv.weight",
    "stages.0.blocks.1.attention.o_proj.weight": "block1.1.attn.proj.weight",
    "stages.0.blocks.1.attention.sequence_reduction.sequence_reduction.weight": "block1.1.attn.sr.weight",
    "stages.0.blocks.1.attention.sequence_reduction.layer_norm.weight": "block1.1.attn.norm.weight",
    "stages.0.blocks.1.layernorm_after.weight": "block1.1.norm2.weight",
    "stages.0.blocks.1.mlp.fc1.weight": "block1.1.mlp.fc1.weight",
    "stages.0.blocks.1.mlp.dwconv.dwconv.bias": "block1.1.mlp.dwconv.dwconv.bias",
    "stages.0.blocks.1.mlp.fc2.weight": "block1.1.mlp.fc2.weight",
    "stages.2.layer_norm.weight": "norm3.weight",
}


@pytest.mark.parametrize("layout", [VERSION_4, VERSION_5])
def test_names_of_both_versions_of_the_library(layout):
    for key, name in layout.items():
        assert published_key(key) == name
    state = {key: torch.rand(4, 3) for key in layout}
    published = to_published(state)
    assert set(published) == set(layout.values())
    key, value = (state[k] for k, name in layout.items() if "attn.kv" in name)
    assert torch.equal(published["block1.1.attn.kv.weight"], torch.cat([key, value]))
    back = from_published(published, layout)
    assert set(back) == set(state)
    assert all(torch.equal(back[k], state[k]) for k in state)
    with pytest.raises(ModelError, match="update gopseg"):
        key_map(["encoder.new.thing"])


def test_sizes_of_backbones_and_heads():
    pytest.importorskip("transformers", reason="the extra segformer is not installed")
    backbones = [3_319_392, 13_151_424, 24_196_288, 44_072_128, 60_842_688, 81_443_008]
    unused = 128 * 124 + 124
    whole = {"b0": 5_297_988, "b1": 16_337_655, "b2": 27_382_340, "b5": 84_629_060}
    with torch.device("meta"):
        for name, expected in zip(SIZES, backbones, strict=True):
            network = build_network(f"mrcfa-{name}", 124)
            assert parameter_count(network.backbone) == expected
            if name in whole:
                assert parameter_count(network) == whole[name] - unused
    assert parameter_count(Refinement(double=False)) == 92
    assert parameter_count(Refinement(double=True)) == 271


def test_norms_have_the_published_epsilons(b0):
    norms = [(n, m) for n, m in b0.backbone.model.named_modules() if isinstance(m, torch.nn.LayerNorm)]
    eps = {published_key(f"{name}.weight").removesuffix(".weight"): norm.eps for name, norm in norms}
    small = {name for name, value in eps.items() if value == 1e-6}
    assert {name for name in eps if name.startswith("norm") or name.endswith(("norm1", "norm2"))} == small
    assert {eps[name] for name in eps if name not in small} == {1e-5}


def test_maps_of_any_size(b0):
    for height, width in ((64, 96), (70, 33)):
        sizes = [tuple(x.shape[1:]) for x in b0.backbone(torch.zeros(1, 3, height, width))]
        strides = zip((4, 8, 16, 32), SIZES["b0"].channels, strict=True)
        assert sizes == [(c, -(-height // s), -(-width // s)) for s, c in strides]


def test_weights_survive_a_file(b0, tmp_path):
    file = tmp_path / "clip.safetensors"
    save_model(b0, file, "mrcfa-b0", half=False)
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(load_network(file)(images), b0(images), atol=1e-5, rtol=1e-5)


def test_copies_take_weights_of_their_own(b0):
    twin = copy.deepcopy(b0)
    twin.load_state_dict({key: value + 1 for key, value in b0.state_dict().items()})
    assert all(torch.equal(a, b + 1) for a, b in zip(twin.parameters(), b0.parameters(), strict=True))


def fused_by_definition(head, maps):
    """Each scale projected and upsampled, all concatenated from coarse to fine, one convolution."""
    projections = (head.linear_c1, head.linear_c2, head.linear_c3, head.linear_c4)
    size = maps[0].shape[-2:]
    scales = [
        interpolate(
            conv2d(x, p.proj.weight[..., None, None], p.proj.bias),
            size=size,
            mode="bilinear",
            align_corners=False,
        )
        for x, p in zip(maps, projections, strict=True)
    ]
    return relu(head.linear_fuse.bn(head.linear_fuse.conv(torch.cat(scales[::-1], 1))))


@pytest.mark.parametrize("training", [False, True])
def test_folded_fusion_equals_the_definition(b1, training):
    maps = b1.backbone(torch.randn(2, 3, 64, 96))
    head = copy.deepcopy(b1.decode_head).train(training)
    torch.testing.assert_close(head.fuse(maps), fused_by_definition(head, maps), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("grid", "kept", "count"), [((15, 15), 0.5, 112), ((15, 15), 0.8, 180), ((15, 27), 0.5, 202)])
def test_kept_tokens_equal_a_boolean_mask(grid, kept, count):
    generator = torch.Generator().manual_seed(1)
    affinity = torch.randn(2, 3, grid[0] * grid[1], *grid, generator=generator)
    places = most_important(affinity, kept)
    assert places.shape == (2, 3, count)
    importance = affinity.flatten(3).sort(-1, descending=True).values[..., :5].sum(-1)
    threshold = importance.sort(-1, descending=True).values[..., count - 1 : count]
    tokens = torch.randn(2, 3, grid[0] * grid[1], 4, generator=generator)
    expected = tokens[importance >= threshold].view(2, 3, count, 4)
    assert torch.equal(chosen(tokens, places), expected)
    assert int(0.8 * 15 * 27) == 324


def test_affinities_by_definition():
    torch.manual_seed(2)
    module = Affinity((4, 6, 8), kept=1.0, double=False)
    maps = [torch.randn(1, 4, 8, 12), torch.randn(1, 6, 4, 6), torch.randn(1, 8, 2, 3)]
    keys = tuple(torch.randn(1, 2, 6, c) for c in (4, 6, 8))
    refined, places = module(maps, Tokens(keys, torch.empty(1, 2, 6, 1)))
    assert refined.shape == (1, 2, 6, 8, 12)
    assert places.tolist() == [[list(range(6))] * 2]

    def normalised(layer, x):
        convolution, norm = layer[0].conv2, layer[1]
        x = conv2d(x, convolution.weight, convolution.bias, padding=convolution.padding)
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), keepdim=True, correction=0) + norm.eps).sqrt()
        return relu(x * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1))

    def affinity(q, x, key):
        queries = q(x[0].flatten(1).T)
        return (key @ queries.T).view(1, 1, *x.shape[-2:])

    def grown(x, size):
        return interpolate(x, size=size, mode="bilinear", align_corners=True)

    hpn = module.hpn
    one, two, three = (
        affinity(q, x, key[0, 1, 4]) for q, x, key in zip((module.q1, module.q2, module.q3), maps, keys, strict=True)
    )
    middle = grown(normalised(hpn.encoder_layer4, three), (4, 6)) + normalised(hpn.encoder_layer3, two)
    fine = grown(normalised(hpn.encoder_layer4to3, middle), (8, 12)) + normalised(hpn.encoder_layer2, one)
    torch.testing.assert_close(refined[0, 1, 4][None, None], normalised(hpn.encoder_layer3to2, fine))


@pytest.mark.parametrize("double", [False, True])
def test_a_tokens_strength_does_not_matter(double):
    torch.manual_seed(0)
    refinement = Refinement(double=double)
    for module in refinement.modules():
        if hasattr(module, "conv2"):
            torch.nn.init.zeros_(module.conv2.bias)
    maps = [torch.randn(3, 1, n, n) for n in (16, 8, 4)]
    torch.testing.assert_close(refinement(*(50 * x for x in maps)), refinement(*maps), atol=2e-3, rtol=0)


@pytest.mark.parametrize("size_hw", [(64, 96), (50, 75)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_streaming_equals_clips(b1, size_hw, count):
    clip = torch.randn(1, count + 1, 3, *size_hw)
    *references, target = (b1.encode(clip[:, i]) for i in range(count + 1))
    streamed = b1.segment(target, [frame.tokens for frame in references], size_hw)
    assert streamed.shape == (1, 5, -(-size_hw[0] // 4), -(-size_hw[1] // 4))
    torch.testing.assert_close(streamed, b1.segment_clip(clip), atol=1e-5, rtol=1e-5)


def test_frames_without_references_get_per_frame_logits(b1):
    image = torch.randn(1, 3, 64, 96)
    expected = b1.decode_head.linear_pred(b1.features(image))
    torch.testing.assert_close(b1.segment(b1.encode(image), [], (64, 96)), expected)
    torch.testing.assert_close(b1.segment_clip(image[:, None]), expected)
    with pytest.raises(ValueError, match="up to 3"):
        b1.segment(b1.encode(image), [b1.encode(image).tokens] * 4, (64, 96))


def operations(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def test_streaming_costs_a_fraction_of_the_released_algorithm():
    """b1 at 480x864: the released code encodes four frames and fuses 1024 channels for every target."""
    pytest.importorskip("transformers", reason="the extra segformer is not installed")
    with torch.device("meta"):
        network = build_network("mrcfa-b1", 124).eval()
        clip = torch.empty(1, 4, 3, 480, 864)
        encoded = network.encode(clip[:, 0])
        streaming = operations(lambda: network.segment(network.encode(clip[:, 0]), [encoded.tokens] * 3, (480, 864)))
        network.decode_head.fuse = partial(fused_by_definition, network.decode_head)

        def released():
            frames = network.encode(clip[0])
            target, references = last_of(frames, 4)
            network.classify(frames.features)
            return network.decode_head.decode(target, network.decode_head.relate(target, references))

        whole = operations(released)
    assert whole / 2e9 == pytest.approx(114.2, rel=0.05)
    assert streaming <= 0.30 * whole
    print(f"{streaming / 2e9:.2f} of {whole / 2e9:.2f} GMAC: {streaming / whole:.3f}")  # noqa: T201


def test_training_outputs_and_loss(b0):
    clip = torch.randn(2, 4, 3, 64, 64)
    per_frame, of_target = b0.training_outputs(clip)
    assert per_frame.shape == of_target.shape == (2, 4, 5, 16, 16)
    torch.testing.assert_close(of_target[:, -1], b0.segment_clip(clip), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(per_frame[:, 2], b0(clip[:, 2]), atol=1e-5, rtol=1e-5)


def test_loss_weights_and_denominators():
    per_frame, of_target = torch.randn(1, 4, 5, 4, 4), torch.randn(1, 4, 5, 4, 4)
    labels = torch.randint(0, 5, (1, 4, 4, 4))
    labels[:, :, :2] = 255
    own = torch.nn.functional.cross_entropy(per_frame[0], labels[0], ignore_index=255)
    target = torch.nn.functional.cross_entropy(of_target[0], labels[0, -1:].expand(4, -1, -1), ignore_index=255)
    torch.testing.assert_close(clip_loss(per_frame, of_target, labels), 0.5 * own + target)
    half = 0.5 * (0.5 * own + target)  # half of the pixels are void
    torch.testing.assert_close(clip_loss(per_frame, of_target, labels, published=True), half)


def test_gradients_reach_every_trained_tensor(b0):
    network = built("mrcfa-b0").train()
    with torch.enable_grad():
        outputs = network.training_outputs(torch.randn(2, 4, 3, 64, 64))
        clip_loss(*outputs, torch.randint(0, 5, (2, 4, 64, 64))).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]

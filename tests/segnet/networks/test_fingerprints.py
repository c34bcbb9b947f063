"""AR-Seg's networks and modules reproduce the numbers of fingerprints/arseg.json, through the importer."""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
import pytest
import torch

from gopseg.segnet import parameter_count
from gopseg.segnet.fusion.attention import local_attention, local_attention_by_definition, local_scores
from gopseg.segnet.fusion.creff import CReFF
from gopseg.segnet.importing.published import import_network
from gopseg.segnet.resize import resize_aligned
from gopseg.segnet.warp import motion_on_grid, warp_features

MODELS = {
    "psp18-camvid": ("camvid-psp18", "psp18-camvid", 2**-14),
    "psp18-cityscapes": ("cityscapes-psp18", "psp18-cityscapes", 2**-11),
    "bisenet18-camvid": ("camvid-bise18", "bisenet18", 2**-11),
}
IMAGE, SMALL = (1, 3, 144, 192), (1, 3, 72, 96)


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def expect(fingerprints):
    return fingerprints("arseg")


def draw(seed, shape, times=1.0):
    return torch.from_numpy(times * np.random.RandomState(seed).uniform(-1, 1, shape)).float()


def fill(key, shape, salt):
    u = np.random.RandomState((zlib.crc32(key.encode()) + salt) & 0x7FFFFFFF).uniform(-1, 1, int(np.prod(shape)))
    u = u.reshape(shape)
    if len(shape) >= 2:
        return torch.from_numpy(u * np.sqrt(6 / np.prod(shape[1:]))).float()
    rules = {"running_var": 1 + 0.2 * u, "running_mean": 0.05 * u, "bias": 0.1 * u}
    return torch.from_numpy(rules.get(key.rpartition(".")[2], 1 + 0.1 * u)).float()


ALIASES = {
    "arseg-psp18-cityscapes-creff": {"final_conv.": "cls.4."},
    "arseg-bisenet18": {"feat_conv_out.": "conv_out.conv.", "final_conv.": "conv_out.conv_out."},
}


@pytest.fixture(scope="module")
def published(fingerprints):
    """A state dict as the authors' files hold it, filled by its keys."""

    def filled(name, salt=0):
        aliases = next((a for start, a in ALIASES.items() if name.startswith(start)), {})
        state = {}
        for key, shape in fingerprints.keys(name):
            source = next((new + key.removeprefix(old) for old, new in aliases.items() if key.startswith(old)), key)
            counter = key.endswith("num_batches_tracked")
            state[key] = torch.zeros((), dtype=torch.int64) if counter else fill(source, shape, salt)
        return state

    return filled


@pytest.fixture(scope="module")
def model(published):
    """Network and CReFF, filled with salt 0; the frame model of the same name has the same values."""
    return lru_cache(lambda name: import_network(published(f"arseg-{name}-creff"), MODELS[name][0]))


@pytest.mark.parametrize("name", MODELS)
def test_frame_models(name, expect, model):
    section = MODELS[name][1]
    network = model(name)[0]
    outputs = network.published_outputs(draw(1, IMAGE))
    small = network.published_outputs(draw(2, SMALL))
    torch.testing.assert_close(network.features(draw(2, SMALL)), small[-1])
    expect(outputs[-1], section, "p, s1 144x192")
    expect(small[-1], section, "p, s2 72x96")
    if name == "psp18-camvid":
        expect(outputs[0], section, "log-probabilities, s1")
        expect(outputs[1], section, "image-level scores, s1")
        expect(small[1], section, "image-level scores, s2")
    elif name == "psp18-cityscapes":
        expect(outputs[0], section, "logits at input size, s1")
        expect(outputs[1], section, "aux logits at input size, s1")
    else:
        expect(outputs[0], section, "logits, s1")
        expect(outputs[1], section, "aux head on the 1/8 context map, s1")
        expect(outputs[2], section, "aux head on the 1/16 context map, s1")
        expect(small[1], section, "aux (1/8), s2")
        expect(small[2], section, "aux (1/16), s2")


def test_bisenet_for_cityscapes(expect, published):
    network, fusion = import_network(published("arseg-bisenet18-cityscapes"), "cityscapes-bise18")
    assert fusion is None
    expect(network.published_outputs(draw(1, IMAGE))[0], "bisenet18", "19 classes: logits, s1")
    expect(network.published_outputs(draw(2, SMALL))[0], "bisenet18", "19 classes: logits, s2 72x96")


@pytest.mark.parametrize(("name", "times"), [("psp18-camvid", 1), ("psp18-cityscapes", 0.5), ("bisenet18-camvid", 0.7)])
def test_fusion_of_small_random_features(name, times, expect, model):
    section = MODELS[name][1]
    network, creff = model(name)
    suffix = "" if times == 1 else f" {times}"
    p_hw, low_hw = (network.features(torch.zeros(size)).shape for size in (IMAGE, SMALL))
    fused = creff(draw(4, p_hw, times), draw(3, low_hw, times))
    expect(fused, section, f"phase 2 fused; LR{suffix} s3, ref{suffix} s4")
    scores = {"psp18-camvid": "log-probabilities", "psp18-cityscapes": "logits (1/8)", "bisenet18-camvid": "logits"}
    expect(network.published_scores(fused), section, f"phase 2 {scores[name]}")


@pytest.mark.parametrize("name", MODELS)
def test_a_complete_step_between_keyframes(name, expect, published, model):
    architecture, section, query_scale = MODELS[name]
    hr = import_network(published(f"arseg-{name}{'-creff' * (name == 'psp18-cityscapes')}", salt=1), architecture)[0]
    network, creff = model(name)
    unscaled = {k: v.clone() for k, v in creff.state_dict().items()}
    try:
        creff.lr_query_conv.weight *= query_scale
        creff.lr_query_conv.bias *= query_scale
        low_p = network.features(resize_aligned(draw(6, IMAGE), SMALL[2:]))
        expect(low_p, section, "LR p of the frame")
        p = hr.features(draw(5, IMAGE))
        motion = motion_on_grid(draw(7, (1, 144, 192, 2), 6), (144, 192), tuple(p.shape[-2:]), compat=True)
        for form, options in (("as called", {"compat": True}), ("corner", {"padding": "zeros"})):
            warped = warp_features(p, motion, **options)
            expect(warped, section, f"warped reference p, {form}")
            fused = creff(warped, low_p)
            expect(fused, section, f"fused, {form}")
            result = resize_aligned(network.published_scores(fused), (144, 192))
            expect(result, section, f"result, {form}")
    finally:
        creff.load_state_dict(unscaled)


def test_creff_alone(expect, published):
    module = CReFF(64)
    module.load_state_dict(published("arseg-creff64"))
    expect(module(draw(1, (1, 64, 24, 32)), draw(2, (1, 64, 12, 16))), "modules", "CReFF alone")


def test_scores_alone(expect):
    expect(local_scores(draw(3, (1, 8, 12, 16)), draw(4, (1, 8, 12, 16))), "modules", "scores")


@pytest.mark.parametrize("attend", [local_attention, local_attention_by_definition])
def test_attention_alone(attend, expect):
    query, key, value = (draw(seed, (1, 8, 12, 16)) for seed in (3, 4, 5))
    expect(attend(query, key, value), "modules", "weighted values")


def test_warp_alone(expect):
    feature, flow = draw(8, (1, 8, 24, 32)), draw(9, (1, 24, 32, 2), 4)
    expect(warp_features(feature, flow, compat=True), "modules", "warp as called")
    expect(warp_features(feature, flow, padding="zeros"), "modules", "warp, corner-aligned")


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        (f"arseg-{network}{creff}", architecture)
        for network, architecture in [
            *((name, built[0]) for name, built in MODELS.items()),
            ("bisenet18-cityscapes", "cityscapes-bise18"),
        ]
        for creff in ("", "-creff")
    ],
)
def test_sizes_of_the_published_models(name, architecture, fingerprints):
    keys, sizes = fingerprints.keys(name), fingerprints("arseg").content["models"][name]
    assert len(keys) == sizes["tensors"]
    state = {key: torch.zeros(shape) for key, shape in keys}
    network, fusion = import_network(state, architecture)
    count = parameter_count(network) + (parameter_count(fusion) if fusion else 0)
    assert count == sizes["parameters"]
    assert (fusion is not None) == name.endswith("creff")

"""MRCFA reproduces the numbers of fingerprints/mrcfa.json, through the importer."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from gopseg.segnet import ModelError, parameter_count
from gopseg.segnet.importing.mrcfa_checkpoints import detect_architecture, import_clip_network
from gopseg.segnet.network import resize_logits
from gopseg.segnet.networks.segformer.mrcfa import last_of

pytest.importorskip("transformers", reason="the extra segformer is not installed")
CLIP = (1, 4, 3, 96, 160)


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def expect(fingerprints):
    return fingerprints("mrcfa")


@pytest.fixture(scope="module")
def published(fingerprints):
    return lambda size, fill_value: {k: fill_value(k, shape) for k, shape in fingerprints.keys(f"mrcfa-{size}")}


@pytest.fixture(scope="module", params=["b0", "b1"])
def network(request, fill, published):
    class State(torch.nn.Module):
        """Anything with a state dict that `fill` can fill."""

        def state_dict(self):
            return state

    state = published(
        request.param,
        lambda key, shape: torch.zeros(shape, dtype=torch.int64 if key.endswith("num_batches_tracked") else None),
    )
    fill(State())
    made = import_clip_network(state, detect_architecture(state))
    made.size = request.param
    return made


def test_clip(network, draw, expect):
    size, clip = network.size, draw(1, CLIP)
    for stage, x in enumerate(network.backbone(clip[0]), 1):
        expect(x, size, f"backbone stage {stage}")
    encoded = network.encode(clip[0])
    expect(network.classify(encoded.features)[None], size, "P, all 4 frames")
    target, references = last_of(encoded, 4)
    related = network.decode_head.relate(target, references)
    assert related.places[0].tolist() == expect.content["kept_tokens"][size]
    expect(related.affinity.flatten(3).transpose(2, 3), size, "Y (before softmax)")
    parts = network.decode_head.decode_reconstructions(target, related)
    for number in (1, 2, 3):
        expect(parts[:, number - 1], size, f"deco{number} of reference {number}")
    output = network.segment_clip(clip)
    expect(output, size, "output (deco4, 1/4)")
    expect(resize_logits(output, CLIP[-2:]), size, "output at input size")


def test_single_frame_gives_the_auxiliary_logits(network, draw, expect):
    expect(network.segment_clip(draw(2, (1, 1, 3, 96, 160))), network.size, "P of a single frame, s2")


def test_sizes_of_the_published_models(network, expect):
    sizes, keys = (expect.content["models"][f"mrcfa-{network.size}"], expect.keys(f"mrcfa-{network.size}"))
    unused = sum(int(np.prod(shape)) for key, shape in keys if "conv_seg" in key)
    assert len(keys) == sizes["tensors"] == len(network.state_dict()) + 2
    assert parameter_count(network) + unused == sizes["parameters"]


def test_checkpoints_that_do_not_fit(published):
    state = published("b0", lambda key, shape: torch.zeros(shape))
    with pytest.raises(ModelError, match=r"of mrcfa-b0, not of mrcfa-b1"):
        import_clip_network(state, "mrcfa-b1")
    for_cityscapes = {**state, "decode_head.sr2.weight": torch.zeros(64, 64, 2, 2)}
    with pytest.raises(ModelError, match="Cityscapes"):
        detect_architecture(for_cityscapes)
    missing = {key: value for key, value in state.items() if key != "decode_head.sr3.bias"}
    with pytest.raises(ModelError, match=r"missing 'decode_head\.sr3\.bias'"):
        import_clip_network(missing, "mrcfa-b0")
    per_frame = {key: value for key, value in state.items() if re.search(r"backbone|linear|conv_seg", key)}
    assert detect_architecture(per_frame) == "segformer-b0"
    import_clip_network(per_frame, "segformer-b0")

"""MRCFA reproduces the numbers of ../shared/specs/fingerprints.md, section 5, through the importer.

The numbers are read from that file, and the layouts of the published state dicts from its key lists.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from gopseg.segnet import ModelError, parameter_count
from gopseg.segnet.importing.mrcfa_checkpoints import detect_architecture, import_clip_network
from gopseg.segnet.network import resize_logits
from gopseg.segnet.networks.segformer.mrcfa import last_of

pytest.importorskip("transformers", reason="the extra segformer is not installed")
SPECS = Path(__file__).resolve().parents[4] / "shared" / "specs"
pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason=f"{SPECS} is absent: the measured numbers are not in here")
CLIP = (1, 4, 3, 96, 160)


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@lru_cache
def rows():
    """{size: {tensor: cells}} of section 5."""
    text = (SPECS / "fingerprints.md").read_text().partition("## 5. MRCFA")[2].partition("\n## ")[0]
    found, size = {}, ""
    for line in text.splitlines():
        if heading := re.match(r"### (b\d)", line):
            size = heading[1]
        elif line.startswith("|") and not line.startswith("|--"):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found.setdefault(size, {})[name.replace("*", "")] = cells
    return found


def kept_tokens(size):
    """The tokens of each reference, as the text of section 5 lists them."""
    text = (SPECS / "fingerprints.md").read_text()
    listed = re.search(r"Tokens kept per reference.*?b0 ([\d ;]+)\. b1 ([\d ;]+)\.", text)
    return [[int(n) for n in part.split()] for part in listed[1 if size == "b0" else 2].split(";")]


def published(size, fill_value):
    shapes = json.loads((SPECS / "keys" / f"mrcfa-{size}.json").read_text())
    return {key: fill_value(key, shape) for key, shape in shapes}


def assert_row(tensor, size, name):
    shape, mean, std, low, high, first, last, noise = rows()[size][name]
    assert tuple(tensor.shape) == tuple(int(n) for n in shape.split("x"))
    values = tensor.double().flatten()
    expected = [float(n) for n in [mean, std, low, high, *first.split(), *last.split()]]
    found = [values.mean(), values.std(), values.min(), values.max(), *values[:3], *values[-3:]]
    tolerance = max(1e-4 * float(std), 10 * float(noise))
    np.testing.assert_allclose([float(v) for v in found], expected, rtol=5e-6, atol=tolerance, err_msg=name)


@pytest.fixture(scope="module", params=["b0", "b1"])
def network(request, fill):
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


def test_clip(network, draw):
    size, clip = network.size, draw(1, CLIP)
    for stage, x in enumerate(network.backbone(clip[0]), 1):
        assert_row(x, size, f"backbone stage {stage}")
    encoded = network.encode(clip[0])
    assert_row(network.classify(encoded.features)[None], size, "P, all 4 frames")
    target, references = last_of(encoded, 4)
    related = network.decode_head.relate(target, references)
    assert related.places[0].tolist() == kept_tokens(size)
    assert_row(related.affinity.flatten(3).transpose(2, 3), size, "Y (before softmax)")
    parts = network.decode_head.decode_reconstructions(target, related)
    for number in (1, 2, 3):
        assert_row(parts[:, number - 1], size, f"deco{number} of reference {number}")
    output = network.segment_clip(clip)
    assert_row(output, size, "output (deco4, 1/4)")
    assert_row(resize_logits(output, CLIP[-2:]), size, "output at input size")


def test_single_frame_gives_the_auxiliary_logits(network, draw):
    assert_row(network.segment_clip(draw(2, (1, 1, 3, 96, 160))), network.size, "P of a single frame, s2")


def test_sizes_of_the_published_models(network):
    text = (SPECS / "fingerprints.md").read_text()
    parameters, tensors = re.search(rf"`mrcfa-{network.size}` \|.*?\| ([\d,]+) \| (\d+) \|", text).groups()
    keys = json.loads((SPECS / "keys" / f"mrcfa-{network.size}.json").read_text())
    unused = sum(int(np.prod(shape)) for key, shape in keys if "conv_seg" in key)
    assert len(keys) == int(tensors) == len(network.state_dict()) + 2
    assert parameter_count(network) + unused == int(parameters.replace(",", ""))


def test_checkpoints_that_do_not_fit():
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

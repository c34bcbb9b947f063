"""`import-segnet` on checkpoints as MRCFA's and SegFormer's trainers write them."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("transformers", reason="the extra segformer is not installed")

from gopseg.data.class_lists import VSPW_NAMES
from gopseg.segnet import build_network, load_network
from gopseg.tools.import_segnet import main


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("mrcfa-b0", 124).eval()


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    """With what the runner adds, the classifier that nothing uses, and without counters."""
    state = {f"module.{k}": v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    state["module.decode_head.conv_seg.weight"] = torch.zeros(124, 128, 1, 1)
    state["module.decode_head.conv_seg.bias"] = torch.zeros(124)
    file = tmp_path_factory.mktemp("published") / "iter_160000.pth"
    torch.save({"meta": {"CLASSES": VSPW_NAMES, "iter": 160000}, "state_dict": state}, file)
    return file


@torch.inference_mode()
def test_a_clip_network_keeps_every_bit(network, checkpoint, tmp_path):
    out = tmp_path / "clip.safetensors"
    result = CliRunner().invoke(main, [str(checkpoint), "--arch", "mrcfa-b0", "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert "hr of mrcfa-b0, 5,281,992 parameters, 124 classes" in result.output
    loaded = load_network(out)
    assert loaded.classes == VSPW_NAMES
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in loaded.state_dict().items())
    card = json.loads(out.with_suffix(".json").read_text())
    assert (card["kind"], card["architecture"]) == ("hr", "mrcfa-b0")


def test_the_wrong_architecture_is_named(checkpoint, tmp_path):
    result = CliRunner().invoke(main, [str(checkpoint), "--arch", "mrcfa-b1", "-o", str(tmp_path / "x.safetensors")])
    assert result.exit_code == 2
    assert "take --arch mrcfa-b0" in result.output

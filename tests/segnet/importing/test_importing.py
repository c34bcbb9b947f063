from contextlib import suppress

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gopseg.segnet import ModelError, build_network, initialise
from gopseg.segnet.fusion.creff import CReFF
from gopseg.segnet.importing.published import import_network, read_checkpoint
from gopseg.segnet.networks.bisenet import BiSeNet
from gopseg.segnet.networks.psp_semseg import SemsegPSPNet
from gopseg.segnet.networks.swiftnet import SwiftNet


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return {f"module.{k}": v for k, v in BiSeNet(5).state_dict().items()}


def with_aliases(state):
    aliases = {"feat_conv_out.": "conv_out.conv.", "final_conv.": "conv_out.conv_out."}
    more = {
        k.replace(target, alias, 1): v
        for k, v in state.items()
        for alias, target in aliases.items()
        if k.removeprefix("module.").startswith(target)
    }
    return state | more


def bare(state):
    return {k.removeprefix("module."): v for k, v in state.items()}


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 7}, lambda s: {"model": s}])
def test_files_are_read_whatever_wraps_the_tensors(state, tmp_path, wrap):
    file = tmp_path / "net.pth"
    torch.save(wrap(state), file)
    assert read_checkpoint(file).keys() == bare(state).keys()
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / "net.safetensors")
    assert read_checkpoint(tmp_path / "net.safetensors").keys() == bare(state).keys()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    file = tmp_path / "net.pth"
    for content, reason in [
        ([1, 2], "holds no state dict, but a list"),
        ({}, "but nothing"),
        ({"epoch": 3, "a": torch.zeros(1)}, "'epoch' is no tensor"),
        (
            BiSeNet,
            r"cannot be read as a checkpoint of tensors: it needs code of gopseg[\w.]+BiSeNet, and",
        ),
    ]:
        torch.save(content, file)
        with pytest.raises(ModelError, match=reason) as caught:
            read_checkpoint(file)
        assert "weights_only" not in str(caught.value)
    file.write_bytes(b"nothing that torch knows")
    with pytest.raises(ModelError, match="cannot be read as a checkpoint of tensors: it is damaged, or PyTorch did"):
        read_checkpoint(file)
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_checkpoints_are_said_to_be(tmp_path, zipped):
    """Whatever torch.load raises; IndexError, KeyError and struct.error are among it."""
    file, rng = tmp_path / "net.pth", np.random.default_rng(0)
    torch.save({"a": torch.zeros(3)}, file, _use_new_zipfile_serialization=zipped)
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    refused = 0
    for _ in range(60):
        damaged = whole.copy()
        damaged[rng.integers(len(whole), size=3)] = rng.integers(256, size=3)
        file.write_bytes(damaged.tobytes())
        with suppress(ModelError):
            read_checkpoint(file)
            continue
        refused += 1
    assert refused > 10


def test_memory_that_runs_out_is_no_bad_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "net.pth"
    torch.save({"a": torch.zeros(3)}, file)
    for error in (MemoryError(), torch.OutOfMemoryError()):
        monkeypatch.setattr(torch, "load", raising(error))
        with pytest.raises(type(error)):
            read_checkpoint(file)


def raising(error):
    def load(*_, **__):
        raise error

    return load


def test_values_arrive_and_classes_are_counted(state):
    for layout in (bare(state), bare(with_aliases(state))):
        network, fusion = import_network(layout, "camvid-bise18")
        assert fusion is None
        assert len(network.classes) == 5
        assert not network.training
        for key, value in network.state_dict().items():
            assert torch.equal(value, state[f"module.{key}"]), key
    assert float(network.mean[0, 0]) == pytest.approx(255 * 0.39068785)


def test_an_alias_alone_is_enough_but_must_agree(state):
    only_alias = bare(with_aliases(state))
    del only_alias["conv_out.conv_out.weight"]
    network, _ = import_network(only_alias, "cityscapes-bise18")
    assert torch.equal(network.conv_out.conv_out.weight, state["module.conv_out.conv_out.weight"])
    other = bare(with_aliases(state))
    other["final_conv.weight"] = other["final_conv.weight"] + 1
    with pytest.raises(ModelError, match=r"'final_conv.weight' and 'conv_out.conv_out.weight' are one tensor"):
        import_network(other, "cityscapes-bise18")


def test_creff_comes_along_whole_or_not_at_all(state):
    creff = {f"fuse_attention.{k}": v for k, v in CReFF(256).state_dict().items()}
    _, fusion = import_network(bare(state) | creff, "cityscapes-bise18")
    assert torch.equal(fusion.hr_key_conv.weight, creff["fuse_attention.hr_key_conv.weight"])
    del creff["fuse_attention.hr_key_conv.weight"]
    with pytest.raises(ModelError, match=r"missing 'fuse_attention.hr_key_conv.weight'$"):
        import_network(bare(state) | creff, "cityscapes-bise18")
    wide = {f"fuse_attention.{k}": v for k, v in CReFF(64).state_dict().items()}
    with pytest.raises(
        ModelError, match=r"'fuse_attention.lr_query_conv.weight' is \(64, 1, 3, 3\), not \(256, 1, 3, 3\)"
    ):
        import_network(bare(state) | wide, "cityscapes-bise18")


def test_strictness_names_keys_and_shapes(state):
    tensors = bare(state)
    tensors["extra.weight"] = tensors.pop("sp.conv1.conv.weight")
    with pytest.raises(ModelError, match=r"missing 'sp.conv1.conv.weight'; unexpected 'extra.weight'$"):
        import_network(tensors, "camvid-bise18")
    tensors = bare(state)
    tensors["ffm.bn.bias"] = torch.zeros(7)
    with pytest.raises(ModelError, match=r"'ffm.bn.bias' is \(7,\), not \(256,\)"):
        import_network(tensors, "camvid-bise18")
    with pytest.raises(
        ModelError, match=r"it has no classifier; its keys are those of camvid-bise18 or cityscapes-bise18"
    ):
        import_network(bare(state), "camvid-psp18")
    with pytest.raises(ModelError, match="and 190 more; unexpected"):
        import_network({"logits.conv.weight": torch.zeros(3, 128, 1, 1)} | bare(state), "swiftnet18")


def test_any_architecture_of_ours_can_be_imported():
    state = SwiftNet(3).state_dict()
    network, _ = import_network(state, "swiftnet18")
    assert len(network.classes) == 3
    assert torch.equal(network.logits.conv.weight, state["logits.conv.weight"])


@pytest.mark.parametrize("architecture", ["camvid-psp18", "cityscapes-psp18", "camvid-bise18"])
def test_imagenet_weights_initialise_every_encoder(architecture, tmp_path):
    torch.manual_seed(1)
    donor = BiSeNet(2).cp.resnet
    torch.save(donor.state_dict() | {"fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet18.pth")
    network = build_network(architecture, 4)
    assert initialise(network, tmp_path / "resnet18.pth") == len(donor.state_dict())
    names = ["conv1.weight", "layer4.1.bn2.weight"]
    prefix = {"camvid-psp18": "feats.", "cityscapes-psp18": "", "camvid-bise18": "cp.resnet."}[architecture]
    stem = "layer0.0.weight" if isinstance(network, SemsegPSPNet) else f"{prefix}conv1.weight"
    for name, mine in zip(names, [stem, prefix + names[1]], strict=True):
        assert torch.equal(network.state_dict()[mine], donor.state_dict()[name])

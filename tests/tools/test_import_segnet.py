import copy
import json

import pytest
import torch
from click.testing import CliRunner

from gopseg.segnet import ModelError, Motion, load_ar, load_lr, load_network, parameter_count
from gopseg.segnet.fusion.creff import CReFF
from gopseg.segnet.networks.bisenet import BiSeNet
from gopseg.segnet.resize import resize_aligned
from gopseg.segnet.warp import motion_on_grid, warp_features
from gopseg.tools.import_segnet import main


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return BiSeNet(12).eval()


@pytest.fixture(scope="module")
def creff():
    torch.manual_seed(1)
    module = CReFF(256)
    with torch.no_grad():
        module.lr_query_conv.weight *= 1e-3  # or the softmax would choose one neighbour, and rounding which
    return module


@pytest.fixture
def frame_file(network, tmp_path):
    file = tmp_path / "PSPNet_resnet18_1.0_99_.pth"
    torch.save({f"module.{k}": v for k, v in network.state_dict().items()}, file)
    return file


@pytest.fixture
def fusion_file(network, creff, tmp_path):
    file = tmp_path / "PSPNet_resnet18_0.7_42_.pth"
    state = network.state_dict() | {f"fuse_attention.{k}": v for k, v in creff.state_dict().items()}
    torch.save({f"module.{k}": v for k, v in state.items()}, file)
    return file


@torch.inference_mode()
def test_a_frame_model_keeps_every_bit(network, frame_file, tmp_path):
    out = tmp_path / "new" / "hr.safetensors"
    printed = run(frame_file, "--arch", "camvid-bise18", "-o", out)
    assert "hr of camvid-bise18, 13,423,012 parameters, 12 classes" in printed
    loaded = load_network(out)
    assert loaded.classes[3] == "road"
    assert loaded.classes[11] == "void"
    image = torch.randn(1, 3, 64, 96)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in loaded.state_dict().items())
    torch.testing.assert_close(loaded(image), network(image), atol=1e-4, rtol=1e-4)
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["source"]["file"] == frame_file.name
    assert len(card["source"]["sha256"]) == 64
    assert sorted(f.name for f in out.parent.iterdir()) == ["hr.json", "hr.safetensors"]


def test_half_precision_on_request(frame_file, tmp_path):
    out = tmp_path / "hr.safetensors"
    run(frame_file, "--arch", "cityscapes-bise18", "-o", out, "--precision", "fp16")
    assert out.stat().st_size < 2.1 * 13_450_000
    assert load_network(out).cp.resnet.conv1.weight.dtype == torch.float32


@torch.inference_mode()
@pytest.mark.parametrize("compat", [True, False])
def test_a_fusion_model_is_an_ar_branch(network, creff, fusion_file, tmp_path, compat):
    out = tmp_path / "ar.safetensors"
    printed = run(fusion_file, "--arch", "camvid-bise18", "-o", out, *["--compat"] * compat)
    assert ("see --compat" in printed) is not compat
    ar = load_ar(out)
    assert ar.low.scale == 0.7
    assert ar.low.low_size((720, 960)) == ((503, 672) if compat else (504, 672))
    assert parameter_count(ar) == 13_430_692
    with pytest.raises(ModelError, match="AR branch"):
        load_network(out)

    reference, frame = torch.randn(2, 1, 3, 128, 160)
    p = network.features(reference)
    displacement = 8 * torch.rand(1, *p.shape[-2:], 2)
    logits, carried = ar.keyframe(network, reference)
    torch.testing.assert_close(logits, network.classify(p), atol=1e-4, rtol=1e-4)
    made = ar(frame, carried, Motion(displacement, torch.zeros(1, *p.shape[-2:]), torch.ones(1)))
    small = (89, 112) if compat else (88, 112)
    shrunk = resize_aligned(frame, small) if compat else torch.nn.functional.interpolate(frame, small, mode="area")
    motion = motion_on_grid(displacement, (128, 160), tuple(p.shape[-2:]), compat=compat)
    alike = copy.copy(creff)
    alike.compat = compat
    fused = alike(warp_features(p, motion, compat=compat), network.features(shrunk))
    torch.testing.assert_close(made, network.classify(fused), atol=1e-4, rtol=1e-4)


def test_a_fusion_model_can_be_taken_without_fusion(network, fusion_file, tmp_path):
    hr, lr = tmp_path / "hr.safetensors", tmp_path / "lr.safetensors"
    run(fusion_file, "--arch", "camvid-bise18", "-o", hr, "--branch", "hr")
    assert torch.equal(load_network(hr).ffm.conv.weight, network.ffm.conv.weight)
    run(fusion_file, "--arch", "camvid-bise18", "-o", lr, "--branch", "lr", "--lr-scale", "0.3", "--compat")
    low = load_lr(lr)
    assert (low.scale, low.compat) == (0.3, True)
    assert low.low_size((720, 960)) == (216, 288)


def test_names_give_the_scale(fusion_file, tmp_path):
    plain = fusion_file.rename(tmp_path / "weights.pth")
    run(plain, "--arch", "camvid-bise18", "-o", tmp_path / "a.safetensors")
    assert load_ar(tmp_path / "a.safetensors").low.scale == 0.5
    whole = plain.rename(tmp_path / "PSPNet_resnet18_1.0_9_.pth")
    run(whole, "--arch", "camvid-bise18", "-o", tmp_path / "b.safetensors")
    assert load_network(tmp_path / "b.safetensors").feature_channels == 256
    output = run(whole, "--arch", "camvid-bise18", "-o", tmp_path / "c.safetensors", "--branch", "ar", status=2)
    assert "needs --lr-scale" in output


def test_errors_are_one_line_and_name_the_file(frame_file, tmp_path):
    out = tmp_path / "out.safetensors"
    output = run(frame_file, "--arch", "camvid-psp18", "-o", out, status=2)
    assert output.splitlines()[-1].startswith(f"Error: '{frame_file}': not a checkpoint of camvid-psp18")
    assert "its keys are those of camvid-bise18" in output
    assert "has no CReFF" in run(frame_file, "--arch", "camvid-bise18", "-o", out, "--branch", "ar", status=2)
    assert "must end in .safetensors" in run(frame_file, "--arch", "camvid-bise18", "-o", tmp_path / "x.pt", status=2)
    assert not out.exists()
    run(frame_file, "--arch", "camvid-bise18", "-o", out)
    assert "exists; replace it with -y" in run(frame_file, "--arch", "camvid-bise18", "-o", out, status=2)
    before = out.stat().st_mtime_ns
    assert "is kept" in run(frame_file, "--arch", "camvid-bise18", "-o", out, "-n")
    assert out.stat().st_mtime_ns == before
    run(frame_file, "--arch", "camvid-bise18", "-o", out, "-y")

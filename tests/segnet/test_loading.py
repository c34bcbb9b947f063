import pytest
import torch
from safetensors.torch import save_file

from gopseg.segnet import ModelError, SwiftNet, build_network, initialise, load_network, save_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    network = SwiftNet(["road", "sky", "tree"]).eval()
    file = tmp_path_factory.mktemp("model") / "net.safetensors"
    save_model(network, file, "swiftnet18")
    return network, file


def test_round_trip_keeps_classes_and_values_to_half_precision(saved):
    network, file = saved
    loaded = load_network(file)
    assert loaded.classes == ("road", "sky", "tree")
    assert not loaded.training
    for key, value in network.state_dict().items():
        other = loaded.state_dict()[key]
        assert other.dtype == value.dtype
        torch.testing.assert_close(other, value.half().to(value.dtype) if value.is_floating_point() else value)


def test_no_part_file_stays(saved):
    _, file = saved
    assert [f.name for f in file.parent.iterdir()] == ["net.safetensors"]


def test_others_may_read_what_they_may_read_of_other_files(saved):
    """As any new file, by the user's umask."""
    file = saved[1]
    other = file.with_name("other")
    other.touch()
    assert file.stat().st_mode == other.stat().st_mode


def test_errors_name_the_file_and_what_there_is(tmp_path):
    with pytest.raises(ModelError, match=r"unknown model 'nonsense'.*\.safetensors"):
        load_network("nonsense")
    with pytest.raises(ModelError, match="does not exist"):
        load_network(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not tensors at all")
    with pytest.raises(ModelError, match="not a readable safetensors"):
        load_network(broken)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    with pytest.raises(ModelError, match="not written by gopseg"):
        load_network(foreign)
    with pytest.raises(ModelError, match="unknown architecture"):
        build_network("resnet9000", 3)


def test_what_is_no_weight_file_is_said(tmp_path):
    for name in ("classes.json", "last.pt", "net.json", "net.safetensors"):
        (tmp_path / name).touch()
    for given, words in [
        (
            tmp_path / "classes.json",
            r"classes.json' holds no network, .*\.safetensors file; give one, hf:NAME_OR_FOLDER",
        ),
        (tmp_path / "last.pt", r"last.pt' holds no network, .*; give best.safetensors of a run"),
        (tmp_path, "is a folder, and a model is a .safetensors file; give one"),
        (tmp_path / "net.json", "; give '.*net.safetensors'"),
    ]:
        with pytest.raises(ModelError, match=words):
            load_network(given)
    (tmp_path / "config.json").touch()
    with pytest.raises(ModelError, match=f"for a model of transformers give hf:{tmp_path}$"):
        load_network(tmp_path)


def test_shipped_weights_initialise_by_name():
    expected = load_network("swiftnet18-camvid").state_dict()
    network = SwiftNet(11)
    assert initialise(network, "swiftnet18-camvid") == len(expected)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=0)
    with pytest.raises(ModelError, match=r"unknown model 'swiftnet18-camvit'; give a .safetensors file"):
        initialise(network, "swiftnet18-camvit")


def test_torchvision_keys_initialise_the_encoder(tmp_path):
    source = SwiftNet(4)
    encoder = {k.removeprefix("backbone."): v for k, v in source.state_dict().items() if k.startswith("backbone.")}
    encoder = {k: v for k, v in encoder.items() if k.startswith(("conv1", "bn1", "layer"))}
    encoder["fc.weight"] = torch.zeros(1000, 512)
    file = tmp_path / "resnet18.pth"
    torch.save(encoder, file)
    target = SwiftNet(7)
    assert initialise(target, file) == len(encoder) - 1
    torch.testing.assert_close(target.backbone.layer3[1].conv2.weight, source.backbone.layer3[1].conv2.weight)
    torch.save({"x": torch.zeros(2)}, file)
    with pytest.raises(ModelError, match="no tensor that fits"):
        initialise(target, file)

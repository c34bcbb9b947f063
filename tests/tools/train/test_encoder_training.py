import numpy as np
import pytest
import torch
from torch import nn

from gopseg.data import Sample
from gopseg.errors import InputError
from gopseg.segnet import ModelError, Supervised, build_network
from gopseg.tools.train.loop.settings import TrainSettings
from gopseg.tools.train.running.initialisation import initialise, origin_of
from gopseg.tools.train.trainers.image import ImageSettings, ImageTrainer, keep_statistics


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network("swiftnet-lite0", ["a", "b", "c"])


def test_the_encoder_has_its_own_rate(network, tmp_path, samples):
    settings = TrainSettings(lr=1e-3, precision="fp32")
    trainer = ImageTrainer(network, samples, samples, settings, ImageSettings(encoder_lr=0.25), tmp_path)
    module, groups = trainer.module, trainer.optimiser.param_groups
    rates = {id(p): group["base_lr"] for group in groups for p in group["params"]}
    assert len(rates) == len(list(module.parameters()))
    for name, parameter in module.named_parameters():
        assert rates[id(parameter)] == pytest.approx(2.5e-4 if "encoder" in name else 1e-3)


def test_every_decoder_map_has_an_auxiliary_head(network):
    module = Supervised(network).train()
    p, outputs = module(torch.randn(2, 3, 64, 96))
    assert p.shape == (2, 64, 16, 24)
    assert [tuple(o.shape) for o in outputs] == [(2, 3, 16, 24), (2, 3, 2, 3), (2, 3, 4, 6), (2, 3, 8, 12)]


@pytest.mark.parametrize("norm", ["train", "kept"])
def test_batch_norm_statistics_are_kept_or_not(norm, network, tmp_path, samples):
    settings = TrainSettings(epochs=1, batch=2, precision="fp32")
    own = ImageSettings(crops=((64, 96, 1.0),), encoder_norm=norm)
    before = {key: value.clone() for key, value in network.state_dict().items() if "running_mean" in key}
    trainer = ImageTrainer(network, samples, samples, settings, own, tmp_path)
    trainer.train_step(trainer.batch(0))
    after = network.state_dict()
    for key, value in before.items():
        moved = not torch.equal(value, after[key])
        assert moved == (norm == "train" or ".encoder." not in key), key


def test_keeping_statistics_freezes_no_weights(network):
    network.train()
    keep_statistics(network)
    encoder = network.backbone.encoder
    assert not any(m.training for m in encoder.modules() if isinstance(m, nn.BatchNorm2d))
    assert network.backbone.spp.training
    assert all(p.requires_grad for p in encoder.parameters())


def test_init_is_checked(tmp_path, network):
    with pytest.raises(ModelError, match="no ImageNet weights for SwiftNet"):
        initialise(build_network("swiftnet18", 3), "imagenet")
    with pytest.raises(InputError, match=r"none.pth' does not exist"):
        initialise(network, str(tmp_path / "none.pth"))


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    return [
        Sample(str(i), rng.integers(0, 255, (64, 96, 3), np.uint8), rng.integers(0, 3, (64, 96)).astype(np.uint8))
        for i in range(4)
    ]


def test_the_card_says_what_the_weights_grew_from():
    assert origin_of("imagenet")["licence"].startswith("Apache-2.0")
    assert origin_of("mine.safetensors") == {"init": "mine.safetensors"}
    both = origin_of("mine.safetensors", "imagenet")
    assert both["init"] == "mine.safetensors, imagenet"
    assert both["licence"].startswith("Apache-2.0")

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from gopseg.segnet import ModelError, as_segmentation_network


class Shades(nn.Module):
    """Logits of 2 classes at a stride: the first channel of the picture, and minus that."""

    def __init__(self, stride=1, wrap=lambda logits: logits):
        super().__init__()
        self.stride, self.wrap, self.sizes = stride, wrap, []

    def forward(self, images):
        self.sizes.append(tuple(images.shape[-2:]))
        first = avg_pool2d(images[:, :1], self.stride)
        return self.wrap(torch.cat([first, -first], 1))


def adapted(module, **options):
    return as_segmentation_network(module, **{"classes": 2, "mean": (0, 0, 0), "std": (1, 1, 1), **options})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: logits,
        lambda logits: {"out": logits, "aux": logits[:, :1]},
        lambda logits: {"logits": logits},
        lambda logits: SimpleNamespace(logits=logits),
        lambda logits: (logits, logits[:, :1]),
        lambda logits: [{"out": logits}],
    ],
)
def test_whatever_holds_logits(wrap):
    image = torch.rand(1, 3, 16, 24)
    network = adapted(Shades(wrap=wrap))
    torch.testing.assert_close(network(image)[:, :1], avg_pool2d(image[:, :1], 4))


@pytest.mark.parametrize("module_stride", [1, 2, 4, 8])
def test_logits_land_on_the_cells_whatever_the_modules_stride(module_stride):
    """A horizontal ramp keeps its values at the cells' centres, but near the border of an interpolation."""
    image = torch.arange(64.0).expand(1, 3, 32, 64)
    logits = adapted(Shades(module_stride))(image)
    assert logits.shape == (1, 2, 8, 16)
    expected = torch.arange(16.0) * 4 + 1.5
    torch.testing.assert_close(logits[0, 0, :, 1:-1], expected[1:-1].expand(8, -1))


def test_sides_are_padded_to_the_divisor_and_the_logits_cut():
    module = Shades()
    image = torch.rand(1, 3, 30, 45)
    logits = adapted(module, divisor=32)(image)
    assert module.sizes == [(32, 64)]
    assert logits.shape == (1, 2, 8, 12)
    torch.testing.assert_close(logits[0, 0, :7, :11], avg_pool2d(image[:, :1], 4)[0, 0, :7, :11])


@pytest.mark.parametrize(("size", "given"), [((20, 40), (20, 40)), (24, (24, 36))])
def test_pictures_are_resized_for_the_module(size, given):
    module = Shades()
    image = torch.linspace(0, 1, 96).expand(1, 3, 64, 96)
    logits = adapted(module, input_size=size)(image)
    assert module.sizes == [given]
    assert logits.shape == (1, 2, 16, 24)
    expected = interpolate(image[:, :1], size=(16, 24), mode="area")[0, 0]
    assert (logits[0, 0] - expected).abs().max() < 0.02


def test_normalisation_and_channel_order_are_the_modules():
    image = torch.tensor([10.0, 20.0, 30.0]).expand(1, 8, 8, 3)
    network = adapted(Shades(), mean=(8, 10, 10), std=(1, 2, 4), bgr=True)
    assert network(network.normalise(image))[0, 0].unique().tolist() == [5.0], "blue, normalised as blue"


def test_what_cannot_work_is_said():
    with pytest.raises(ModelError, match=r"returned \(1, 2, 8, 8\) where logits \(N, 5"):
        adapted(Shades(), classes=5)(torch.rand(1, 3, 8, 8))
    with pytest.raises(ModelError, match="returned dict"):
        adapted(Shades(wrap=lambda x: {"masks": x}))(torch.rand(1, 3, 8, 8))
    with pytest.raises(ModelError, match="stride 3"):
        adapted(Shades(), stride=3)
    with pytest.raises(ModelError, match="std above 0"):
        adapted(Shades(), std=(1, 1, 0))
    with pytest.raises(ModelError, match="300 classes"):
        adapted(Shades(), classes=300)

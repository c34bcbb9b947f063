"""A network that has what is hard to export (pyramid pooling, resizing to a skip's size), and takes no time."""

import pytest
import torch
from torch import nn

from gopseg.segnet import SegmentationNetwork
from gopseg.segnet.networks.swiftnet import NormReluConv, SpatialPyramidPooling, Upsample

CLASSES = ("road", "sky", "tree")


class TinyNetwork(SegmentationNetwork):
    """Features of 12 channels at stride 4, from one coarser level with pyramid pooling."""

    feature_channels, feature_stride = 12, 4
    image_mean: torch.Tensor

    def __init__(self):
        super().__init__()
        self.classes = CLASSES
        self.fine = nn.Conv2d(3, 8, 4, 4, padding=0, bias=False)
        self.coarse = nn.Conv2d(8, 16, 3, 2, padding=1)
        self.pool = SpatialPyramidPooling(16, 12)
        self.up = Upsample(8, 12)
        self.logits = NormReluConv(12, len(CLASSES), 1, bias=True)
        self.register_buffer("image_mean", torch.tensor([70.0, 80.0, 90.0]).view(1, 3, 1, 1))
        self.register_buffer("image_std", torch.tensor([50.0, 51.0, 52.0]).view(1, 3, 1, 1))

    def features(self, images):
        height, width = images.shape[-2:]
        fine = self.fine(nn.functional.pad(images, (0, -width % 4, 0, -height % 4)))
        return self.up(self.pool(self.coarse(fine)), fine)

    def classify(self, p):
        return self.logits(p)

    @property
    def mean(self):
        return self.image_mean

    @property
    def std(self):
        return self.image_std


@pytest.fixture(scope="session")
def network():
    torch.manual_seed(0)
    return TinyNetwork().eval()

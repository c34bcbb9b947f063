"""Networks of more classes and channels than OpenCV takes in one call, in every mode that carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from gopseg.codec import open_video
from gopseg.pipelines import MODES, NetworkRunner
from gopseg.pipelines.carriers import AlteringRunner
from gopseg.pipelines.modes.building import AlteringBranch, HeadModel, LowBranch
from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    ModelError,
    PropagationModel,
    PropagationSettings,
    SegmentationNetwork,
    as_segmentation_network,
    build_fusion,
)

RED = -1  # the last class of all


class WideNetwork(SegmentationNetwork):
    """The first class is the grey ground, the last the red square; features repeat the colour of each 4x4 cell."""

    feature_stride = 4

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.classes = tuple(f"class {i}" for i in range(classes))
        self.feature_channels = channels
        colours = torch.full((classes, 3), 500.0) + torch.arange(classes)[:, None]
        colours[0], colours[RED] = torch.tensor([40.0, 40, 40]), torch.tensor([230.0, 60, 60])
        self.colours = colours.view(1, classes, 3, 1, 1)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        cells = avg_pool2d(images, 4, ceil_mode=True)
        return cells.repeat(1, -(-self.feature_channels // 3), 1, 1)[:, : self.feature_channels]

    def classify(self, p: torch.Tensor) -> torch.Tensor:
        return -(p[:, None, -3:].roll(self.feature_channels % 3, 2) - self.colours).abs().mean(2)

    @property
    def mean(self) -> torch.Tensor:
        return torch.zeros(1, 3, 1, 1)

    @property
    def std(self) -> torch.Tensor:
        return torch.ones(1, 3, 1, 1)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("motion", {}),
        ("motion", {"carry": "features"}),
        ("motion", {"carry": "features", "key_scale": 0.5}),
        ("flow", {}),
        ("flow", {"carry": "features"}),
        ("guided", {}),
    ],
)
@pytest.mark.parametrize(("classes", "channels"), [(150, 256), (255, 512)])
def test_labels_follow_the_square(
    mode: str, options: dict[str, Any], classes: int, channels: int, square_clip: Path, square_images: Any
) -> None:
    runner = NetworkRunner(WideNetwork(classes, channels), device="cpu", precision="fp32")
    settings = PropagationSettings(classes=runner.classes, stride=4, width=8)
    torch.manual_seed(0)
    runner.adopt(HeadModel(), PropagationModel(settings).eval())
    pipeline = MODES[mode].pipeline(runner, **options)
    with open_video(square_clip) as video:
        labels = [prediction.labels for prediction in pipeline.run(video)]
    assert len(labels) == 12
    for own, image in zip(labels, square_images, strict=True):
        truth = np.where(image[..., 0] > 130, classes - 1, 0)
        assert np.count_nonzero(own != truth) < 200


def test_ar_fuses_wide_maps(square_clip: Path) -> None:
    runner = NetworkRunner(WideNetwork(150, 256), device="cpu", precision="fp32")
    low = LowResolution(WideNetwork(150, 256), 0.5)
    branch = AlteringResolution(low, build_fusion("evidence", low)).eval()
    runner.adopt(LowBranch(0.5), NetworkRunner(low, device="cpu", precision="fp32"))
    runner.adopt(AlteringBranch(0.5), AlteringRunner(runner, branch))
    with open_video(square_clip) as video:
        predictions = list(MODES["ar"].pipeline(runner, keep_logits=True).run(video))
    assert [p.logits.shape for p in predictions if p.logits is not None] == [(16, 24, 150)] * 12


def test_more_classes_than_labels_hold_are_refused() -> None:
    with pytest.raises(ModelError, match="256 classes"):
        as_segmentation_network(torch.nn.Conv2d(3, 256, 1), classes=256)

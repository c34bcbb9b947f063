"""Averaging over mirrored and resized views."""

import numpy as np
import pytest
import torch

from gopseg.pipelines import NetworkRunner, upsample_labels
from gopseg.segnet import SwiftNet
from gopseg.tools.evaluate.measuring.averaging import Views, averaged_labels, separate_views


@pytest.fixture(scope="module")
def runner():
    torch.manual_seed(0)
    return NetworkRunner(SwiftNet(5), device="cpu", precision="fp32")


def picture(seed=0, size_hw=(70, 101)):
    small = np.random.default_rng(seed).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    return small.repeat(10, 0).repeat(10, 1)[: size_hw[0], : size_hw[1]].copy()


def test_the_plain_view_is_what_the_network_says(runner):
    image = picture()
    expected = upsample_labels(runner.logits(image), runner.stride, image.shape[:2])
    assert (averaged_labels(runner, image, Views()) == expected).mean() > 0.9999


def test_mirrored_pictures_get_mirrored_labels(runner):
    """Also at widths that the stride does not divide; without averaging they do not."""
    image = picture(1)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    for views, equal in ((Views(flip=True), True), (Views((0.75, 1.0, 1.25), True), True), (Views(), False)):
        same = averaged_labels(runner, image, views)[:, ::-1] == averaged_labels(runner, mirrored, views)
        assert (same.mean() > 0.999) == equal


def test_scales_change_what_is_seen(runner):
    image = picture(2)
    one = averaged_labels(runner, image, Views())
    several = averaged_labels(runner, image, Views((0.5, 1.0)))
    assert several.shape == one.shape == image.shape[:2]
    assert 0 < (several != one).mean() < 1


def test_each_kind_is_reported_on_its_own():
    assert [views.name for views in separate_views((1.0,), False)] == ["still"]
    assert [views.name for views in separate_views((1.0,), True)] == ["still", "still flip"]
    names = [views.name for views in separate_views((0.75, 1.0), True)]
    assert names == ["still", "still flip", "still 0.75,1", "still flip 0.75,1"]

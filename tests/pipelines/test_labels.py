from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from gopseg.compiled import Loops
from gopseg.pipelines import upsample_labels
from gopseg.pipelines.labels import LOOPS


@pytest.fixture(scope="module", params=["never", "now"], autouse=True)
def compiled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything by NumPy and OpenCV, and by compiled loops."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "now" and not LOOPS.wait():
            pytest.skip("numba is not installed (extra fast)")
        patch.setattr(Loops, "when", request.param)
        yield


def plain(logits, stride, size_hw):
    full = interpolate(
        torch.from_numpy(logits).permute(2, 0, 1)[None], scale_factor=stride, mode="bilinear", align_corners=False
    )
    return full[0].argmax(0).numpy()[: size_hw[0], : size_hw[1]]


@pytest.mark.parametrize("coarse", [(3, 4), (12, 16), (23, 31)], ids=["few borders", "many", "all"])
@pytest.mark.parametrize("classes", [1, 2, 11])
def test_equals_the_plain_way(coarse, classes):
    generator = torch.Generator().manual_seed(3)
    small = torch.randn(1, classes, *coarse, generator=generator)
    logits = interpolate(small, size=(23, 31), mode="bicubic")[0].permute(1, 2, 0).contiguous().numpy()
    assert np.array_equal(upsample_labels(logits, 4, (90, 121)), plain(logits, 4, (90, 121)))


def test_a_class_that_wins_at_no_corner_may_win_between_them():
    logits = np.array([[[10.0, 9.0, 0.0], [0.0, 9.0, 10.0]]], np.float32)
    labels = upsample_labels(logits, 4, (4, 8))
    assert labels[0].tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert np.array_equal(labels, plain(logits, 4, (4, 8)))


def test_other_strides():
    logits = np.random.default_rng(0).normal(size=(5, 6, 4)).astype(np.float32)
    assert np.array_equal(upsample_labels(logits, 8, (40, 48)), plain(logits, 8, (40, 48)))
    assert np.array_equal(upsample_labels(logits, 1, (4, 6)), plain(logits, 1, (4, 6)))


@pytest.mark.parametrize(("stride", "size_hw"), [(4, (21, 8)), (4, (8, 25)), (3, (8, 8))])
def test_refuses_what_the_logits_do_not_cover(stride, size_hw):
    with pytest.raises(ValueError, match="cannot give"):
        upsample_labels(np.zeros((5, 6, 3), np.float32), stride, size_hw)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("stride", [2, 4, 6, 16])
def test_probabilities_make_the_same_labels_as_any_scores(sharpness, stride):
    generator = torch.Generator().manual_seed(5)
    small = sharpness * torch.randn(1, 9, 11, 13, generator=generator)
    logits = interpolate(small, size=(23, 31), mode="bicubic")[0].permute(1, 2, 0).contiguous()
    scores = logits.softmax(2).numpy()
    size_hw = 23 * stride - 1, 31 * stride
    labels = upsample_labels(scores, stride, size_hw, are_probabilities=True)
    assert np.array_equal(labels, plain(scores, stride, size_hw))
    assert np.array_equal(labels, upsample_labels(scores, stride, size_hw))


def test_sums_that_are_not_quite_one():
    """As of half precision: two classes with 0.6 of it leave more than 0.4 to the third."""
    scores = np.array([[[0.52, 0.0, 0.50], [0.0, 0.52, 0.50]]], np.float32)
    assert np.array_equal(upsample_labels(scores, 4, (4, 8), are_probabilities=True), plain(scores, 4, (4, 8)))

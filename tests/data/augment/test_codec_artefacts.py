import cv2
import numpy as np
import pytest

from gopseg.data import Augmentation, Sample, random_view
from gopseg.data.augment.codec_artefacts import coded_with_h264, decoded_last


@pytest.fixture(scope="module")
def picture():
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (128, 96), interpolation=cv2.INTER_CUBIC), np.uint8)


def error(a, b):
    return float(np.mean((a.astype(float) - b) ** 2))


def test_coarser_quantisers_lose_more(picture):
    losses = [error(decoded_last([picture], quantiser), picture) for quantiser in (20, 30, 40)]
    assert losses[0] < losses[1] < losses[2]


def test_nothing_moves(picture):
    """Artefacts leave every pixel in its place: the image correlates best with itself unshifted, as I- and P-frame."""
    moved = np.roll(picture, 4, 1)
    for frames in ([picture], [moved, picture]):
        coded = decoded_last(frames, 36)
        errors = [error(np.roll(coded, shift, 1)[:, 8:-8], picture[:, 8:-8]) for shift in (-1, 0, 1)]
        assert min(errors) == errors[1]


@pytest.mark.parametrize("size", [(96, 128), (95, 127), (33, 48)])
def test_same_generator_same_picture_of_the_same_size(picture, size):
    image = picture[: size[0], : size[1]]
    first, again = (coded_with_h264(image, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == image.shape
    np.testing.assert_array_equal(first, again)
    assert error(first, image) > 0


def test_augment_leaves_labels_alone_and_is_unchanged_without_it(picture):
    sample = Sample("picture", picture, np.zeros(picture.shape[:2], np.uint8))
    plain = Augmentation(crop_hw=(64, 96), colour=0.0, degrade=0.0, mix=0.0)
    coded = Augmentation(crop_hw=(64, 96), colour=0.0, degrade=0.0, mix=0.0, codec=1.0)
    views = [random_view(sample, settings, np.random.default_rng(1)) for settings in (plain, coded)]
    np.testing.assert_array_equal(views[0].labels, views[1].labels)
    assert 0 < error(views[0].image, views[1].image) < error(views[0].image, views[0].image[::-1])

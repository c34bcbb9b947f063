import numpy as np
import pytest

from gopseg.data.augment.views import Augmentation, class_mix, crop_view, random_view
from gopseg.data.sample import VOID, Sample

PLAIN = Augmentation(
    crop_hw=(60, 80), scale=(1.0, 1.0), aspect=1.0, flip=0.0, focus=0.0, colour=0.0, degrade=0.0, mix=0.0
)


def coded(height=60, width=80):
    """An image whose red channel is its label: whatever moves one must move the other."""
    labels = (np.add.outer(np.arange(height) // 10, np.arange(width) // 10) % 11).astype(np.uint8)
    image = np.repeat((labels * 20)[..., None], 3, 2).astype(np.uint8)
    return Sample("coded", image, labels)


def test_identity_when_nothing_may_change():
    sample = coded()
    view = random_view(sample, PLAIN, np.random.default_rng(0))
    np.testing.assert_array_equal(view.image, sample.image)
    np.testing.assert_array_equal(view.labels, sample.labels)


@pytest.mark.parametrize("seed", range(8))
def test_image_and_labels_move_together(seed):
    settings = Augmentation(crop_hw=(48, 64), colour=0.0, degrade=0.0, mix=0.0)
    view = random_view(coded(), settings, np.random.default_rng(seed))
    assert view.image.shape == (48, 64, 3)
    known = view.labels != VOID
    assert known.mean() > 0.5
    # Bilinear against nearest differ on block borders only.
    agree = np.abs(view.image[..., 0].astype(int) - 20 * view.labels.astype(int)) <= 10
    assert agree[known].mean() > 0.75


def test_outside_is_void():
    view = crop_view(coded(), Augmentation(crop_hw=(120, 160), scale=(0.5, 0.5)), np.random.default_rng(0))
    assert (view.labels == VOID).any()


def test_same_generator_state_same_view():
    settings = Augmentation(crop_hw=(48, 64), mix=1.0)
    views = [random_view(coded(), settings, np.random.default_rng(5), coded) for _ in range(2)]
    np.testing.assert_array_equal(views[0].image, views[1].image)
    np.testing.assert_array_equal(views[0].labels, views[1].labels)


def test_class_mix_pastes_whole_classes_with_their_pixels():
    base = Sample("a", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))
    labels = np.array([[1, 1, 2, 2]] * 4, np.uint8)
    other = Sample("b", np.repeat(labels[..., None] * 100, 3, 2).astype(np.uint8), labels)
    mixed = class_mix(base, other, np.random.default_rng(0))
    assert set(np.unique(mixed.labels)) in ({0, 1}, {0, 2})
    np.testing.assert_array_equal(mixed.image[..., 0], mixed.labels * 100)

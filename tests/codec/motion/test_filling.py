import numpy as np
import pytest

from gopseg.codec import MotionField, filled, mix_with_nearest

pytestmark = pytest.mark.usefixtures("each_way")

RNG = np.random.default_rng(0)


def test_cells_without_reference_move_like_the_nearest():
    displacement = np.zeros((2, 3, 2), np.float32)
    displacement[:, 0] = (4, -2)
    lost = np.array([[False, True, False], [False, False, True]])
    field = filled(MotionField(displacement, lost, (16, 24), (8.0, 8.0)))
    assert field.displacement[0, 1].tolist() in ([4, -2], [0, 0])
    assert field.displacement[1, 2].tolist() == [0, 0]
    assert (field.unreferenced == lost).all()


def test_mixing_takes_the_nearest_known_cell():
    values = np.zeros((3, 7, 2), np.float32)
    values[:, :3], values[:, 3:] = (1, 10), (5, 50)
    unknown = np.zeros((3, 7), bool)
    unknown[:, 2:4] = True
    values[:, 2:4] = 0
    assert mix_with_nearest(values, unknown, 1.0)[1].tolist() == [[1, 10]] * 3 + [[5, 50]] * 4
    assert mix_with_nearest(values, unknown, 0.5)[1, 2].tolist() == [0.5, 5]
    assert (values[:, 2:4] == 0).all(), "the argument is left alone"


@pytest.mark.parametrize("known", [True, False])
def test_nothing_or_everything_unknown_changes_nothing(known):
    values = RNG.normal(size=(3, 4, 2)).astype(np.float32)
    assert np.array_equal(mix_with_nearest(values, np.full((3, 4), not known)), values)


def test_every_cell_may_have_its_own_share():
    values = np.array([[[2.0], [4.0], [8.0]]], np.float32)
    mixed = mix_with_nearest(values, np.array([[False, True, True]]), 0.5)
    assert mixed.ravel().tolist() == [2, 3, 5]

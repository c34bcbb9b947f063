"""The synthetic street: deterministic, exact, coherent in time, and complete in its classes."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from gopseg.data import SyntheticStreet
from gopseg.data.street.rendering import StreetRenderer
from gopseg.data.street.world import BLOCK, make_block, make_theme, moving_things, travelled

SMALL = (180, 240)


def test_a_frame_is_an_image_with_labels_of_its_size():
    image, labels = SyntheticStreet(0).frame(0)
    assert image.shape == (360, 480, 3)
    assert image.dtype == np.uint8
    assert labels.shape == (360, 480)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize("size_hw", [(32, 32), (97, 131), (144, 256)])
def test_any_size_is_served(size_hw):
    image, labels = SyntheticStreet(5, size_hw=size_hw).frame(3)
    assert image.shape == (*size_hw, 3)
    assert labels.shape == size_hw


def test_a_frame_depends_on_seed_and_index_only():
    one, other = SyntheticStreet(3, SMALL), SyntheticStreet(3, SMALL)
    wanted = [one.frame(i) for i in (0, 400, 37)]
    again = [other.frame(i) for i in (37, 0, 400)]
    for (image, labels), (image2, labels2) in zip(wanted, [again[1], again[2], again[0]], strict=True):
        np.testing.assert_array_equal(image, image2)
        np.testing.assert_array_equal(labels, labels2)


def test_opencv_threads_do_not_change_a_frame():
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        single = SyntheticStreet(4).frame(20)
        cv2.setNumThreads(4)
        several = SyntheticStreet(4).frame(20)
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(single[0], several[0])
    np.testing.assert_array_equal(single[1], several[1])


def test_frames_are_frame_in_order():
    street = SyntheticStreet(1, SMALL, frame_rate=10)
    for index, (image, labels) in enumerate(street.frames(3)):
        single = street.frame(index)
        np.testing.assert_array_equal(image, single[0])
        np.testing.assert_array_equal(labels, single[1])
    assert index == 2


def test_seeds_give_different_streets():
    first, second = SyntheticStreet(1, SMALL).frame(0)[0], SyntheticStreet(2, SMALL).frame(0)[0]
    assert np.abs(first.astype(int) - second).mean() > 15


def test_the_rate_scales_time_and_not_the_street():
    slow, fast = SyntheticStreet(6, SMALL, frame_rate=10), SyntheticStreet(6, SMALL, frame_rate=30)
    np.testing.assert_array_equal(slow.frame(5)[1], fast.frame(15)[1])


def test_all_eleven_classes_and_no_other_occur():
    seen = np.zeros(256, int)
    for seed in range(6):
        street = SyntheticStreet(seed, SMALL)
        for index in (0, 200):
            seen += np.bincount(street.frame(index)[1].ravel(), minlength=256)
    assert (seen[:11] > 20).all(), seen[:11]
    assert seen[11:].sum() == 0


def test_a_street_looks_like_one():
    """Sky above, bright; road below, dark; both large, in every street."""
    for seed in range(10, 15):
        image, labels = SyntheticStreet(seed, SMALL).frame(90)
        sky, road = labels == 0, labels == 3
        assert 0.02 < sky.mean() < 0.5
        assert 0.2 < road.mean() < 0.6
        assert not sky[int(0.6 * SMALL[0]) :].any()
        assert not road[: int(0.4 * SMALL[0])].any()
        assert image[sky].mean() > image[road].mean() + 25


def test_texture_moves_with_the_world():
    """Optical flow explains the next frames far better than standing still: textures are anchored, nothing boils."""
    gains = []
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for seed in (0, 5):
        street = SyntheticStreet(seed)
        first, second = (street.frame(i)[0] for i in (30, 31))
        grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (second, first)]
        field = flow.calc(grey[0], grey[1], None)
        y, x = np.mgrid[:360, :480].astype(np.float32)
        warped = cv2.remap(first, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR)
        still = np.square(first.astype(float) - second).mean()
        moved = np.square(warped.astype(float) - second)[8:-8, 8:-8].mean()
        gains.append(10 * np.log10(still / moved))
    assert min(gains) > 3, gains


def test_labels_move_little_between_frames():
    street = SyntheticStreet(2)
    first, second = street.frame(50)[1], street.frame(51)[1]
    assert 0 < (first != second).mean() < 0.15


def test_the_drive_goes_on_for_ever():
    street = SyntheticStreet(7, SMALL)
    image, labels = street.frame(1_000_000)
    assert (labels == 3).mean() > 0.2
    assert image.std() > 20


def test_the_car_never_drives_backwards():
    for seed in range(20):
        theme = make_theme(seed)
        metres = [travelled(theme, t) for t in np.arange(0, 120, 0.5)]
        assert np.diff(metres).min() > 0


def test_travellers_keep_their_pace_and_their_looks():
    theme = make_theme(0)
    now, later = (
        {(t.kind, t.look): t for t in moving_things(0, theme, 1000.0, seconds, 30.0, 150.0)} for seconds in (10.0, 10.5)
    )
    both = now.keys() & later.keys()
    speeds = {key: (later[key].s - now[key].s) / 0.5 for key in both if now[key].phase not in (0.0, 1.0)}
    assert len(speeds) > 10
    for (kind, _), speed in speeds.items():
        low, high = {"car": (5, 12), "cyclist": (3, 6), "person": (1, 2)}[kind]
        assert low < abs(speed) < high


@pytest.mark.parametrize("index", [-3, 0, 11])
def test_lots_fill_a_block_without_gap_or_overlap(index):
    theme = make_theme(9)
    block = make_block(9, theme, index)
    for side in (-1, 1):
        lots = sorted((lot for lot in block.lots if lot.side == side), key=lambda lot: lot.s0)
        assert lots[0].s0 == pytest.approx(index * BLOCK)
        assert lots[-1].s1 == pytest.approx((index + 1) * BLOCK)
        for one, other in pairwise(lots):
            assert one.s1 == pytest.approx(other.s0)


def test_caches_stay_small():
    renderer = StreetRenderer(1, (64, 96))
    for index in range(0, 3000, 400):
        renderer.render(index, SyntheticStreet(1).frame_rate)
    assert len(renderer._blocks) <= 12
    assert len(renderer._fronts) <= 80


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"seed": -1}, "seed -1"), ({"size_hw": (16, 480)}, "size_hw"), ({"frame_rate": 0}, "frame_rate 0")],
)
def test_impossible_streets_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        SyntheticStreet(**arguments)


def test_frames_before_the_start_are_refused():
    with pytest.raises(IndexError, match="frame -1"):
        SyntheticStreet(0, (32, 32)).frame(-1)

"""Sub-pixel prediction against the standard's formulas (H.264, 8.4.2.2.1), one sample at a time."""

from __future__ import annotations

import numpy as np
import pytest

from gopseg.codec.motion.matching.prediction import STEP, Sampler, SubpixelPlanes, cells_of, differences

pytestmark = pytest.mark.usefixtures("each_way")


def tap(values: list[int]) -> int:
    a, b, c, d, e, f = values
    return a - 5 * b + 20 * c + 20 * d - 5 * e + f


def sample(image: np.ndarray, x4: int, y4: int) -> int:
    """The luma sample at a position in quarter pixels; names as in figure 8-4."""
    x, y, at = x4 >> 2, y4 >> 2, (x4 & 3, y4 & 3)

    def pixel(x: int, y: int) -> int:
        return int(image[min(max(y, 0), image.shape[0] - 1), min(max(x, 0), image.shape[1] - 1)])

    def clip(value: int) -> int:
        return min(255, max(0, value))

    def b1(x: int, y: int) -> int:
        return tap([pixel(x + k, y) for k in range(-2, 4)])

    def h1(x: int, y: int) -> int:
        return tap([pixel(x, y + k) for k in range(-2, 4)])

    g, right, below = pixel(x, y), pixel(x + 1, y), pixel(x, y + 1)
    b, h = clip((b1(x, y) + 16) >> 5), clip((h1(x, y) + 16) >> 5)
    m, s = clip((h1(x + 1, y) + 16) >> 5), clip((b1(x, y + 1) + 16) >> 5)
    j = clip((tap([b1(x, y + k) for k in range(-2, 4)]) + 512) >> 10)
    pairs = {
        (0, 0): (g, g), (1, 0): (g, b), (2, 0): (b, b), (3, 0): (b, right),
        (0, 1): (g, h), (1, 1): (b, h), (2, 1): (b, j), (3, 1): (b, m),
        (0, 2): (h, h), (1, 2): (h, j), (2, 2): (j, j), (3, 2): (j, m),
        (0, 3): (h, below), (1, 3): (h, s), (2, 3): (j, s), (3, 3): (s, m),
    }  # fmt: skip
    return (sum(pairs[at]) + 1) >> 1


@pytest.mark.parametrize("reach", [8, 40, 4000])
def test_every_position(reach: int) -> None:
    rng = np.random.default_rng(reach)
    image = rng.integers(0, 256, (24, 40), np.uint8)
    corners = np.array([(x, y) for y in range(-3, 24, 8) for x in range(-5, 40, 8)])
    vectors = rng.integers(-reach, reach + 1, corners.shape)
    got = Sampler(corners, vectors, image.shape).predict(SubpixelPlanes(image))
    assert got.shape == (len(corners), 64 // STEP)
    for cell, (x, y), (dx, dy) in zip(got, corners, vectors, strict=True):
        places = [(i, j) for i in range(0, 8, STEP) for j in range(8)]
        assert cell.tolist() == [sample(image, 4 * (x + j) + dx, 4 * (y + i) + dy) for i, j in places]


@pytest.mark.parametrize("origin_xy", [(0, 0), (-2, -7)])
def test_cells_without_motion_are_the_pictures_own(origin_xy: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 43), np.uint8)
    corners = np.array([(x, y) for y in range(origin_xy[1], 30, 8) for x in range(origin_xy[0], 43, 8)])
    own = cells_of(image, origin_xy, (-(-(30 - origin_xy[1]) // 8), -(-(43 - origin_xy[0]) // 8)))
    assert np.array_equal(own, Sampler(corners, np.zeros_like(corners), image.shape).predict(SubpixelPlanes(image)))
    assert not differences(own, own).any()
    assert differences(own, own ^ 1).tolist() == [1] * len(own)

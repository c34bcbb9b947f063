"""Compiled loops of matching give what NumPy and OpenCV give, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gopseg.codec import Frame, open_video
from gopseg.codec.bitstream import Hypothesis
from gopseg.codec.motion.matching import SubpixelPlanes, TracedPicture, block_grid, match, prediction, trace, tracing
from gopseg.codec.motion.matching.prediction import differences
from gopseg.codec.motion.matching.reference_matching import Matches
from gopseg.codec.reading.sidedata import VECTOR_DTYPE
from gopseg.compiled import Loops

T = TypeVar("T")


@pytest.fixture(scope="module", autouse=True)
def are_there() -> None:
    if not (prediction.LOOPS.wait() and tracing.WAY_LOOPS.wait()):
        pytest.skip("numba is not installed (extra fast)")


def both_ways(work: Callable[[], T]) -> tuple[T, T]:
    found = []
    for when in ("never", "now"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Loops, "when", when)
            found.append(work())
    return found[0], found[1]


def same(*pairs: tuple[Any, Any]) -> None:
    for one, other in pairs:
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("contrast", [1, 0.2])
@pytest.mark.parametrize("size_hw", [(1, 1), (16, 24), (270, 481)])
def test_half_pixel_planes(size_hw: tuple[int, int], contrast: float) -> None:
    """Of noise, where every rounding occurs, ties of two filters' sums too."""
    rng = np.random.default_rng(size_hw[0])
    luma = (rng.choice([0, 255, 128], size_hw) * contrast + rng.integers(0, 40, size_hw)).clip(0, 255).astype(np.uint8)
    same(both_ways(lambda: SubpixelPlanes(luma).planes()))


def test_differences() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 500, 32), np.uint8)
    same(both_ways(lambda: differences(first, second)))


def vectors_on(rng: np.random.Generator, size_hw: tuple[int, int], origin_xy: tuple[int, int]) -> NDArray[np.void]:
    """Blocks of all shapes in macroblocks from `origin_xy` on, of list 0, list 1 or both; some have none."""
    found = []
    for top in range(origin_xy[1], size_hw[0], 16):
        for left in range(origin_xy[0], size_hw[1], 16):
            w, h = ((16, 16), (16, 8), (8, 16), (8, 8))[rng.integers(4)]
            for y in range(top, top + 16, h):
                for x in range(left, left + 16, w):
                    for source in ((-1,), (1,), (-1, 1), ())[rng.choice(4, p=(0.5, 0.2, 0.2, 0.1))]:
                        motion = rng.integers(-30, 31, 2) * rng.integers(0, 2) * rng.choice([1, 20])
                        found.append((source, w, h, 0, 0, x + w // 2, y + h // 2, 0, *motion, 4))
    rng.shuffle(found)
    return np.array([tuple(each) for each in found], VECTOR_DTYPE)


HYPOTHESES = (
    Hypothesis((8, None), (1.0, 0.0)),
    Hypothesis((5, None), (1.0, 0.0)),
    Hypothesis((8, None), (0.875, 0.0), 3.0),
    Hypothesis((None, 9), (0.0, 1.0)),
    Hypothesis((None, 3), (0.0, 1.0)),  # which is not there
    Hypothesis((8, 9), (0.5, 0.5)),
    Hypothesis((5, 9), (0.25, 0.75), -1.0),
)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(32, 48), (37, 61), (90, 122)]),
    st.sampled_from([(0, 0), (-3, -6)]),
    st.sampled_from([HYPOTHESES, HYPOTHESES[:1], HYPOTHESES[3:4], ()]),
)
@settings(max_examples=25, deadline=None)
def test_matching(
    seed: int, size_hw: tuple[int, int], origin_xy: tuple[int, int], hypotheses: tuple[Hypothesis, ...]
) -> None:
    rng = np.random.default_rng(seed)
    array = vectors_on(rng, size_hw, origin_xy)
    smooth = rng.integers(0, 256, (-(-size_hw[0] // 5), -(-size_hw[1] // 5)), np.uint8).repeat(5, 0).repeat(5, 1)
    luma = smooth[: size_hw[0], : size_hw[1]].copy()
    pictures = {index: np.roll(luma, index, 1) for index in (5, 8, 9)}

    def matched() -> tuple[Any, Matches]:
        grid = block_grid(array, size_hw)
        references = {index: SubpixelPlanes(picture) for index, picture in pictures.items()}
        return grid, match(array, grid, luma, references, hypotheses)

    (grid, plain), (other_grid, compiled) = both_ways(matched)
    assert grid.origin_xy == other_grid.origin_xy
    same(*((getattr(grid, name), getattr(other_grid, name)) for name in ("blocks", "quarters", "is_part")))
    same(*((getattr(plain, name), getattr(compiled, name)) for name in ("picture", "confidence", "error")))


def traced(rng: np.random.Generator, index: int, cells: int, roots: tuple[int, ...]) -> TracedPicture:
    table = np.stack([rng.integers(-60, 61, cells), rng.integers(-60, 61, cells), rng.integers(0, 4, cells),
                      rng.random(cells) < 0.2], 1).astype(np.int16)  # fmt: skip
    error = (rng.random(cells) * 60).astype(np.float32)
    root = rng.choice([*roots, -1], cells).astype(np.int32)
    return TracedPicture(index, index, (0, 0), 0, table, root, error, np.zeros(cells, np.uint8))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(32, 48), (37, 61), (90, 122)]),
    st.sampled_from([(0, 0), (-3, -6)]),
    st.sampled_from([(0,), (0, 4), (4, 0, 2)]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_tracing(
    seed: int, size_hw: tuple[int, int], origin_xy: tuple[int, int], roots: tuple[int, ...], lost: float
) -> None:
    """References that are remembered and not, pictures where ways end, cells without a way: any number of them."""
    rng = np.random.default_rng(seed)
    array = vectors_on(rng, size_hw, origin_xy)
    luma = rng.integers(0, 256, size_hw, np.uint8)
    cells = -(-size_hw[0] // 8) * -(-size_hw[1] // 8)
    pictures = {index: traced(rng, index, cells, roots) for index in (5, 8)}
    pictures[4] = TracedPicture(4, 4, size_hw, 4)
    lumas = {index: rng.integers(0, 256, size_hw, np.uint8) for index in (4, 8, 9)}
    count = len(array)
    picture = np.where(rng.random(count) < lost, -1, rng.choice([4, 5, 8, 9, -50000], count)).astype(np.int32)
    error = np.where(rng.random(count) < 0.1, np.inf, rng.random(count) * 30).astype(np.float32)
    matches = Matches(picture, rng.random(count).astype(np.float32), error)
    frame = Frame(12, 0, Fraction(1), "P", False, 3, size_hw, decode_index=10, load_luma=lambda: luma)

    def work() -> TracedPicture:
        references = {index: SubpixelPlanes(each) for index, each in lumas.items()}
        return trace(frame, block_grid(array, size_hw), matches, references, pictures)

    plain, compiled = both_ways(work)
    assert (plain.index, plain.decode_index, plain.key) == (compiled.index, compiled.decode_index, compiled.key)
    same(*((getattr(plain, name), getattr(compiled, name)) for name in ("table", "root", "error", "confidence")))


@pytest.mark.parametrize("profile", ["bframes", "references"])
def test_videos(make: Any, profile: str) -> None:
    path = make.clip(f"{profile}.mp4", make.sliding(112, 144, 14, (3, 1)), profile=profile)

    def read() -> list[Frame]:
        with open_video(path, references=True) as video:
            return list(islice(video, 14))

    for plain, compiled in zip(*both_ways(read), strict=True):
        one, other = plain.references, compiled.references
        assert one is not None
        assert other is not None
        assert one.key_index == other.key_index
        same(*((getattr(one, name), getattr(other, name)) for name in ("picture", "confidence", "error")))
        same((one.compose(4).displacement, other.compose(4).displacement))

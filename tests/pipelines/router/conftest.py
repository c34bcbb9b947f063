"""A world that moves, encoded in long GOPs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

WIDE = {"bf": "0", "refs": "1", "x264-params": "scenecut=0:weightp=0:open-gop=0"}


def scene(seed: int, count: int, speed: int) -> list[np.ndarray]:
    """A textured world of blocks in the network's colours, that passes by at `speed` pixels a frame."""
    rng = np.random.default_rng(seed)
    colours = np.array(((40, 40, 40), (230, 60, 60), (60, 60, 230)))
    blocks = colours[rng.integers(0, 3, (4, 40))].repeat(24, 0).repeat(24, 1)
    world = np.clip(blocks + rng.integers(-12, 13, (96, 960, 1)), 0, 255).astype(np.uint8)
    return [world[:, speed * i : speed * i + 128] for i in range(count)]


Scene = Callable[[int, int, int], list[np.ndarray]]


@pytest.fixture(scope="session", name="scene")
def scene_fixture() -> Scene:
    """`scene`."""
    return scene


@pytest.fixture(scope="session")
def wide() -> dict[str, str]:
    """Encoder options for vectors that mean the frame before, whatever the GOP."""
    return WIDE

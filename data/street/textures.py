"""Procedural textures of the synthetic street: noise, ground tile, trees, hedges, fences, roofs, clouds."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import Texture

GROUND_PPM = 40.0
GROUND_SIZE = 1024


def noise(rng: np.random.Generator, shape_hw: tuple[int, int], cell: int, octaves: int = 4) -> NDArray[np.float32]:
    """Tileable fractal value noise (h, w) float32 with mean 0 and deviation near 1; `cell` pixels is the coarsest."""
    total = np.zeros(shape_hw, np.float32)
    weight = 1.0
    for _ in range(octaves):
        rows, columns = max(1, round(shape_hw[0] / cell)), max(1, round(shape_hw[1] / cell))
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        padded = np.pad(grid, 2, mode="wrap")
        size = (round(shape_hw[1] * (columns + 4) / columns), round(shape_hw[0] * (rows + 4) / rows))
        big = cv2.resize(padded, size, interpolation=cv2.INTER_CUBIC)
        top, left = round(2 * shape_hw[0] / rows), round(2 * shape_hw[1] / columns)
        total += weight * big[top : top + shape_hw[0], left : left + shape_hw[1]]
        weight *= 0.6
        cell = max(1, cell // 2)
    deviation = float(total.std())
    return np.asarray((total - total.mean()) / (deviation + 1e-6), np.float32)


def opaque(rgb: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An RGB picture 0..255 as premultiplied RGBA with full cover."""
    rgba = np.full((*rgb.shape[:2], 4), 255, np.uint8)
    rgba[..., :3] = np.clip(rgb, 0, 255)
    return rgba


def masked(rgb: NDArray[np.floating], alpha: NDArray[np.floating]) -> NDArray[np.uint8]:
    """RGB 0..255 and cover 0..1 as premultiplied RGBA."""
    rgba = np.empty((*rgb.shape[:2], 4), np.uint8)
    rgba[..., :3] = np.clip(rgb, 0, 255) * alpha[..., None]
    rgba[..., 3] = np.clip(alpha * 255, 0, 255)
    return rgba


def ground_tile(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A tileable (1024, 1024, 3) uint8 map at 40 pixels a metre, rows along u, columns along s.

    Channel 0 is the brightness of asphalt, 1 of paving slabs, 2 of grass; 128 is neutral.
    """
    n = GROUND_SIZE
    asphalt = 128 + 4.5 * noise(rng, (n, n), 400, 4) + 8 * noise(rng, (n, n), 3, 2)
    cracks = np.zeros((n, n), np.uint8)
    for _ in range(10):
        point, angle = rng.uniform(0, n, 2), rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.integers(10, 45))):
            angle += rng.normal(0, 0.35)
            step = point + 9 * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(cracks, [int(v) for v in point], [int(v) for v in step], 255, 1, cv2.LINE_AA)
            point = step
    asphalt -= cracks.astype(np.float32) * 0.13
    for _ in range(5):
        x, y = (int(v) for v in rng.integers(0, n - 160, 2))
        w, h = int(rng.integers(30, 160)), int(rng.integers(30, 110))
        asphalt[y : y + h, x : x + w] += rng.uniform(-14, 6)
        cv2.rectangle(asphalt, (x, y), (x + w, y + h), float(rng.uniform(88, 104)), 2)
    slabs = 128 + 5 * noise(rng, (n, n), 128, 4) + 5 * noise(rng, (n, n), 3, 2)
    for row in range(0, n, 32):
        offset = int(rng.integers(0, 32))
        for column in range(0, n, 32):
            first, last = column + offset, column + offset + 32
            tone = rng.normal(0, 7)
            slabs[row : row + 32, first : min(last, n)] += tone
            if last > n:
                slabs[row : row + 32, : last - n] += tone
            slabs[row : row + 32, first % n] -= 34
        slabs[row] -= 34
    grass = 128 + 20 * noise(rng, (n, n), 64, 5) + 22 * noise(rng, (n, n), 4, 2)
    return np.asarray(np.clip(np.stack([asphalt, slabs, grass], -1), 0, 255), np.uint8)


def sky_panorama(rng: np.random.Generator, cover: float, blue: float, tone: float) -> NDArray[np.uint8]:
    """A full turn of sky, (256, 2048, 3) uint8 RGB, last row at the horizon; `cover` and `blue` 0..1, `tone` 0..1.2."""
    rows = np.linspace(1, 0, 256, dtype=np.float32)[:, None, None]
    zenith = np.array([205, 213, 222]) * (1 - blue) + np.array([112, 158, 214]) * blue
    low = np.array([236, 240, 243]) * (1 - blue) + np.array([205, 224, 240]) * blue
    sky = low * (1 - rows) + zenith * rows + np.zeros((1, 2048, 1), np.float32)
    # Clouds look flatter towards the horizon: sample a noise field with a stretch that grows downwards.
    field = noise(rng, (512, 2048), 160, 6)
    y = (60 / (np.linspace(1, 0, 256) + 0.13)).astype(np.float32)
    x = np.arange(2048, dtype=np.float32)
    clouds = cv2.remap(field, np.tile(x, (256, 1)), np.tile(y[:, None], (1, 2048)), cv2.INTER_LINEAR)
    soft = 1 / (1 + np.exp(-2.6 * (clouds + 2.4 * (cover - 0.5))))[..., None]
    shade = 232 + 16 * np.clip(clouds, -2, 2)[..., None] - 26 * cover
    white = shade * np.array([1.0, 1.005, 1.015], np.float32)
    sky = sky * (1 - soft) + white * soft
    return np.asarray(np.clip(sky * tone, 0, 255), np.uint8)


def leafy_tree(rng: np.random.Generator, tint: NDArray[np.float64]) -> Texture:
    """A tree in leaf, 6 m wide and 8 m tall at 40 pixels a metre: trunk, boughs, crown of noisy leaf clusters."""
    height, width = 320, 240
    rgb = np.zeros((height, width, 3), np.float32)
    alpha = np.zeros((height, width), np.uint8)
    _boughs(rng, rgb, alpha, height, width, thickness=12, trunk=0.36, spread=0.4, depth=2)
    lobes = np.array([width / 2, 118.0]) + rng.normal(0, 1, (18, 2)) * [42, 42]
    lobes[:, 0] = np.clip(lobes[:, 0], 46, width - 46)
    lobes[:, 1] = np.clip(lobes[:, 1], 46, 195)
    # Far lobes first and darker, near ones on top of them: a crown with depth.
    for depth, lobe in enumerate(lobes):
        radius = rng.uniform(26, 42)
        count = 190
        turn, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count)) * radius
        points = lobe + np.stack([reach * np.cos(turn), 0.85 * reach * np.sin(turn)], -1)
        shine = 0.55 + 0.25 * depth / len(lobes) + 0.3 * (lobe[1] - points[:, 1]) / radius
        for (x, y), light in zip(points, shine * rng.uniform(0.7, 1.3, count), strict=True):
            axes = (int(rng.integers(2, 5)), int(rng.integers(1, 4)))
            centre, turned = (int(x), int(y)), float(rng.uniform(0, 180))
            if not (8 < x < width - 8 and 8 < y < height - 8):
                continue
            cv2.ellipse(rgb, centre, axes, turned, 0, 360, (tint * max(light, 0.2)).tolist(), -1)
            cv2.ellipse(alpha, centre, axes, turned, 0, 360, 255, -1)
    return Texture(masked(rgb, cv2.GaussianBlur(alpha, (3, 3), 0) / 255.0), 40)


def bare_tree(rng: np.random.Generator) -> Texture:
    """A tree in winter, 6 m wide and 8 m tall at 40 pixels a metre: boughs that fork into a haze of twigs."""
    height, width = 320, 240
    rgb = np.full((height, width, 3), (84, 77, 70), np.float32)
    alpha = np.zeros((height, width), np.uint8)
    ends = _boughs(rng, rgb, alpha, height, width, thickness=11, trunk=0.29, spread=0.42, depth=7)
    haze = np.zeros((height, width), np.float32)
    for x, y in ends:
        cv2.circle(haze, (int(x), int(y)), 12, 1.0, -1)
    haze = cv2.GaussianBlur(haze, (0, 0), 6) * (0.7 + 0.25 * noise(rng, (height, width), 6, 2))
    cover = np.maximum(alpha / 255.0, np.clip(haze, 0, 0.85))
    return Texture(masked(rgb * (1 + 0.1 * noise(rng, (height, width), 8, 2)[..., None]), cover), 40)


def _boughs(
    rng: np.random.Generator,
    rgb: NDArray[np.float32],
    alpha: NDArray[np.uint8],
    height: int,
    width: int,
    *,
    thickness: int,
    trunk: float,
    spread: float,
    depth: int,
) -> list[tuple[float, float]]:
    """Draw a trunk that forks `depth` times; the ends of the last twigs come back."""
    ends: list[tuple[float, float]] = []
    todo = [(width / 2, height - 1.0, -np.pi / 2 + rng.normal(0, 0.03), height * trunk, float(thickness), depth)]
    while todo:
        x, y, angle, length, thick, left = todo.pop()
        x1, y1 = x + length * np.cos(angle), y + length * np.sin(angle)
        x1, y1 = float(np.clip(x1, 28, width - 28)), float(max(y1, rng.uniform(22, 40)))
        tone = rng.uniform(0.8, 1.1)
        line = ((int(x), int(y)), (int(x1), int(y1)))
        cv2.line(rgb, *line, (72 * tone, 64 * tone, 56 * tone), max(1, round(thick)), cv2.LINE_AA)
        cv2.line(alpha, *line, 255, max(1, round(thick)), cv2.LINE_AA)
        if left == 0:
            ends.append((x1, y1))
            continue
        for _ in range(2 if left < depth else 3):
            turn = angle + rng.normal(0, spread) - 0.12 * np.sin(angle + np.pi / 2)
            todo.append((x1, y1, turn, length * rng.uniform(0.56, 0.8), thick * 0.62, left - 1))
    return ends


def hedge(rng: np.random.Generator, tint: NDArray[np.float64]) -> Texture:
    """A run of bushes, 8 m long and 2 m tall at 40 pixels a metre, with an uneven top."""
    height, width = 80, 320
    leaf = noise(rng, (height, width), 14, 4)
    light = np.linspace(1.15, 0.55, height, dtype=np.float32)[:, None]
    rgb = tint * (light * (1 + 0.28 * leaf))[..., None]
    top = 14 + 7 * noise(rng, (1, width), 70, 4)
    cover = np.clip(np.arange(height)[:, None] - top - 2 * leaf, 0, 1)
    return Texture(masked(rgb, cover), 40)


def plank_fence(rng: np.random.Generator) -> Texture:
    """A wooden fence, 6 m long and 1.8 m tall at 40 pixels a metre."""
    height, width = 72, 240
    base = np.array([96, 80, 64]) * rng.uniform(0.7, 1.15)
    tone = np.repeat(rng.normal(1, 0.09, width // 6), 6)[None, :] + 0.05 * noise(rng, (height, width), 6, 2)
    tone[:, ::6] *= 0.55
    tone[:, ::80] *= 0.7
    tone[8:12] *= 0.85
    return Texture(opaque(base * tone[..., None]), 40)


def railing(rng: np.random.Generator) -> Texture:
    """An iron railing, 4 m long and 1.2 m tall at 40 pixels a metre, open between the bars."""
    height, width = 48, 160
    alpha = np.zeros((height, width), np.float32)
    alpha[:, ::6] = 1
    alpha[:, 1::6] = 1
    alpha[4:7] = 1
    alpha[-8:-5] = 1
    alpha[:, ::80] = 1
    alpha[:, 1::80] = 1
    alpha[:, 2::80] = 1
    base = np.array([[44, 46, 48], [70, 74, 78], [30, 48, 40]][int(rng.integers(3))], float)
    return Texture(masked(base * np.ones((height, width, 1)), alpha), 40)


def low_wall(rng: np.random.Generator) -> Texture:
    """A garden wall of brick, 6 m long and 1 m tall at 40 pixels a metre."""
    return Texture(opaque(bricks(rng, (40, 240), np.array([112, 84, 70]) * rng.uniform(0.8, 1.2))), 40)


def slates(rng: np.random.Generator) -> Texture:
    """A roof, 8 m square at 20 pixels a metre."""
    base = np.array([[70, 72, 78], [84, 70, 62], [62, 64, 66], [104, 74, 60]][int(rng.integers(4))], float)
    tone = 1 + 0.07 * noise(rng, (160, 160), 40, 4) + 0.05 * noise(rng, (160, 160), 3, 1)
    tone[::6] *= 0.82
    return Texture(opaque(base * tone[..., None]), 20)


def bricks(rng: np.random.Generator, shape_hw: tuple[int, int], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Courses of brick (h, w, 3) at about 3 pixels a course, in the colour `base`, with weather on them."""
    rows, columns = shape_hw
    tone = 1 + 0.05 * noise(rng, shape_hw, max(8, min(shape_hw) // 2), 4).astype(np.float64)
    cells = rng.normal(0, 0.07, (rows // 3 + 1, columns // 6 + 2))
    y, x = np.mgrid[:rows, :columns]
    tone += cells[y // 3, (x + 3 * (y // 3 % 2)) // 6]
    tone[::3] *= 0.9
    wall: NDArray[np.float64] = base * tone[..., None]
    return wall

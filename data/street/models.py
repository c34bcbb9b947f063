"""People, cyclists, lamps, signs and traffic lights of the synthetic street: sticks and plates in local coordinates.

Local coordinates are (right, up, forward) in metres from the foot of the thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .canvas import Colour, Shape
from .cars import Points, Polygons, paint_colour, tone

Point = tuple[float, float, float]
# Two ends, the radius at each, the colour: a tapered stick with round ends that always shows the camera its broad side.
Limb = tuple[Point, Point, float, float, Colour]

_CLOTHES = (
    (34, 36, 42), (46, 44, 44), (28, 34, 52), (62, 58, 54), (92, 40, 40), (50, 62, 50), (120, 116, 108),
    (58, 66, 86), (26, 26, 28), (140, 124, 96), (150, 52, 60), (190, 188, 180),
)  # fmt: skip
_SKINS = ((198, 156, 132), (176, 132, 108), (120, 84, 64), (210, 172, 150))
_HAIRS = ((34, 26, 22), (70, 52, 36), (110, 104, 98), (28, 28, 30))
_ARC = np.linspace(-np.pi / 2, np.pi / 2, 6)
_GREY: Colour = (92, 94, 94)


class Placement:
    """Where a thing stands: `where` (3,) its foot in camera coordinates, `axes` (3, 3) its right, up, forward."""

    def __init__(self, where: Points, axes: Points, camera_height: float) -> None:
        self.where, self.axes = where, axes
        self.eye: Points = axes @ (np.array([0.0, camera_height, 0.0]) - where)
        """The camera in local coordinates."""

    def polygons(self, shapes: Polygons) -> list[Shape]:
        """Local polygons in camera coordinates."""
        points = self.where + np.concatenate([p for p, _ in shapes]) @ self.axes
        ends = np.cumsum([len(p) for p, _ in shapes])
        return [(points[end - len(p) : end], c) for end, (p, c) in zip(ends, shapes, strict=True)]

    def limbs(self, limbs: Sequence[Limb]) -> list[Shape]:
        """Sticks as polygons in camera coordinates, each turned towards the camera."""
        ends = self.where + np.array([(a, b) for a, b, *_ in limbs], float) @ self.axes
        seen = ends[..., :2] / np.maximum(ends[..., 2:], 0.05)
        d = seen[:, 1] - seen[:, 0]
        length = np.hypot(d[:, 0], d[:, 1])[:, None]
        d = np.where(length > 1e-9, d / np.maximum(length, 1e-12), np.array([0.0, 1.0]))
        n = np.stack([-d[:, 1], d[:, 0]], -1)
        radii = np.array([limb[2:4] for limb in limbs], float)
        rings = np.empty((len(limbs), 2 * len(_ARC), 3))
        for end, sense in ((0, -1.0), (1, 1.0)):
            arc = sense * (np.cos(_ARC)[:, None, None] * d + np.sin(_ARC)[:, None, None] * n)
            part = slice(end * len(_ARC), (end + 1) * len(_ARC))
            rings[:, part] = ends[:, end][:, None]
            rings[:, part, :2] += (radii[:, end][None, :, None] * arc).transpose(1, 0, 2)
        return [(ring, limb[4]) for ring, limb in zip(rings, limbs, strict=True)]


def person(look: int, phase: float, *, walking: bool) -> list[Limb]:
    """A walker about 1.7 m tall; `phase` radians drives legs and arms."""
    rng = np.random.default_rng(look)
    size = float(rng.uniform(0.9, 1.08))
    coat = _pick(rng, _CLOTHES, 0.6, 1.0)
    trousers = _pick(rng, _CLOTHES[:6], 0.55, 0.95)
    skin, hair = _pick(rng, _SKINS, 0.85, 0.85), _pick(rng, _HAIRS, 1, 1)
    swing = float(0.42 * np.sin(phase)) if walking else 0.04
    hip, knee, shoulder = 0.86 * size, 0.46 * size, 1.38 * size
    limbs: list[Limb] = []

    def leg(side: float, angle: float) -> None:
        bend = max(0.0, -float(np.cos(phase)) * side) * 0.35 if walking else 0.0
        kz, ky = float(np.sin(angle)) * (hip - knee), hip - float(np.cos(angle)) * (hip - knee)
        fz, fy = kz + float(np.sin(angle - bend)) * knee, ky - float(np.cos(angle - bend)) * knee
        x, shade = 0.09 * side, tone(trousers, 0.8 if side < 0 else 1.0)
        limbs.append(((x, hip, 0), (x, ky, kz), 0.095, 0.07, shade))
        limbs.append(((x, ky, kz), (x, fy + 0.08, fz), 0.068, 0.05, shade))
        limbs.append(((x, fy + 0.04, fz - 0.04), (x, fy + 0.04, fz + 0.14), 0.045, 0.04, (22, 20, 20)))

    def arm(side: float, angle: float) -> None:
        ez, ey = float(np.sin(angle)) * 0.3, shoulder - float(np.cos(angle)) * 0.3
        hz, hy = ez + float(np.sin(angle + 0.35)) * 0.27, ey - float(np.cos(angle + 0.35)) * 0.27
        shade = tone(coat, 0.78)
        limbs.append(((0.23 * side, shoulder, 0), (0.26 * side, ey, ez), 0.062, 0.052, shade))
        limbs.append(((0.26 * side, ey, ez), (0.25 * side, hy, hz), 0.05, 0.04, shade))
        limbs.append(((0.25 * side, hy - 0.02, hz), (0.25 * side, hy - 0.05, hz), 0.045, 0.04, tone(skin, 0.9)))

    leg(-1, -swing)
    arm(-1, swing * 0.8)
    leg(1, swing)
    hem = (0.7 if rng.random() < 0.3 else 0.9) * size
    limbs.append(((0, hem, 0), (0, 1.36 * size, 0), 0.17, 0.2, tone(coat, 0.95)))
    limbs.append(((-0.14, 1.4 * size, 0), (0.14, 1.4 * size, 0), 0.09, 0.09, tone(coat, 1.08)))
    arm(1, -swing * 0.8)
    limbs += _head(1.44 * size, 0.0, skin, hair)
    if rng.random() < 0.35:
        limbs.append(((0.3, 0.95 * size, 0), (0.3, 0.72 * size, 0), 0.1, 0.12, _pick(rng, _CLOTHES, 0.9, 0.9)))
    return limbs


def cyclist(look: int, phase: float) -> list[Limb]:
    """A bicycle with its rider; `phase` radians turns the pedals."""
    rng = np.random.default_rng(look)
    coat = _pick(rng, _CLOTHES, 1, 1)
    if rng.random() < 0.25:
        coat = (170.0, 190.0, 50.0)
    trousers, skin = _pick(rng, _CLOTHES[:6], 0.9, 0.9), _pick(rng, _SKINS, 0.85, 0.85)
    frame = tone(paint_colour(rng), 0.8)
    turn = np.linspace(0, 2 * np.pi, 17)
    limbs: list[Limb] = []
    for z in (-0.52, 0.52):
        rim: list[Point] = [(0.0, 0.34 + 0.33 * float(np.sin(t)), z + 0.33 * float(np.cos(t))) for t in turn]
        limbs += [(p, q, 0.028, 0.028, (22, 22, 24)) for p, q in pairwise(rim)]
        limbs.append(((0, 0.04, z), (0, 0.64, z), 0.008, 0.008, (70, 70, 74)))
        limbs.append(((0, 0.34, z - 0.3), (0, 0.34, z + 0.3), 0.008, 0.008, (70, 70, 74)))
    crank, seat, head, hub = (0, 0.3, -0.05), (0, 0.92, -0.2), (0, 0.86, 0.36), (0, 0.34, -0.52)
    for p, q in ((crank, seat), (crank, head), (seat, head), (crank, hub), (seat, hub), (head, (0, 0.34, 0.52))):
        limbs.append((p, q, 0.022, 0.022, frame))
    limbs.append(((-0.26, 1.02, 0.36), (0.26, 1.02, 0.36), 0.02, 0.02, (30, 30, 32)))
    limbs.append(((0, 0.86, 0.36), (0, 1.02, 0.36), 0.02, 0.02, (30, 30, 32)))

    def leg(side: float, angle: float) -> None:
        foot = (0.1 * side, 0.3 + 0.16 * float(np.sin(angle)), -0.05 + 0.16 * float(np.cos(angle)))
        knee = (0.11 * side, (0.94 + foot[1]) / 2 + 0.06, (foot[2] - 0.2) / 2 + 0.24)
        shade = tone(trousers, 0.8 if side < 0 else 1.0)
        limbs.append(((0.1 * side, 0.94, -0.2), knee, 0.095, 0.07, shade))
        limbs.append((knee, foot, 0.065, 0.05, shade))
        limbs.append((foot, (foot[0], foot[1], foot[2] + 0.14), 0.045, 0.04, (20, 20, 22)))

    leg(-1, phase + np.pi)
    leg(1, phase)
    limbs.append(((0, 0.98, -0.18), (0, 1.42, 0.06), 0.17, 0.19, tone(coat, 0.95)))
    for side in (-1, 1):
        limbs.append(((0.19 * side, 1.4, 0.06), (0.25 * side, 1.2, 0.2), 0.06, 0.05, tone(coat, 0.8)))
        limbs.append(((0.25 * side, 1.2, 0.2), (0.24 * side, 1.04, 0.36), 0.05, 0.04, tone(coat, 0.8)))
    limbs += _head(1.46, 0.12, skin, (200, 200, 196) if rng.random() < 0.4 else (34, 30, 28))
    return limbs


def _head(neck: float, forward: float, skin: Colour, hair: Colour) -> list[Limb]:
    return [
        ((0, neck, forward), (0, neck + 0.08, forward), 0.055, 0.05, tone(skin, 0.85)),
        ((0, neck + 0.16, forward + 0.01), (0, neck + 0.21, forward + 0.01), 0.1, 0.1, skin),
        ((-0.01, neck + 0.23, forward - 0.02), (0.01, neck + 0.25, forward - 0.02), 0.105, 0.1, hair),
    ]


def _pick(rng: np.random.Generator, colours: Sequence[Sequence[float]], low: float, high: float) -> Colour:
    return tone(colours[int(rng.integers(len(colours)))], float(rng.uniform(low, high)))


def lamp(look: int, height: float, reach: float) -> list[Limb]:
    """A street lamp `height` metres tall whose arm reaches `reach` metres to the right (negative: left)."""
    rng = np.random.default_rng(look)
    grey = _pick(rng, ((118, 122, 124), (62, 70, 66), (44, 46, 48), (96, 98, 98)), 0.8, 1.1)
    return [
        ((0, 0, 0), (0, 1.1, 0), 0.12, 0.11, tone(grey, 0.85)),
        ((0, 1.0, 0), (0, height, 0), 0.085, 0.055, grey),
        ((0, height, 0), (reach * 0.7, height + 0.25, 0), 0.05, 0.04, tone(grey, 0.95)),
        ((reach * 0.6, height + 0.22, 0), (reach, height + 0.28, 0), 0.11, 0.1, tone(grey, 1.1)),
    ]


def bollard(look: int) -> list[Limb]:
    """A cast bollard about a metre tall."""
    rng = np.random.default_rng(look)
    colour = _pick(rng, ((30, 32, 34), (44, 46, 46), (96, 98, 96)), 0.9, 1.1)
    return [
        ((0, 0, 0), (0, 0.9, 0), 0.09, 0.075, colour),
        ((0, 0.88, 0), (0, 0.96, 0), 0.095, 0.08, tone(colour, 1.25)),
    ]


def sign(look: int, *, seen: bool) -> tuple[list[Limb], Polygons]:
    """A traffic sign whose face looks back (-forward): its post and its plates; `seen` from the front, else grey."""
    rng = np.random.default_rng(look)
    y = float(rng.uniform(2.3, 2.9))
    plates: Polygons = []
    turn = np.linspace(0, 2 * np.pi, 21)[:-1]
    red, white, black = (168, 28, 34), (206, 206, 204), (20, 20, 22)
    blue, green = (36, 70, 140), (24, 92, 66)

    def add(rows: Sequence[tuple[float, float]], colour: Colour) -> None:
        plates.append((np.array([(x, up, -0.05) for x, up in rows]), colour if seen else _GREY))

    def disc(radius: float, colour: Colour) -> None:
        add([(radius * float(np.cos(t)), y + radius * float(np.sin(t))) for t in turn], colour)

    def panel(x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        add([(x0, y + y0), (x1, y + y0), (x1, y + y1), (x0, y + y1)], colour)

    kind = int(rng.integers(6))
    if kind == 0:
        disc(0.34, red)
        disc(0.25, white)
        panel(-0.13, -0.1, -0.03, 0.1, black)
        panel(0.03, -0.1, 0.13, 0.1, black)
    elif kind == 1:
        disc(0.34, red)
        panel(-0.25, -0.06, 0.25, 0.06, white)
    elif kind == 2:
        disc(0.34, blue)
        panel(-0.04, -0.2, 0.04, 0.2, white)
        panel(-0.12, 0.06, 0.12, 0.14, white)
    elif kind == 3:
        for size, colour in ((0.45, red), (0.31, white)):
            add([(-size, y - 0.6 * size), (size, y - 0.6 * size), (0, y + 1.1 * size)], colour)
        panel(-0.04, -0.1, 0.04, 0.14, black)
    else:
        w, h = float(rng.uniform(0.4, 0.75)), float(rng.uniform(0.25, 0.5))
        back: Colour = (green, blue, white)[int(rng.integers(3))]
        panel(-w, -h, w, h, back)
        lines = int(rng.integers(1, 4))
        for i in range(lines):
            level = h * (0.55 - 1.1 * i / (lines - 1)) if lines > 1 else 0.0
            ink: Colour = (30, 30, 34) if back == white else (220, 220, 216)
            panel(-0.75 * w, level - 0.05, float(rng.uniform(0.0, 0.75)) * w, level + 0.05, ink)
    return [((0, 0, 0), (0, y, 0), 0.045, 0.045, (104, 106, 106))], plates


def traffic_lights(stage: int, *, seen: bool) -> tuple[list[Limb], Polygons]:
    """Traffic lights that look back (-forward); `stage` 0 green, 1 amber, 2 red: the post and the head."""
    head: Polygons = []

    def panel(x: float, y0: float, y1: float, colour: Colour) -> None:
        head.append((np.array([(-x, y0, -0.1), (x, y0, -0.1), (x, y1, -0.1), (-x, y1, -0.1)]), colour))

    panel(0.23, 2.1, 3.15, (150, 150, 146) if seen else (40, 40, 42))
    panel(0.2, 2.13, 3.12, (18, 18, 20))
    turn = np.linspace(0, 2 * np.pi, 13)[:-1]
    lamps = (((60, 230, 150), (14, 40, 30)), ((250, 180, 40), (50, 38, 12)), ((240, 50, 40), (48, 14, 14)))
    for i, (lit, unlit) in enumerate(lamps if seen else ()):
        ring = [(0.11 * np.cos(t), 2.32 + 0.31 * i + 0.11 * np.sin(t), -0.12) for t in turn]
        head.append((np.array(ring), lit if i == stage else unlit))
    return [((0, 0, 0), (0, 2.2, 0), 0.06, 0.06, (84, 86, 88))], head

"""Things on the synthetic street as flat polygons in space: cars, people, cyclists, lamps, signs, traffic lights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .synthetic_canvas import Colour, Shape

Points = NDArray[np.float64]
# Local coordinates (right, up, forward) in metres to camera coordinates.
Placer = Callable[[Points], Points]

_PAINTS = (
    (150, 152, 156), (96, 98, 102), (36, 38, 42), (150, 150, 148), (120, 30, 30), (36, 50, 92), (40, 62, 52),
    (190, 190, 188), (66, 70, 78), (20, 22, 26), (110, 100, 84), (70, 88, 120),
)  # fmt: skip
_CLOTHES = (
    (34, 36, 42), (46, 44, 44), (28, 34, 52), (62, 58, 54), (92, 40, 40), (50, 62, 50), (120, 116, 108),
    (58, 66, 86), (26, 26, 28), (140, 124, 96), (150, 52, 60), (190, 188, 180),
)  # fmt: skip
_SKINS = ((198, 156, 132), (176, 132, 108), (120, 84, 64), (210, 172, 150))


def _tone(colour: Sequence[float], factor: float) -> Colour:
    return (min(colour[0] * factor, 255.0), min(colour[1] * factor, 255.0), min(colour[2] * factor, 255.0))


def _flat(rows: Sequence[Sequence[float]]) -> Points:
    return np.array(rows, float)


def car(place: Placer, look: int, side_light: tuple[float, float], braking: bool = False) -> list[Shape]:
    """A car or van, centre of its footprint at the local origin; `side_light` brightens its left and right side."""
    rng = np.random.default_rng(look)
    paint = np.array(_PAINTS[int(rng.integers(len(_PAINTS)))], float) * rng.uniform(0.8, 1.1)
    van = bool(rng.random() < 0.16)
    length, width = (4.9, 1.95) if van else (float(rng.uniform(3.7, 4.6)), float(rng.uniform(1.66, 1.8)))
    height = 2.15 if van else float(rng.uniform(1.4, 1.6))
    if van:
        paint = np.array([205.0, 205, 202]) * rng.uniform(0.85, 1.05)
    h, w = length / 2, width / 2
    saloon = not van and rng.random() < 0.35
    bonnet, belt = (1.0, 1.12) if van else (float(rng.uniform(0.95, 1.15)), 0.93)
    rear_z = -h + (0.75 if saloon else 0.12)
    roof_front = h - bonnet - (0.55 if van else 0.75)
    roof_rear = -h + (1.35 if saloon else 0.1 if van else 0.55)
    lean = 0.1 if van else 0.19
    sill, nose = 0.24, 0.7 if not van else 0.95
    glass: Colour = (34, 40, 46)
    sheen: Colour = (88, 98, 106)
    dark: Colour = (24, 24, 26)
    eye = -_local_eye(place)
    shapes: list[Shape] = []

    def add(rows: Sequence[Sequence[float]], colour: Colour) -> None:
        shapes.append((place(_flat(rows)), colour))

    # Tyres and the dark gap under the body first: everything above covers them.
    for z in (h - 0.72, -h + 0.72):
        for x in (-w + 0.11, w - 0.11):
            add([(x - 0.1, 0, z), (x + 0.1, 0, z), (x + 0.1, 0.5, z), (x - 0.1, 0.5, z)], (14, 14, 15))
    add([(-w + 0.1, 0.1, 0), (w - 0.1, 0.1, 0), (w - 0.1, 0.4, 0), (-w + 0.1, 0.4, 0)], (12, 12, 13))

    seen_front, seen_rear = eye[2] > h, eye[2] < -h
    top_seen = eye[1] > 0
    for sign, visible, light in ((-1, eye[0] < -w, side_light[0]), (1, eye[0] > w, side_light[1])):
        if not visible:
            continue
        x, xr = sign * w, sign * (w - lean)
        body = _tone(paint, 0.84 * light)
        add([(xr, height, roof_front), (xr, height, roof_rear), (x, belt, rear_z), (x, belt, h - bonnet)], body)
        a, b = roof_front - 0.08, roof_rear + (0.1 if not van else 0.2)
        ya, yb = height - 0.09, belt + 0.02
        mid = (roof_front + roof_rear) / 2 + 0.05
        split = min(mid, roof_front - 0.5)
        xa, xb = xr + sign * 0.02, x - sign * 0.01
        add([(xa, ya, a), (xa, ya, split + 0.05), (xb, yb, split + 0.05), (xb, yb, h - bonnet - 0.12)], glass)
        if not van:
            add([(xa, ya, split - 0.05), (xa, ya, b), (xb, yb, rear_z + 0.25), (xb, yb, split - 0.05)], glass)
            add([(xa, ya, split - 0.05), (xa, ya, b), (xa, ya - 0.14, b - 0.1), (xa, ya - 0.14, split - 0.05)], sheen)
        add([(xa, ya, a), (xa, ya, split + 0.05), (xa, ya - 0.14, split + 0.05), (xa, ya - 0.14, a + 0.14)], sheen)
        add(
            [(x, sill, h), (x, nose, h), (x, belt, h - bonnet), (x, belt, rear_z), (x, belt - 0.06, -h), (x, sill, -h)],
            body,
        )
        add(
            [(x, belt - 0.1, h - bonnet), (x, belt, h - bonnet), (x, belt, rear_z), (x, belt - 0.1, rear_z)],
            _tone(paint, light),
        )
        add([(x, sill, h), (x, sill + 0.16, h), (x, sill + 0.16, -h), (x, sill, -h)], _tone(paint, 0.5 * light))
        for z in (split, rear_z + 0.5):
            add(
                [(x, sill + 0.2, z - 0.012), (x, belt, z - 0.012), (x, belt, z + 0.012), (x, sill + 0.2, z + 0.012)],
                _tone(paint, 0.45),
            )
        turn = np.linspace(0, 2 * np.pi, 14)[:-1]
        for z in (h - 0.74, -h + 0.74):
            for radius, colour in ((0.37, dark), (0.31, (20, 20, 21)), (0.19, (120, 122, 126)), (0.06, (60, 60, 62))):
                ring = np.stack(
                    [np.full(13, x + sign * 0.01), 0.31 + radius * np.sin(turn), z + radius * np.cos(turn)], -1
                )
                ring[:, 1] = np.maximum(ring[:, 1], 0)
                add(ring.tolist(), colour)
        add(
            [
                (x, 0.96, h - bonnet - 0.2),
                (x + sign * 0.17, 0.96, h - bonnet - 0.2),
                (x + sign * 0.17, 1.1, h - bonnet - 0.2),
                (x, 1.08, h - bonnet - 0.2),
            ],
            _tone(paint, 0.7),
        )

    def across(rows: Sequence[tuple[float, float, float]], colour: Colour) -> None:
        """A strip over the width: rows of (half width, y, z)."""
        left = [(-half, y, z) for half, y, z in rows]
        right = [(half, y, z) for half, y, z in reversed(rows)]
        add(left + right, colour)

    if top_seen and eye[1] > height:
        across([(w - lean, height, roof_front), (w - lean, height, roof_rear)], _tone(paint, 1.2))
    if seen_rear:
        body = _tone(paint, 0.8 * (side_light[0] + side_light[1]) / 2)
        across([(w - lean, height, roof_rear), (w, belt, rear_z)], body)
        if not van:
            across([(w - lean - 0.08, height - 0.07, roof_rear - 0.02), (w - 0.12, belt + 0.05, rear_z)], glass)
            across(
                [
                    (w - lean - 0.1, height - 0.1, roof_rear - 0.03),
                    (w - 0.2, (height + belt) / 2, (roof_rear + rear_z) / 2),
                ],
                sheen,
            )
        if saloon:
            across([(w, belt, rear_z), (w, belt - 0.04, -h)], _tone(paint, 1.1))
        across([(w, belt, -h), (w, sill, -h)], body)
        if van:
            across([(0.012, belt + 0.9, -h), (0.012, sill, -h)], _tone(paint, 0.5))
            for x in (-0.45, 0.45):
                add([(x - 0.3, 1.3, -h), (x + 0.3, 1.3, -h), (x + 0.3, 1.85, -h), (x - 0.3, 1.85, -h)], glass)
        across([(w, 0.5, -h), (w, sill, -h)], _tone(paint, 0.55))
        across([(0.27, 0.66, -h), (0.27, 0.55, -h)], (205, 176, 70))
        red: Colour = (225, 50, 40) if braking else (140, 26, 24)
        for x in (-w + 0.17, w - 0.17):
            add([(x - 0.13, 0.62, -h), (x + 0.13, 0.62, -h), (x + 0.13, 0.86, -h), (x - 0.13, 0.86, -h)], red)
    if seen_front:
        light = (side_light[0] + side_light[1]) / 2
        across([(w - lean, height, roof_front), (w - 0.02, belt, h - bonnet)], _tone(paint, 0.9 * light))
        across([(w - lean - 0.06, height - 0.06, roof_front), (w - 0.1, belt + 0.03, h - bonnet)], glass)
        across(
            [(w - lean - 0.08, height - 0.09, roof_front), (w - 0.3, (height + belt) / 2 + 0.05, h - bonnet - 0.35)],
            sheen,
        )
        across([(w - 0.02, belt, h - bonnet), (w - 0.03, nose, h)], _tone(paint, 1.12))
        across([(w, nose, h), (w, sill, h)], _tone(paint, 0.82 * light))
        across([(w, 0.46, h), (w, sill, h)], _tone(paint, 0.55))
        across([(0.42, 0.62, h), (0.42, 0.5, h)], dark)
        across([(0.26, 0.46, h), (0.26, 0.35, h)], (215, 215, 210))
        for x in (-w + 0.2, w - 0.2):
            add([(x - 0.16, 0.54, h), (x + 0.16, 0.54, h), (x + 0.14, 0.68, h), (x - 0.14, 0.68, h)], (226, 228, 226))
    return shapes


def _local_eye(place: Placer) -> Points:
    """Minus the camera's place in local coordinates: solve for it from the images of the local axes."""
    origin, right, up, forward = place(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]))
    axes = np.stack([right - origin, up - origin, forward - origin])
    eye = np.array([0.0, 1.4, 0.0]) - origin
    return -(axes @ eye)


def limb(place: Placer, start: Sequence[float], end: Sequence[float], r0: float, r1: float, colour: Colour) -> Shape:
    """A tapered stick between two local points, always broad side to the camera, with rounded ends."""
    a, b = place(_flat([start, end]))
    va, vb = a / a[2], b / b[2]
    flat = np.array([vb[0] - va[0], vb[1] - va[1]])
    size = float(np.hypot(*flat))
    d = flat / size if size > 1e-9 else np.array([0.0, 1.0])
    n = np.array([-d[1], d[0]])
    ring = []
    for centre, radius, sense in ((a, r0, -1.0), (b, r1, 1.0)):
        for angle in (-np.pi / 2, -np.pi / 5, np.pi / 5, np.pi / 2):
            turn = angle * sense if sense > 0 else angle
            step = sense * np.cos(turn) * d + (-np.sin(turn) if sense > 0 else np.sin(turn)) * n * sense * sense
            ring.append(centre + radius * np.array([step[0], step[1], 0.0]))
    return np.array(ring), colour


def _disc(place: Placer, centre: Sequence[float], radius: float, colour: Colour, tall: float = 1.0) -> Shape:
    middle = place(_flat([centre]))[0]
    turn = np.linspace(0, 2 * np.pi, 13)[:-1]
    ring = middle + radius * np.stack([np.cos(turn), tall * np.sin(turn), np.zeros(12)], -1)
    return ring, colour


def person(place: Placer, look: int, phase: float, walking: bool) -> list[Shape]:
    """A walker about 1.7 m tall; `phase` radians drives the legs and arms."""
    rng = np.random.default_rng(look)
    size = rng.uniform(0.9, 1.08)
    coat = np.array(_CLOTHES[int(rng.integers(len(_CLOTHES)))], float) * rng.uniform(0.8, 1.1)
    trousers = np.array(_CLOTHES[int(rng.integers(6))], float) * rng.uniform(0.7, 1.0)
    skin = np.array(_SKINS[int(rng.integers(len(_SKINS)))], float) * 0.85
    hair = np.array([(34, 26, 22), (70, 52, 36), (110, 104, 98), (28, 28, 30)][int(rng.integers(4))], float)
    swing = 0.42 * np.sin(phase) if walking else 0.04
    shapes: list[Shape] = []
    hip, knee = 0.86 * size, 0.46 * size

    def leg(side: float, angle: float) -> None:
        bend = max(0.0, -np.cos(phase) * side) * 0.35 if walking else 0.0
        kz, kl = np.sin(angle) * (hip - knee), np.cos(angle) * (hip - knee)
        fz = kz + np.sin(angle - bend) * knee
        fl = hip - kl - np.cos(angle - bend) * knee
        shade = 0.8 if side < 0 else 1.0
        x = 0.09 * side
        shapes.append(limb(place, (x, hip, 0), (x, hip - kl, kz), 0.095, 0.07, _tone(trousers, shade)))
        shapes.append(limb(place, (x, hip - kl, kz), (x, fl + 0.08, fz), 0.068, 0.05, _tone(trousers, shade)))
        shapes.append(limb(place, (x, fl + 0.04, fz - 0.04), (x, fl + 0.04, fz + 0.14), 0.045, 0.04, (22, 20, 20)))

    def arm(side: float, angle: float) -> None:
        shoulder = 1.38 * size
        ez, el = np.sin(angle) * 0.3, np.cos(angle) * 0.3
        hz, hl = ez + np.sin(angle + 0.35) * 0.27, el + np.cos(angle + 0.35) * 0.27
        shade = _tone(coat, 0.78)
        shapes.append(limb(place, (0.23 * side, shoulder, 0), (0.26 * side, shoulder - el, ez), 0.062, 0.052, shade))
        shapes.append(
            limb(place, (0.26 * side, shoulder - el, ez), (0.25 * side, shoulder - hl, hz), 0.05, 0.04, shade)
        )
        shapes.append(_disc(place, (0.25 * side, shoulder - hl - 0.03, hz), 0.045, _tone(skin, 0.9)))

    leg(-1, -swing)
    arm(-1, swing * 0.8)
    leg(1, swing)
    long_coat = rng.random() < 0.3
    shapes.append(
        limb(place, (0, (0.7 if long_coat else 0.9) * size, 0), (0, 1.36 * size, 0), 0.17, 0.2, _tone(coat, 0.95))
    )
    shapes.append(limb(place, (-0.14, 1.4 * size, 0), (0.14, 1.4 * size, 0), 0.09, 0.09, _tone(coat, 1.08)))
    arm(1, -swing * 0.8)
    shapes.append(limb(place, (0, 1.44 * size, 0), (0, 1.52 * size, 0), 0.055, 0.05, _tone(skin, 0.85)))
    shapes.append(_disc(place, (0, 1.63 * size, 0.01), 0.105, _tone(skin, 1.0), 1.2))
    shapes.append(_disc(place, (0, 1.68 * size, -0.02), 0.108, _tone(hair, 1.0), 0.85))
    if rng.random() < 0.35:
        bag = _tone(_CLOTHES[int(rng.integers(len(_CLOTHES)))], 0.9)
        shapes.append(limb(place, (0.3, 0.95 * size, 0), (0.3, 0.72 * size, 0), 0.1, 0.12, bag))
    return shapes


def cyclist(place: Placer, look: int, phase: float) -> list[Shape]:
    """A bicycle with its rider; `phase` radians turns the pedals."""
    rng = np.random.default_rng(look)
    coat = np.array(_CLOTHES[int(rng.integers(len(_CLOTHES)))], float)
    if rng.random() < 0.25:
        coat = np.array([170.0, 190, 50])
    trousers = np.array(_CLOTHES[int(rng.integers(6))], float) * 0.9
    skin = np.array(_SKINS[int(rng.integers(len(_SKINS)))], float) * 0.85
    frame = _tone(_PAINTS[int(rng.integers(len(_PAINTS)))], 0.8)
    shapes: list[Shape] = []
    turn = np.linspace(0, 2 * np.pi, 17)
    for z in (-0.52, 0.52):
        rim = [(0.0, 0.34 + 0.33 * np.sin(t), z + 0.33 * np.cos(t)) for t in turn]
        shapes += [limb(place, p, q, 0.026, 0.026, (22, 22, 24)) for p, q in zip(rim, rim[1:], strict=False)]
        shapes.append(limb(place, (0, 0.02, z), (0, 0.66, z), 0.008, 0.008, (70, 70, 74)))
        shapes.append(limb(place, (0, 0.34, z - 0.3), (0, 0.34, z + 0.3), 0.008, 0.008, (70, 70, 74)))
    crank, seat, head = (0, 0.3, -0.05), (0, 0.92, -0.2), (0, 0.86, 0.36)
    pairs = (
        (crank, seat),
        (crank, head),
        (seat, head),
        (crank, (0, 0.34, -0.52)),
        (seat, (0, 0.34, -0.52)),
        (head, (0, 0.34, 0.52)),
    )
    shapes += [limb(place, p, q, 0.022, 0.022, frame) for p, q in pairs]
    shapes.append(limb(place, (-0.26, 1.02, 0.36), (0.26, 1.02, 0.36), 0.02, 0.02, (30, 30, 32)))
    shapes.append(limb(place, (0, 0.86, 0.36), (0, 1.02, 0.36), 0.02, 0.02, (30, 30, 32)))

    def leg(side: float, angle: float) -> None:
        foot = (0.1 * side, 0.3 + 0.16 * np.sin(angle), -0.05 + 0.16 * np.cos(angle))
        hip = (0.1 * side, 0.94, -0.2)
        knee = (0.11 * side, (hip[1] + foot[1]) / 2 + 0.06, (hip[2] + foot[2]) / 2 + 0.24)
        shade = _tone(trousers, 0.8 if side < 0 else 1.0)
        shapes.append(limb(place, hip, knee, 0.095, 0.07, shade))
        shapes.append(limb(place, knee, foot, 0.065, 0.05, shade))
        shapes.append(limb(place, foot, (foot[0], foot[1], foot[2] + 0.14), 0.045, 0.04, (20, 20, 22)))

    leg(-1, phase + np.pi)
    leg(1, phase)
    shapes.append(limb(place, (0, 0.98, -0.18), (0, 1.42, 0.06), 0.17, 0.19, _tone(coat, 0.95)))
    for side in (-1, 1):
        shapes.append(limb(place, (0.19 * side, 1.4, 0.06), (0.25 * side, 1.2, 0.2), 0.06, 0.05, _tone(coat, 0.8)))
        shapes.append(limb(place, (0.25 * side, 1.2, 0.2), (0.24 * side, 1.04, 0.36), 0.05, 0.04, _tone(coat, 0.8)))
    shapes.append(_disc(place, (0, 1.64, 0.12), 0.105, _tone(skin, 1.0), 1.2))
    helmet: Colour = (200, 200, 196) if rng.random() < 0.4 else (34, 30, 28)
    shapes.append(_disc(place, (0, 1.7, 0.1), 0.115, helmet, 0.8))
    return shapes


def lamp(place: Placer, look: int, height: float, reach: float) -> list[Shape]:
    """A street lamp `height` metres tall whose arm reaches `reach` metres to local right (negative: left)."""
    rng = np.random.default_rng(look)
    grey = np.array([[118, 122, 124], [62, 70, 66], [44, 46, 48], [96, 98, 98]][int(rng.integers(4))], float)
    grey *= rng.uniform(0.8, 1.1)
    return [
        limb(place, (0, 0, 0), (0, 1.1, 0), 0.12, 0.11, _tone(grey, 0.85)),
        limb(place, (0, 1.0, 0), (0, height, 0), 0.085, 0.055, _tone(grey, 1.0)),
        limb(place, (0, height, 0), (reach * 0.7, height + 0.25, 0), 0.05, 0.04, _tone(grey, 0.95)),
        limb(place, (reach * 0.6, height + 0.22, 0), (reach, height + 0.28, 0), 0.11, 0.1, _tone(grey, 1.1)),
    ]


def sign(place: Placer, look: int) -> tuple[list[Shape], list[Shape]]:
    """A traffic sign on its post, its face to local back: the shapes of the post, then those of the plates."""
    rng = np.random.default_rng(look)
    post_height = float(rng.uniform(2.3, 2.9))
    post = [limb(place, (0, 0, 0), (0, post_height, 0), 0.045, 0.045, (104, 106, 106))]
    plates: list[Shape] = []
    turn = np.linspace(0, 2 * np.pi, 21)[:-1]
    seen = _local_eye(place)[2] > 0
    y = post_height
    red, white, blue, green = (168, 28, 34), (206, 206, 204), (36, 70, 140), (24, 92, 66)

    def disc(radius: float, colour: Colour) -> None:
        ring = [(radius * np.cos(t), y + radius * np.sin(t), -0.05) for t in turn]
        plates.append((place(_flat(ring)), colour if seen else (92, 94, 94)))

    def panel(x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        rows = [(x0, y0, -0.05), (x1, y0, -0.05), (x1, y1, -0.05), (x0, y1, -0.05)]
        plates.append((place(_flat(rows)), colour if seen else (92, 94, 94)))

    kind = int(rng.integers(6))
    if kind == 0:
        disc(0.34, red)
        disc(0.25, white)
        panel(-0.13, y - 0.1, -0.03, y + 0.1, (20, 20, 22))
        panel(0.03, y - 0.1, 0.13, y + 0.1, (20, 20, 22))
    elif kind == 1:
        disc(0.34, red)
        panel(-0.25, y - 0.06, 0.25, y + 0.06, white)
    elif kind == 2:
        disc(0.34, blue)
        panel(-0.04, y - 0.2, 0.04, y + 0.2, white)
        panel(-0.12, y + 0.06, 0.12, y + 0.14, white)
    elif kind == 3:
        for size, colour in ((0.45, red), (0.31, white)):
            rows = [(-size, y - 0.6 * size, -0.05), (size, y - 0.6 * size, -0.05), (0, y + 1.1 * size, -0.05)]
            plates.append((place(_flat(rows)), colour if seen else (92, 94, 94)))
        panel(-0.04, y - 0.1, 0.04, y + 0.14, (20, 20, 22))
    else:
        w, h = float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.3, 0.7))
        back: Colour = (green, blue, white)[int(rng.integers(3))]
        ink: Colour = (30, 30, 34) if back == white else (220, 220, 216)
        panel(-w, y - h, w, y + h, back)
        rows_of_text = int(rng.integers(1, 4))
        for i in range(rows_of_text):
            level = y + h * (0.55 - 1.1 * i / max(1, rows_of_text - 1) if rows_of_text > 1 else 0)
            panel(-0.75 * w, level - 0.06, float(rng.uniform(0.0, 0.75)) * w, level + 0.06, ink)
    return post, plates


def traffic_lights(place: Placer, look: int, stage: int) -> tuple[list[Shape], list[Shape]]:
    """Traffic lights; `stage` 0 green, 1 amber, 2 red: the shapes of the post, then those of the head."""
    del look
    post = [limb(place, (0, 0, 0), (0, 2.2, 0), 0.06, 0.06, (84, 86, 88))]
    head: list[Shape] = [
        (
            place(_flat([(-0.22, 2.1, -0.1), (0.22, 2.1, -0.1), (0.22, 3.15, -0.1), (-0.22, 3.15, -0.1)])),
            (150, 150, 146),
        ),
        (
            place(_flat([(-0.19, 2.13, -0.11), (0.19, 2.13, -0.11), (0.19, 3.12, -0.11), (-0.19, 3.12, -0.11)])),
            (18, 18, 20),
        ),
    ]
    if _local_eye(place)[2] > 0:
        for i, (lit, unlit) in enumerate(
            (((60, 230, 150), (14, 40, 30)), ((250, 180, 40), (50, 38, 12)), ((240, 50, 40), (48, 14, 14)))
        ):
            head.append(_disc(place, (0, 2.32 + 0.31 * i, -0.12), 0.11, lit if i == stage else unlit))
    return post, head

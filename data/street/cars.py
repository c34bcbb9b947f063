"""Cars and vans of the synthetic street as flat polygons, grouped by the side from which they can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .canvas import Colour

Points = NDArray[np.float64]
# Polygons in local coordinates (right, up, forward), metres from the middle of the footprint, with their colours.
Polygons = list[tuple[Points, Colour]]

_PAINTS = (
    (150, 152, 156), (96, 98, 102), (36, 38, 42), (150, 150, 148), (120, 30, 30), (36, 50, 92), (40, 62, 52),
    (190, 190, 188), (66, 70, 78), (20, 22, 26), (110, 100, 84), (70, 88, 120),
)  # fmt: skip
_GLASS: Colour = (30, 35, 40)
_SHEEN: Colour = (84, 94, 102)
_DARK: Colour = (22, 22, 24)


def paint_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour that cars and bicycles are sold in, RGB 0..255."""
    return np.array(_PAINTS[int(rng.integers(len(_PAINTS)))], float) * rng.uniform(0.8, 1.1)


def tone(colour: Sequence[float] | NDArray[np.float64], factor: float) -> Colour:
    """A colour made brighter or darker, held to 255."""
    return (
        float(min(colour[0] * factor, 255.0)),
        float(min(colour[1] * factor, 255.0)),
        float(min(colour[2] * factor, 255.0)),
    )


class _Body:
    """The measures of one car and the polygons made of them so far."""

    def __init__(self, look: int) -> None:
        rng = np.random.default_rng(look)
        self.paint = paint_colour(rng)
        self.van = van = bool(rng.random() < 0.12)
        self.saloon = not van and bool(rng.random() < 0.3)
        length, width = (4.9, 1.95) if van else (float(rng.uniform(3.7, 4.5)), float(rng.uniform(1.66, 1.8)))
        self.height = 2.15 if van else float(rng.uniform(1.42, 1.6))
        if van:
            self.paint = np.array([205.0, 205, 202]) * rng.uniform(0.75, 1.0)
        self.h, self.w = length / 2, width / 2
        bonnet = 1.0 if van else float(rng.uniform(0.92, 1.12))
        self.belt, self.nose = (1.15, 0.98) if van else (0.95, 0.74)
        self.sill = 0.22
        self.cowl = self.h - bonnet
        self.tail = -self.h + (0.75 if self.saloon else 0.1)
        self.roof_front = self.cowl - (0.55 if van else 0.72)
        self.roof_rear = -self.h + (1.35 if self.saloon else 0.1 if van else 0.5)
        self.lean = 0.1 if van else 0.2
        self.round = 0.1 if van else 0.2
        self.groups: dict[str, Polygons] = {k: [] for k in ("base", "left", "right", "top", "rear", "front", "brake")}

    def add(self, group: str, rows: Sequence[Sequence[float]], colour: Colour) -> None:
        self.groups[group].append((np.array(rows, float), colour))

    def across(self, group: str, rows: Sequence[tuple[float, float, float]], colour: Colour) -> None:
        """A strip over the width, from rows of (half width, up, forward)."""
        left = [(-half, y, z) for half, y, z in rows]
        self.add(group, left + [(half, y, z) for half, y, z in reversed(rows)], colour)

    def base(self) -> None:
        """Tyres seen from the ends, and the dark gap under the body."""
        for z in (self.h - 0.72, -self.h + 0.72):
            for x in (-self.w + 0.12, self.w - 0.12):
                rows = [(x - 0.1, 0, z), (x + 0.1, 0, z), (x + 0.1, 0.5, z), (x - 0.1, 0.5, z)]
                self.add("base", rows, (15, 15, 16))
        self.across("base", [(self.w - 0.1, 0.42, 0), (self.w - 0.1, 0.12, 0)], (12, 12, 13))

    def core(self) -> None:
        """A plain body inside the panels, seen from everywhere, so that no gap between them shows the street."""
        w, end, tint = self.w - 0.03, self.h - self.round * 0.6, tone(self.paint, 0.7)
        self._block(w, self.sill, self.nose - 0.03, -end, end, tint)
        self._block(w, self.sill, self.belt - 0.02, self.tail, self.cowl, tint)
        if self.saloon:
            self._block(w, self.sill, self.belt - 0.07, -end, self.tail, tint)
        low, high = w - 0.02, w - self.lean
        sides = [[(x * low, self.belt - 0.1, z) for x in (-1, 1)] for z in (self.tail, self.cowl)]
        tops = [[(x * high, self.height, z) for x in (-1, 1)] for z in (self.roof_rear, self.roof_front)]
        for i in (0, 1):
            self.add("base", [sides[0][i], tops[0][i], tops[1][i], sides[1][i]], tint)
            self.add("base", [*sides[i], *tops[i][::-1]], tint)

    def _block(self, w: float, low: float, high: float, back: float, front: float, colour: Colour) -> None:
        for x in (-w, w):
            self.add("base", [(x, low, back), (x, high, back), (x, high, front), (x, low, front)], colour)
        for z in (back, front):
            self.across("base", [(w, low, z), (w, high, z)], colour)
        self.across("base", [(w, high, back), (w, high, front)], colour)

    def side(self, group: str, sign: int) -> None:
        h, w, belt, sill = self.h, self.w, self.belt, self.sill
        x, xr = sign * w, sign * (w - self.lean)
        top, front, rear = self.height, self.roof_front, self.roof_rear
        end = h - self.round

        def add(rows: Sequence[Sequence[float]], colour: Colour) -> None:
            self.add(group, rows, colour)

        def level(low: float, high: float, z0: float, z1: float, colour: Colour) -> None:
            add([(x, low, z0), (x, high, z0), (x, high, z1), (x, low, z1)], colour)

        body = tone(self.paint, 0.86)
        add([(xr, top, front), (xr, top, rear), (x, belt, self.tail), (x, belt, self.cowl)], body)
        split = (front + rear) / 2
        xa, ya, xb, yb = xr + sign * 0.03, top - 0.1, x - sign * 0.01, belt + 0.02
        panes = [(front - 0.06, self.cowl - 0.16, split + 0.05)]
        if not self.van:
            panes.append((rear + 0.12, self.tail + 0.3, split - 0.05))
        for upper, lower, middle in panes:
            add([(xa, ya, upper), (xa, ya, middle), (xb, yb, middle), (xb, yb, lower)], _GLASS)
            cut = (upper * 2 + lower) / 3
            xc, yc = (2 * xa + xb) / 3, (2 * ya + yb) / 3
            add([(xa, ya, upper), (xa, ya, middle), (xc, yc, middle), (xc, yc, cut)], _SHEEN)
        outline = [(x, sill, end), (x, self.nose - 0.02, end), (x, belt, self.cowl), (x, belt, self.tail)]
        add([*outline, (x, belt - 0.06, -end), (x, sill, -end)], body)
        level(belt - 0.13, belt, self.tail, self.cowl, tone(self.paint, 1.12))
        level(belt - 0.36, belt - 0.13, -end, self.cowl, tone(self.paint, 0.95))
        level(sill, sill + 0.15, -end, end, tone(self.paint, 0.45))
        for z in (split, self.tail + 0.55, self.cowl - 0.08):
            level(sill + 0.16, belt, z - 0.012, z + 0.012, tone(self.paint, 0.5))
        for z in (split + 0.16, self.tail + 0.66):
            level(belt - 0.17, belt - 0.13, z, z + 0.16, tone(self.paint, 0.4))
        self.corner(group, sign, 1)
        self.corner(group, sign, -1)
        turn = np.linspace(0, 2 * np.pi, 15)[:-1]
        rings = (
            (0.38, _DARK),
            (0.31, (20, 20, 21)),
            (0.2, (118, 120, 124)),
            (0.16, (82, 84, 88)),
            (0.06, (130, 130, 132)),
        )
        for z in (h - 0.74, -h + 0.74):
            for radius, colour in rings:
                up = np.maximum(0.31 + radius * np.sin(turn), 0)
                ring = np.stack([np.full(14, x + sign * 0.01), up, z + radius * np.cos(turn)], -1)
                self.groups[group].append((ring, colour))
        z = self.cowl - 0.28
        mirror = [(x, 0.96, z), (x + sign * 0.16, 0.97, z), (x + sign * 0.16, 1.1, z), (x, 1.08, z)]
        add(mirror, tone(self.paint, 0.6))

    def corner(self, group: str, sign: int, way: int) -> None:
        """The rounded corner between a side and an end; `way` 1 is the front."""
        x0, x1, z0, z1 = sign * self.w, sign * (self.w - self.round), way * (self.h - self.round), way * self.h
        top = self.nose - 0.02 if way > 0 else self.belt - 0.05
        for low, high, factor in ((self.sill, top, 0.78), (self.sill, 0.46, 0.5)):
            rows = [(x0, low, z0), (x0, high, z0), (x1, high, z1), (x1, low, z1)]
            self.add(group, rows, tone(self.paint, factor))
        low, high = (0.55, top - 0.02) if way > 0 else (0.6, top - 0.06)
        colour: Colour = (214, 218, 220) if way > 0 else (132, 24, 22)
        xm, zm = x0 + 0.55 * (x1 - x0), z0 + 0.55 * (z1 - z0)
        self.add(group, [(xm, low, zm), (xm, high, zm), (x1, high, z1), (x1, low, z1)], colour)

    def rear(self) -> None:
        h, w, belt, paint = self.h, self.w, self.belt, self.paint
        top, tail, half = self.height, self.tail, self.w - self.round
        self.across("rear", [(w - self.lean, top, self.roof_rear), (w - 0.02, belt, tail)], tone(paint, 0.82))
        if not self.van:
            middle = (0.55 * self.roof_rear + 0.45 * tail, 0.55 * top + 0.45 * belt)
            upper = (w - self.lean - 0.1, top - 0.09, self.roof_rear - 0.02)
            self.across("rear", [upper, (w - 0.16, belt + 0.05, tail)], _GLASS)
            self.across("rear", [upper, (w - self.lean - 0.1, middle[1], middle[0])], _SHEEN)
        self.across("rear", [(w - 0.02, belt, tail), (half, belt - 0.05, -h)], tone(paint, 1.08))
        for sign in (-1, 1):
            self.corner("rear", sign, -1)
        self.across("rear", [(half, belt - 0.05, -h), (half, self.sill, -h)], tone(paint, 0.8))
        self.across("rear", [(half, belt - 0.05, -h), (half, belt - 0.16, -h)], tone(paint, 0.98))
        if self.van:
            self.across("rear", [(half, top - 0.05, -h), (half, belt - 0.05, -h)], tone(paint, 0.84))
            self.across("rear", [(0.012, top - 0.1, -h), (0.012, self.sill, -h)], tone(paint, 0.5))
            for x in (-0.45, 0.45):
                self.add(
                    "rear", [(x - 0.3, 1.3, -h), (x + 0.3, 1.3, -h), (x + 0.3, 1.85, -h), (x - 0.3, 1.85, -h)], _GLASS
                )
        self.across("rear", [(half, 0.5, -h), (half, self.sill, -h)], tone(paint, 0.52))
        self.across("rear", [(0.27, 0.7, -h), (0.27, 0.59, -h)], (196, 168, 66))
        for group, colour in (("rear", (138, 24, 22)), ("brake", (226, 48, 40))):
            for x in (-half + 0.1, half - 0.1):
                rows = [
                    (x - 0.1, 0.66, -h),
                    (x + 0.1, 0.66, -h),
                    (x + 0.1, belt - 0.11, -h),
                    (x - 0.1, belt - 0.11, -h),
                ]
                self.add(group, rows, colour)

    def front(self) -> None:
        h, w, belt, nose, paint = self.h, self.w, self.belt, self.nose, self.paint
        top, cowl, half = self.height, self.cowl, self.w - self.round
        self.across("front", [(w - self.lean, top, self.roof_front), (w - 0.02, belt, cowl)], tone(paint, 0.9))
        upper = (w - self.lean - 0.06, top - 0.06, self.roof_front)
        self.across("front", [upper, (w - 0.1, belt + 0.03, cowl)], _GLASS)
        middle = (0.5 * self.roof_front + 0.5 * cowl, 0.5 * top + 0.5 * belt)
        self.across("front", [upper, (w - self.lean - 0.04, middle[1], middle[0])], _SHEEN)
        self.across("front", [(w - 0.02, belt, cowl), (half, nose, h)], tone(paint, 1.14))
        for sign in (-1, 1):
            self.corner("front", sign, 1)
        self.across("front", [(half, nose, h), (half, self.sill, h)], tone(paint, 0.84))
        self.across("front", [(half, 0.44, h), (half, self.sill, h)], tone(paint, 0.52))
        self.across("front", [(0.44, nose - 0.06, h), (0.4, nose - 0.17, h)], _DARK)
        self.across("front", [(0.5, 0.34, h), (0.5, 0.25, h)], _DARK)
        self.across("front", [(0.26, 0.48, h), (0.26, 0.37, h)], (205, 205, 200))
        for x in (-half + 0.12, half - 0.12):
            rows = [(x - 0.12, 0.56, h), (x + 0.12, 0.55, h), (x + 0.12, nose - 0.03, h), (x - 0.12, nose - 0.03, h)]
            self.add("front", rows, (222, 226, 228))

    def top(self) -> None:
        rows = [(self.w - self.lean, self.height, self.roof_front), (self.w - self.lean, self.height, self.roof_rear)]
        self.across("top", rows, tone(self.paint, 1.2))


@lru_cache(maxsize=256)
def _groups(look: int) -> tuple[dict[str, Polygons], tuple[float, float, float]]:
    body = _Body(look)
    body.base()
    body.core()
    body.top()
    body.side("left", -1)
    body.side("right", 1)
    body.rear()
    body.front()
    return body.groups, (body.w, body.height, body.h)


def car(look: int, eye: Points, lights: dict[str, float], *, braking: bool) -> Polygons:
    """The visible polygons of the car that `look` seeds, in painting order.

    `eye` (3,) is the camera in local coordinates; `lights` the brightness of 'left', 'right', 'front' and 'rear'.
    """
    groups, (w, height, h) = _groups(look)
    seen = ["base"]
    if eye[1] > height:
        seen.append("top")
    if eye[2] < -h:
        seen += ["rear", "brake"] if braking else ["rear"]
    if eye[2] > h:
        seen.append("front")
    if eye[0] < -w:
        seen.append("left")
    if eye[0] > w:
        seen.append("right")
    shapes: Polygons = []
    for group in seen:
        light = lights.get(group, 1.0)
        shapes += groups[group] if light == 1.0 else [(p, tone(c, light)) for p, c in groups[group]]
    return shapes

"""The synthetic street itself: weather, road, houses and everything that stands or moves, as functions of the seed.

The street has no end: it is made in blocks of `BLOCK` metres, each from its own random generator, and traffic lives in
lanes that slide along as a whole, so that any moment can be asked for without the moments before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .camera import Road
from .facades import FacadeStyle

BLOCK = 96.0


@dataclass(frozen=True)
class Theme:
    """What holds for the whole street: sizes in metres, probabilities 0..1, colours RGB 0..255."""

    road: Road
    half_road: float
    pavement: float
    parking: tuple[float, float]
    leafy: float
    crowd: float
    traffic: float
    speed: float
    camera_height: float
    camera_u: float
    focal: float
    horizon: float
    sun: float
    sun_azimuth: float
    sun_elevation: float
    ambient: float
    exposure: float
    contrast: float
    tint: tuple[float, float, float]
    haze: tuple[float, float, float]
    haze_metres: float
    cloud_cover: float
    sky_blue: float
    sky_tone: float
    yellow_lines: bool
    cycle_lane: bool
    leaf_tint: tuple[float, float, float]

    @property
    def front(self) -> float:
        """Distance of the building line from the centre line, in metres."""
        return self.half_road + self.pavement


@dataclass(frozen=True)
class Lot:
    """A stretch of one side of the street: `kind` is 'house', 'junction', 'park' or 'garden' (a house set back).

    `bare_end` says that the wall towards smaller s is not hidden by the next house.
    """

    key: tuple[int, int, int]
    side: int
    s0: float
    s1: float
    kind: str
    height: float = 0.0
    depth: float = 10.0
    setback: float = 0.0
    pitched: bool = False
    style: FacadeStyle | None = None
    front: str = ""
    bare_end: bool = True


@dataclass(frozen=True)
class Thing:
    """Something that stands or moves on the street, at (`s`, `u`) metres; `heading` radians, 0 along the street.

    `kind` is 'lamp', 'sign', 'lights', 'bollard', 'tree', 'car', 'person', 'cyclist' or 'guardrail'; `look` seeds its
    appearance; `phase` is the radians of its gait or pedals; `size` is metres or a factor, as the kind needs.
    """

    kind: str
    s: float
    u: float
    heading: float = 0.0
    look: int = 0
    phase: float = 0.0
    size: float = 1.0


@dataclass(frozen=True)
class Block:
    """All that stands on `BLOCK` metres of street, both sides."""

    lots: tuple[Lot, ...]
    things: tuple[Thing, ...]
    crossing: float | None = None


def make_theme(seed: int) -> Theme:
    """The street of a seed."""
    rng = np.random.default_rng([seed, 1])
    parking = tuple(float(p) for p in rng.choice([0.0, 0.0, 0.35, 0.65], 2))
    wide = max(parking) > 0
    sunny = bool(rng.random() < 0.45)
    dull = float(rng.uniform(0.62, 0.9) if rng.random() < 0.3 else rng.uniform(0.9, 1.12))
    warm = float(rng.normal(0, 0.025))
    grey = rng.uniform(0.88, 1.0)
    leaf = (
        np.array([86, 98, 56]) * rng.uniform(0.7, 1.15) * np.array([rng.uniform(0.9, 1.2), 1.0, rng.uniform(0.8, 1.1)])
    )
    return Theme(
        road=Road(
            amplitudes=rng.uniform(0.05, 0.16, 3) * np.array([0.55, 0.9, 1.3]),
            wavelengths=rng.uniform(0.85, 1.15, 3) * np.array([170.0, 310.0, 620.0]),
            phases=rng.uniform(0, 2 * np.pi, 3),
        ),
        half_road=float(rng.uniform(5.1, 5.8) if wide else rng.uniform(3.4, 4.2)),
        pavement=float(rng.uniform(2.4, 4.6)),
        parking=(parking[0], parking[1]),
        leafy=float(rng.choice([0.0, 0.2, 0.5, 0.85])),
        crowd=float(rng.uniform(0.15, 1.0)),
        traffic=float(rng.uniform(0.2, 1.0)),
        speed=float(rng.uniform(5.0, 9.0)),
        camera_height=float(rng.uniform(1.25, 1.6)),
        camera_u=float(rng.uniform(-1.9, -1.5)),
        focal=float(rng.uniform(0.92, 1.12)),
        horizon=float(rng.uniform(0.42, 0.52)),
        sun=float(rng.uniform(0.55, 1.0)) if sunny else 0.0,
        sun_azimuth=float(rng.uniform(-np.pi, np.pi)),
        sun_elevation=float(rng.uniform(0.45, 0.95)),
        ambient=dull,
        exposure=float(rng.uniform(0.82, 1.2)),
        contrast=float(rng.uniform(1.0, 1.35)),
        tint=(1 + warm, 1.0, 1 - warm + 0.015),
        haze=(float(205 * grey), float(212 * grey), float(220 * grey)),
        haze_metres=float(rng.uniform(260, 700)),
        cloud_cover=float(rng.uniform(0.1, 0.5) if sunny else rng.uniform(0.5, 1.1)),
        sky_blue=float(rng.uniform(0.4, 1.0) if sunny else rng.uniform(0.0, 0.4)),
        sky_tone=float(rng.uniform(1.0, 1.22)) * min(1.0, dull + 0.12),
        yellow_lines=bool(rng.random() < 0.5),
        cycle_lane=bool(wide and rng.random() < 0.3),
        leaf_tint=(float(leaf[0]), float(leaf[1]), float(leaf[2])),
    )


def make_block(seed: int, theme: Theme, index: int) -> Block:
    """Block `index` (any whole number) of the street: it covers s from index*BLOCK to (index + 1)*BLOCK."""
    lots: list[Lot] = []
    things: list[Thing] = []
    shared = np.random.default_rng([seed, 2, index + 2**20])
    kind = str(shared.choice(["terrace", "shops", "villas", "offices", "park"], p=[0.3, 0.3, 0.17, 0.12, 0.11]))
    crossroads = shared.random()
    for side in (-1, 1):
        rng = np.random.default_rng([seed, 3, index + 2**20, (side + 1) // 2])
        own = kind if rng.random() < 0.6 else str(rng.choice(["terrace", "shops", "villas", "park"]))
        side_lots = _lots(rng, index, side, own, junction=bool(crossroads < 0.3 or rng.random() < 0.2))
        lots += side_lots
        things += _furniture(rng, theme, index, side, side_lots, villas=own in ("villas", "park"))
    start = index * BLOCK
    crossing = start + 20.0 if shared.random() < 0.25 else None
    return Block(tuple(lots), tuple(things), crossing)


def _lots(rng: np.random.Generator, index: int, side: int, kind: str, *, junction: bool) -> list[Lot]:
    lots: list[Lot] = []
    s, end = index * BLOCK, (index + 1) * BLOCK
    if junction:
        width = float(rng.uniform(8, 10.5))
        lots.append(Lot((index, side, 0), side, s, s + width, "junction"))
        s += width
    terrace_height = float(rng.uniform(6.5, 10.5))
    terrace_seed = int(rng.integers(2**31))
    uniform = rng.random() < 0.5
    terrace_wall = str(rng.choice(["brick", "plaster", "stone"], p=[0.6, 0.3, 0.1]))
    while s < end - 0.1:
        width = float(rng.uniform(14, 24) if kind in ("park", "offices") else rng.uniform(5.5, 11))
        if end - s - width < 5:
            width = end - s
        key = (index, side, len(lots))
        style_seed = (terrace_seed,) if kind == "terrace" and uniform else (*(k + 2**20 for k in key), terrace_seed)
        wall = (
            terrace_wall if kind == "terrace" else str(rng.choice(["brick", "plaster", "stone"], p=[0.5, 0.37, 0.13]))
        )
        if kind == "park":
            front = str(rng.choice(["railing", "planks", "hedge", "wall"], p=[0.4, 0.2, 0.25, 0.15]))
            lots.append(Lot(key, side, s, s + width, "park", front=front))
        elif kind == "villas":
            front = str(rng.choice(["hedge", "wall", "railing", "planks", ""], p=[0.3, 0.25, 0.15, 0.15, 0.15]))
            style = FacadeStyle(wall, "house", style_seed)
            height, setback = float(rng.uniform(5.6, 7.5)), float(rng.uniform(3, 5.5))
            lots.append(Lot(key, side, s, s + width, "garden", height, 9.0, setback, True, style, front))
        elif kind == "offices":
            style = FacadeStyle("office", "office", style_seed)
            lots.append(Lot(key, side, s, s + width, "house", float(rng.uniform(9, 18)), 16.0, 0.0, False, style))
        else:
            ground = "shop" if kind == "shops" and rng.random() < 0.85 else "house"
            height = terrace_height if kind == "terrace" else float(rng.uniform(6.5, 13.5))
            style = FacadeStyle(wall, ground, style_seed)
            pitched = bool(kind == "terrace" or rng.random() < 0.6)
            before = lots[-1] if lots else None
            hidden = before is not None and before.kind == "house" and before.height >= height
            hidden = hidden and before is not None and (before.pitched or not pitched)
            lots.append(Lot(key, side, s, s + width, "house", height, 10.0, 0.0, pitched, style, bare_end=not hidden))
        s += width
    return lots


def _furniture(
    rng: np.random.Generator, theme: Theme, index: int, side: int, lots: list[Lot], *, villas: bool
) -> list[Thing]:
    start = index * BLOCK
    blocked = [(lot.s0 - 5, lot.s1 + 5) for lot in lots if lot.kind == "junction"]

    def free(s: float) -> bool:
        return all(not low < s < high for low, high in blocked)

    kerb = side * (theme.half_road + 0.55)
    things: list[Thing] = []

    def add(kind: str, s: float, u: float, **more: float) -> None:
        if free(s):
            heading = float(more.get("heading", 0.0))
            look = int(rng.integers(2**31))
            things.append(Thing(kind, s, u, heading, look, size=float(more.get("size", 1.0))))

    for k in range(2):
        add("lamp", start + 26 + 46 * k + (11 if side > 0 else 0), kerb, size=float(rng.uniform(6.0, 8.5)))
    for _ in range(int(rng.integers(2, 6))):
        add("sign", start + rng.uniform(4, BLOCK - 4), kerb + side * rng.uniform(-0.1, 0.4), heading=np.pi * (side > 0))
    if blocked:
        end = blocked[0][1] - 5
        if side < 0:
            things.append(Thing("lights", end + 1.0, kerb, 0.0, int(rng.integers(2**31))))
            things.append(Thing("lights", index * BLOCK - 1.5, kerb, 0.0, int(rng.integers(2**31))))
        else:
            things.append(Thing("lights", end + 1.0, kerb, 0.0, int(rng.integers(2**31))))
    for k in range(8):
        if rng.random() < theme.leafy * (1.0 if villas else 0.6):
            add(
                "tree", start + 6 + 12 * k + rng.uniform(-1, 1), kerb + side * 0.35, size=float(rng.uniform(0.65, 1.15))
            )
    for k in range(16):
        if rng.random() < theme.parking[(side + 1) // 2]:
            heading = 0.0 if side < 0 or rng.random() < 0.3 else np.pi
            add("car", start + 3 + 6 * k + rng.uniform(-0.4, 0.4), side * (theme.half_road - 1.12), heading=heading)
    if rng.random() < 0.3:
        s = start + rng.uniform(15, 50)
        for k in range(int(rng.integers(3, 9))):
            add("bollard", s + 1.8 * k, side * (theme.half_road + 0.4))
    if rng.random() < 0.3:
        s = start + rng.uniform(15, 70)
        add("guardrail", s, side * (theme.half_road + 0.3), size=float(rng.uniform(8, 18)))
    for _ in range(int(rng.poisson(3.5 * theme.crowd))):
        u = side * (theme.half_road + rng.uniform(0.9, theme.pavement - 0.4))
        add("person", start + rng.uniform(0, BLOCK), u, heading=float(rng.uniform(-np.pi, np.pi)))
    return things


def travelled(theme: Theme, seconds: float) -> float:
    """Metres driven after `seconds`: the car slows down and speeds up gently."""
    wave = 2.1 * theme.speed / 7
    return float(theme.speed * seconds + wave * np.sin(0.31 * seconds) - 0.7 * wave * np.sin(0.113 * seconds + 1))


def moving_things(seed: int, theme: Theme, s: float, seconds: float, behind: float, ahead: float) -> list[Thing]:
    """Cars, cyclists and pedestrians under way between `s` - behind and `s` + ahead, at this moment."""
    things: list[Thing] = []
    wide = theme.half_road > 4.6
    kerb, pavement = theme.half_road, theme.pavement
    lanes = [
        # kind, u, metres a second along s, mean spacing, chance
        ("car", 1.75, -8.0 * (0.7 + 0.4 * theme.traffic), 24.0, 0.55 * theme.traffic),
        ("cyclist", -2.95 if wide else -kerb + 0.55, 4.2, 42.0, 0.45),
        ("cyclist", 3.05 if wide else kerb - 0.55, -4.6, 46.0, 0.4),
    ]
    for side in (-1, 1):
        for k, velocity in enumerate((1.25, -1.15, 1.45)):
            u = side * (kerb + 0.8 + (pavement - 1.3) * (k + 0.5) / 3)
            lanes.append(("person", u, velocity, 7.0, 0.46 * theme.crowd))
    for number, (kind, u, velocity, spacing, chance) in enumerate(lanes):
        origin = velocity * seconds
        first = int(np.floor((s - behind - origin) / spacing))
        last = int(np.ceil((s + ahead - origin) / spacing))
        for slot in range(first, last + 1):
            lot, jitter, look, start, sway = _traveller(seed, number, slot)
            if lot >= chance:
                continue
            at = origin + (slot + jitter) * spacing
            wander = u + (0.35 if kind == "person" else 0.12) * np.sin(0.4 * seconds + sway)
            heading = 0.0 if velocity > 0 else np.pi
            phase = abs(velocity) * seconds * (4.6 if kind == "person" else 1.6) + start
            if s - behind <= at <= s + ahead:
                things.append(Thing(kind, at, float(wander), heading, look, float(phase)))
    rng = np.random.default_rng([seed, 5])
    if rng.random() < 0.35 + 0.5 * theme.traffic:
        mean, swing, rate = rng.uniform(14, 26), rng.uniform(2, 7), rng.uniform(0.05, 0.12)
        gap = mean + swing * np.sin(rate * seconds + rng.uniform(0, 6.28))
        for k in range(int(rng.integers(1, 4))):
            look = int(rng.integers(2**31))
            things.append(Thing("car", s + gap * (1 + 0.85 * k), theme.camera_u + 0.1, 0.0, look, 1.0))
    return things


@lru_cache(maxsize=4096)
def _traveller(seed: int, lane: int, slot: int) -> tuple[float, float, int, float, float]:
    """What chance says of one place in a lane: presence, offset in spacings, looks, start of the gait, sway."""
    rng = np.random.default_rng([seed, 4, lane, slot + 2**30])
    return (
        float(rng.random()),
        float(rng.uniform(-0.3, 0.3)),
        int(rng.integers(2**31)),
        float(rng.uniform(0.1, 6.28)),
        float(rng.uniform(0, 6.28)),
    )


def sun_direction(theme: Theme) -> NDArray[np.float64]:
    """Unit vector in world axes (east, up, north at heading 0) that points to the sun."""
    flat = np.cos(theme.sun_elevation)
    return np.array([flat * np.sin(theme.sun_azimuth), np.sin(theme.sun_elevation), flat * np.cos(theme.sun_azimuth)])

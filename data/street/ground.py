"""Sky and ground of the synthetic street: every pixel's ray is followed to the road, so that texture stays in place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas
from .textures import GROUND_PPM, GROUND_SIZE
from .world import Block, Lot, Theme

SKY, ROAD, PAVEMENT, TREE = 0, 3, 4, 5
_TABLE_PPM = 10
_NODES = 25
_CORNER = 4.0
_SIDE_PAVEMENT = 2.0
# Asphalt, white paint, yellow paint, paving slabs, kerb stone.
_COLOURS = ((88, 89, 92), (200, 200, 196), (176, 150, 68), (102, 100, 97), (132, 131, 127))


class GroundTile:
    """The ground's texture with smaller copies along s and along u apart."""

    def __init__(self, tile: NDArray[np.uint8]) -> None:
        self._levels: dict[tuple[int, int], NDArray[np.uint8]] = {}
        self._tile = tile

    def sample(self, s: NDArray[np.float32], u: NDArray[np.float32], ds: float, du: float) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 at street coordinates (h, w) in metres, for pixels that cover ds by du metres."""
        ks = int(np.clip(np.log2(max(ds * GROUND_PPM, 1)) + 0.3, 0, 7))
        ku = int(np.clip(np.log2(max(du * GROUND_PPM, 1)) + 0.3, 0, 5))
        if (ks, ku) not in self._levels:
            size = (GROUND_SIZE >> ks, GROUND_SIZE >> ku)
            small = cv2.resize(self._tile, size, interpolation=cv2.INTER_AREA)
            self._levels[ks, ku] = np.pad(small, ((1, 1), (1, 1), (0, 0)), mode="wrap")
        level = self._levels[ks, ku]
        x = (s * np.float32(GROUND_PPM)) % np.float32(GROUND_SIZE) / np.float32(1 << ks) + np.float32(0.5)
        y = (u * np.float32(GROUND_PPM)) % np.float32(GROUND_SIZE) / np.float32(1 << ku) + np.float32(0.5)
        return np.asarray(cv2.remap(level, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def paint_sky(canvas: Canvas, panorama: NDArray[np.uint8], skyline: NDArray[np.float32], seconds: float) -> None:
    """Fill everything above the horizon from a full-turn panorama; clouds drift slowly.

    `skyline` (n,) is the height in radians of the far trees all around.
    """
    camera = canvas.camera
    height, width = camera.size_hw
    rows = min(height, int(camera.horizon) + 2)
    azimuth = camera.heading + np.arctan((np.arange(width) - camera.cx) / camera.focal)
    turn = panorama.shape[1] / (2 * np.pi)
    x = (azimuth * turn + 0.8 * seconds).astype(np.float32)
    elevation = np.arctan((camera.horizon - np.arange(rows)) / camera.focal)
    y = np.clip(255 - elevation * (255 / 0.75), 0, 255).astype(np.float32)
    base = np.floor(x.min())
    columns = np.arange(int(base), int(base) + int(x.max() - base) + 3) % panorama.shape[1]
    strip = panorama[:, columns]
    x = np.tile(x - np.float32(base), (rows, 1))
    sky = cv2.remap(strip, x, np.tile(y[:, None], (1, width)), cv2.INTER_LINEAR)
    for plane, colour in zip(canvas.planes, cv2.split(sky), strict=True):
        plane[:rows] = colour
    canvas.labels[:rows] = SKY
    # A far line of trees closes the view, more haze than leaf.
    rise = skyline[(azimuth * (len(skyline) / (2 * np.pi))).astype(int) % len(skyline)] * camera.focal
    trees = np.arange(rows)[:, None] > camera.horizon - rise
    canvas.labels[:rows][trees] = TREE
    for plane, haze in zip(canvas.planes, canvas.haze_colour, strict=True):
        plane[:rows][trees] = 0.62 * haze


def paint_ground(
    canvas: Canvas,
    theme: Theme,
    tile: GroundTile,
    blocks: Iterable[Block],
    *,
    light: float = 1.0,
    shade: NDArray[np.float32] | None = None,
) -> None:
    """Fill everything below the horizon: road with markings, kerb, pavement, grass.

    `light` is the brightness of level ground, `shade` (H, W) 0..1 what shadows take from it.
    """
    camera = canvas.camera
    height, width = camera.size_hw
    top = int(np.floor(camera.horizon)) + 1
    if top >= height:
        return
    rows = np.arange(top, height)
    z = camera.focal * camera.height / np.maximum(rows - camera.horizon, 0.35)
    nodes = np.linspace(0, width - 1, _NODES)
    s_node, u_node = camera.ground(
        (nodes - camera.cx)[None, :] * z[:, None] / camera.focal, np.repeat(z[:, None], _NODES, 1)
    )
    period = GROUND_SIZE / GROUND_PPM
    base = np.floor(camera.s / period) * period
    s, u = _between_nodes(s_node - base, width), _between_nodes(u_node, width)
    du = (z / camera.focal).astype(np.float32)[:, None]
    ds = (z * z / (camera.focal * camera.height)).astype(np.float32)[:, None]

    texture = np.empty((len(rows), width, 3), np.uint8)
    steps = np.round(np.log2(np.maximum(ds[:, 0] * GROUND_PPM, 1)) * 1.0).astype(int)
    starts = np.flatnonzero(np.diff(steps, prepend=steps[0] - 1))
    for first, last in zip(starts, [*starts[1:], len(rows)], strict=True):
        band = slice(first, last)
        texture[band] = tile.sample(s[band], u[band], float(ds[band].mean()), float(du[band].mean()))
    tone = [channel * np.float32(1 / 128) for channel in cv2.split(texture)]

    blocks = list(blocks)
    edge, kind = _edges(theme, [lot for block in blocks for lot in block.lots], camera.s)
    index = np.clip(((s + np.float32(base - camera.s + 20)) * _TABLE_PPM).astype(np.int32), 0, edge.shape[1] - 1)
    right = (u > 0).view(np.uint8)
    reach = np.abs(u)
    kerb = edge[right, index]
    road_cover = np.clip((kerb - reach) / du + np.float32(0.5), 0, 1)
    grass = (kind[right, index] > 0) & (reach > theme.front)

    white, yellow = _markings(theme, s, u, du, ds, base, blocks)
    curb = _cover(reach, kerb, kerb + np.float32(0.16), du)
    gutter = _cover(reach, kerb - np.float32(0.12), kerb, du)
    asphalt = tone[0] * _wear(u, theme) * (1 - np.float32(0.28) * gutter)
    white *= np.clip(1.7 - asphalt, 0.5, 1)
    beyond = 1 - road_cover
    lawn = grass * beyond
    slabs = beyond - lawn
    bare = road_cover * (1 - white)
    shares = np.stack(
        [
            asphalt * bare * (1 - yellow),
            road_cover * white,
            bare * yellow,
            tone[1] * slabs * (1 - curb),
            tone[0] * slabs * curb,
            tone[2] * lawn,
            np.ones_like(s),
        ]
    )
    air = (1 - np.exp(-z / canvas.haze_metres)).astype(np.float32)[:, None]
    shares[:6] *= light * (1 - air) if shade is None else light * (1 - air) * (1 - shade[top:])
    shares[6] *= air
    colours = np.array([*_COLOURS, np.array(theme.leaf_tint) * 0.95, canvas.haze_colour], np.float32)
    for plane, tints in zip(canvas.planes, colours.T, strict=True):
        plane[top:] = sum(share * tint for share, tint in zip(shares, tints, strict=True))
    labels = np.full(s.shape, PAVEMENT, np.uint8)
    labels[grass] = TREE
    labels[road_cover >= 0.5] = ROAD
    canvas.labels[top:] = labels


def _between_nodes(values: NDArray[np.floating], width: int) -> NDArray[np.float32]:
    """Linear interpolation (rows, nodes) -> (rows, width); no BLAS, whose threads would fight over small pictures."""
    at = np.linspace(0, values.shape[1] - 1, width)
    left = np.minimum(at.astype(int), values.shape[1] - 2)
    share = (at - left).astype(np.float32)
    small = values.astype(np.float32)
    return np.asarray(small[:, left] * (1 - share) + small[:, left + 1] * share, np.float32)


def _edges(theme: Theme, lots: Sequence[Lot], s: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Tables (2 sides, n) from 20 m behind `s`, 10 entries a metre: where the road ends in u, and where grass grows."""
    count = 260 * _TABLE_PPM
    at = s - 20 + np.arange(count) / _TABLE_PPM
    edge = np.full((2, count), theme.half_road, np.float32)
    grass = np.zeros((2, count), np.uint8)
    for lot in lots:
        row = int(lot.side > 0)
        first, last = (int((x - at[0]) * _TABLE_PPM) for x in (lot.s0 - _CORNER, lot.s1 + _CORNER))
        part = slice(max(first, 0), max(last + 1, 0))
        inset = _SIDE_PAVEMENT if lot.kind == "junction" else 0.0
        away = np.maximum(lot.s0 + inset - at[part], at[part] - lot.s1 + inset)
        if lot.kind in ("park", "garden"):
            grass[row, part] |= away <= 0
        elif lot.kind == "junction":
            bend = np.clip(away / _CORNER, 0, 1)
            flare = theme.half_road + _CORNER * (1 - np.sqrt(1 - (1 - bend) ** 2))
            edge[row, part] = np.where(away <= 0, 1e3, np.maximum(edge[row, part], flare))
    return edge, grass


def _cover(
    x: NDArray[np.float32],
    low: NDArray[np.float32] | float,
    high: NDArray[np.float32] | float,
    width: NDArray[np.float32],
) -> NDArray[np.float32]:
    """How much of a pixel `width` wide around x lies between low and high, 0..1."""
    half = width / 2
    inside = np.minimum(x + half, high) - np.maximum(x - half, low)
    return np.asarray(np.clip(inside / width, 0, 1), np.float32)


def _dashes(s: NDArray[np.float32], period: float, dash: float, ds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of dash within a pixel ds long around s, for dashes that repeat every `period` metres."""

    def total(x: NDArray[np.floating]) -> NDArray[np.float32]:
        turns = np.floor(x / period)
        return np.asarray(turns * dash + np.minimum(x - turns * period, dash), np.float32)

    half = ds / 2
    return np.asarray((total(s + half) - total(s - half)) / ds, np.float32)


def _wear(u: NDArray[np.float32], theme: Theme) -> NDArray[np.float32]:
    """Brightness of the road across its width: polished wheel tracks, a dark oily middle, dirt at the kerb."""
    table_u = np.linspace(-12, 12, 481)
    tone = np.ones(481)
    for lane in (-1.75, 1.75):
        for wheel in (-0.75, 0.75):
            tone += 0.07 * np.exp(-(((table_u - lane - wheel) / 0.28) ** 2))
        tone -= 0.05 * np.exp(-(((table_u - lane) / 0.35) ** 2))
    tone -= 0.1 * np.exp(-(((np.abs(table_u) - theme.half_road) / 0.5) ** 2))
    index = np.clip((u + 12) * 20, 0, 480).astype(np.int32)
    return tone.astype(np.float32)[index]


def _markings(
    theme: Theme,
    s: NDArray[np.float32],
    u: NDArray[np.float32],
    du: NDArray[np.float32],
    ds: NDArray[np.float32],
    base: float,
    blocks: Sequence[Block],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cover 0..1 of white and of yellow paint for every ground pixel."""
    offset = np.float32(base % 6.0)
    keep = np.ones_like(s)
    white = np.zeros_like(s)
    reach = np.abs(u)
    nearest, farthest = s.min(1), s.max(1)

    def rows(low: float, high: float) -> slice:
        """The image rows that see s between low and high, with a pixel to spare."""
        seen = np.flatnonzero((farthest + ds[:, 0] > low) & (nearest - ds[:, 0] < high))
        return slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, 0)

    for block in blocks:
        if block.crossing is not None:
            start = block.crossing - base
            band = rows(start - 2, start + 5.2)
            along = _cover(s[band], start, start + 3.2, ds[band])
            keep[band] *= 1 - _cover(s[band], start - 2, start + 5.2, ds[band])
            white[band] += along * _dashes(u[band] + 50, 1.2, 0.6, du[band]) * (reach[band] < theme.half_road - 0.2)
        for lot in block.lots:
            if lot.kind == "junction":
                start, end = lot.s0 + _SIDE_PAVEMENT - base, lot.s1 - _SIDE_PAVEMENT - base
                band = rows(start, end)
                across = _cover(reach[band], theme.half_road - 0.1, theme.half_road + 0.12, du[band])
                across *= (u[band] > 0) == (lot.side > 0)
                along = _cover(s[band], start, end, ds[band])
                white[band] += across * along * _dashes(s[band] + offset, 0.9, 0.6, ds[band])
    white += keep * _cover(u, -0.06, 0.06, du) * _dashes(s + offset, 6.0, 2.4, ds)
    if max(theme.parking) > 0:
        for side, chance in zip((-1, 1), theme.parking, strict=True):
            if chance > 0:
                bay = side * (theme.half_road - 2.25)
                white += keep * _cover(u, bay - 0.05, bay + 0.05, du) * _dashes(s + offset, 1.5, 0.75, ds)
    if theme.cycle_lane:
        white += keep * _cover(reach, 3.0, 3.12, du) * _dashes(s + offset, 3.0, 1.5, ds) * (u < 0)
    yellow = np.zeros_like(s)
    if theme.yellow_lines:
        for low in (0.28, 0.46):
            yellow += _cover(reach, theme.half_road - low - 0.08, theme.half_road - low, du)
        yellow *= keep
        yellow *= 0.8
    return np.minimum(white * np.float32(0.9), 1), yellow

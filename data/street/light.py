"""Light on the synthetic street: brightness of walls, and the shadows that things and houses throw on the ground."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Camera
from .canvas import clip_near
from .world import Lot, Theme, Thing, sun_direction


def brightness(theme: Theme, normal: NDArray[np.float64], camera: Camera) -> float:
    """Brightness of a wall whose outward normal is given in camera coordinates."""
    if theme.sun == 0:
        return theme.ambient
    sun = sun_direction(theme)
    sin, cos = np.sin(camera.heading), np.cos(camera.heading)
    local = np.array([sun[0] * cos - sun[2] * sin, sun[1], sun[0] * sin + sun[2] * cos])
    return theme.ambient * (1 - 0.32 * theme.sun) + 0.75 * theme.sun * max(0.0, float(local @ normal))


def ground_shade(camera: Camera, footprints: Iterable[tuple[NDArray[np.float64], float, float]]) -> NDArray[np.float32]:
    """Soft shadows (H, W) 0..1 of ground polygons: each is camera points (n, 3), a strength 0..1 and metres of blur."""
    height, width = camera.size_hw
    shade = np.zeros((height, width), np.float32)
    for points, strength, blur in footprints:
        clipped = clip_near(points)
        if len(clipped) < 3:
            continue
        pixels = camera.project(clipped)
        spread = max(1.0, blur * camera.focal / max(float(points[:, 2].mean()), 1.5))
        margin = int(2 * spread) + 2
        low, high = pixels.min(0) - margin, pixels.max(0) + margin
        x0, y0, x1, y1 = int(max(low[0], 0)), int(max(low[1], 0)), int(min(high[0], width)), int(min(high[1], height))
        if x0 >= x1 or y0 >= y1:
            continue
        patch = np.zeros((y1 - y0, x1 - x0), np.float32)
        local = np.clip(np.round((pixels - [x0, y0]) * 16), -1e6, 1e6).astype(np.int32)
        cv2.fillConvexPoly(patch, local, strength, cv2.LINE_AA, 4)
        sigma = spread * 0.5
        patch = cv2.GaussianBlur(patch, (0, 0), sigmaX=sigma, sigmaY=max(0.6, sigma * 0.4))
        part = shade[y0:y1, x0:x1]
        np.maximum(part, patch, out=part)
    return shade


def footprints(
    theme: Theme, camera: Camera, placed: list[tuple[Thing, NDArray[np.float64]]]
) -> list[tuple[NDArray[np.float64], float, float]]:
    """Ground shadows: a dark patch under everything, and one cast by the sun."""
    sun = sun_direction(theme)
    sin, cos = np.sin(camera.heading), np.cos(camera.heading)
    cast = -np.array([sun[0] * cos - sun[2] * sin, 0, sun[0] * sin + sun[2] * cos]) / sun[1]
    sizes = {
        "car": (0.95, 2.2, 1.3),
        "person": (0.22, 0.22, 1.6),
        "cyclist": (0.2, 0.75, 1.5),
        "tree": (1.6, 1.6, 4.5),
    }
    found: list[tuple[NDArray[np.float64], float, float]] = []
    for thing, where in placed:
        if thing.kind not in sizes or not -6 < where[2] < 90:
            continue
        half_w, half_l, height = sizes[thing.kind]
        turn = camera.psi(thing.s) + thing.heading
        right, forward = np.array([np.cos(turn), 0, -np.sin(turn)]), np.array([np.sin(turn), 0, np.cos(turn)])
        corners = [where + a * half_w * right + b * half_l * forward for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        base = np.array(corners)
        if thing.kind != "tree":
            found.append((base, 0.62 if thing.kind == "car" else 0.4, 0.25))
        if theme.sun > 0:
            lift = cast * height * thing.size
            both = np.concatenate([base, base + lift]) if thing.kind != "tree" else base + lift
            hull = cv2.convexHull(both[:, [0, 2]].astype(np.float32))[:, 0].astype(float)
            flat = np.stack([hull[:, 0], np.zeros(len(hull)), hull[:, 1]], -1)
            found.append((flat, 0.45 * theme.sun, 0.12 if thing.kind != "tree" else 0.5))
    return found


def house_shadows(theme: Theme, camera: Camera, lots: Iterable[Lot], shade: NDArray[np.float32]) -> None:
    """Darken the ground where houses stand in the sun's way."""
    if theme.sun == 0:
        return
    sun = sun_direction(theme)
    for lot in lots:
        if lot.kind not in ("house", "garden"):
            continue
        psi = float(theme.road.heading(np.array((lot.s0 + lot.s1) / 2)))
        across = (sun[0] * np.cos(psi) - sun[2] * np.sin(psi)) / sun[1]
        ahead = (sun[0] * np.sin(psi) + sun[2] * np.cos(psi)) / sun[1]
        if across * lot.side <= 0.05:
            continue
        reach, slip = -across * lot.height, -ahead * lot.height
        u = lot.side * (theme.front + lot.setback)
        corners = camera.place(
            np.array([lot.s0, lot.s1, lot.s1 + slip, lot.s0 + slip]), np.array([u, u, u + reach, u + reach])
        )
        patch = ground_shade(camera, [(corners, 0.5 * theme.sun, 0.05)])
        np.maximum(shade, patch, out=shade)

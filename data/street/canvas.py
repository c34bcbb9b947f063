"""The canvas of the synthetic street: painter's algorithm for textured planes and flat polygons, image and labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Camera

NEAR = 0.4

Colour = tuple[float, float, float]
# A polygon of camera-space points (n, 3) with its colour (RGB, 0..255).
Shape = tuple[NDArray[np.float64], Colour]


class Texture:
    """An RGBA texture (premultiplied, uint8) at `ppm` pixels a metre, with smaller copies along each axis apart.

    Filtering each axis by itself keeps a wall that is seen at a grazing angle sharp upwards and calm along the street.
    """

    def __init__(self, rgba: NDArray[np.uint8], ppm: float) -> None:
        self.ppm = ppm
        self.width_m, self.height_m = rgba.shape[1] / ppm, rgba.shape[0] / ppm
        self._levels: dict[tuple[int, int], NDArray[np.uint8]] = {(0, 0): rgba}

    def level(self, along: float, up: float) -> NDArray[np.uint8]:
        """The copy that suits `along` and `up` image pixels a metre."""
        rgba = self._levels[0, 0]
        key = (self._pick(along, rgba.shape[1]), self._pick(up, rgba.shape[0]))
        if key not in self._levels:
            size = (max(1, rgba.shape[1] >> key[0]), max(1, rgba.shape[0] >> key[1]))
            self._levels[key] = np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA), np.uint8)
        return self._levels[key]

    def _pick(self, density: float, length: int) -> int:
        level = int(np.log2(max(self.ppm / max(density, 1e-3), 1.0)) + 0.5)
        return min(level, max(0, length.bit_length() - 2))


class Canvas:
    """A picture and its labels (H, W) uint8, painted from far to near; `planes` (3, H, W) float32 is RGB 0..255."""

    def __init__(self, camera: Camera, haze: Colour, haze_metres: float) -> None:
        self.camera = camera
        self.planes = np.zeros((3, *camera.size_hw), np.float32)
        self.labels = np.zeros(camera.size_hw, np.uint8)
        self.haze_colour = haze
        self.haze_metres = haze_metres

    def haze(self, metres: float) -> float:
        """How much of a colour is lost to the air at this distance, 0..1."""
        return float(1 - np.exp(-max(metres, 0.0) / self.haze_metres))

    def wall(
        self,
        texture: Texture,
        origin: NDArray[np.float64],
        along: NDArray[np.float64],
        up: NDArray[np.float64],
        extent: tuple[float, float],
        label: int,
        *,
        gain: Colour | float = 1.0,
        solid: bool = False,
    ) -> None:
        """Paint `texture` on the plane origin + a*along + b*up (unit vectors), stretched to `extent` metres.

        `solid` labels the whole quad and not only where the texture is opaque: a railing counts as a fence.
        """
        width, height = extent
        corners = (
            origin + np.array([0, width, width, 0])[:, None] * along + np.array([0, 0, height, height])[:, None] * up
        )
        if corners[:, 2].max() < NEAR:
            return
        # Cut an upright wall where depth grows fast: each part takes the copy of the texture that suits it.
        ends = origin[2], origin[2] + width * along[2]
        cuts = [0.0, width]
        if abs(ends[1] - ends[0]) > 1e-6 and up[2] == 0:
            low, high = max(min(ends), NEAR), max(ends)
            if high > 1.5 * low:
                parts = min(6, int(np.ceil(np.log(high / low) / np.log(1.5))))
                depths = low * (high / low) ** (np.arange(parts + 1) / parts)
                cuts = sorted(float(c) for c in np.clip((depths - origin[2]) / along[2], 0, width))
        for a0, a1 in pairwise(cuts):
            if a1 - a0 > 1e-4:
                self._part(texture, origin, along, up, extent, (a0, a1), label, gain, solid)

    def _part(
        self,
        texture: Texture,
        origin: NDArray[np.float64],
        along: NDArray[np.float64],
        up: NDArray[np.float64],
        extent: tuple[float, float],
        part: tuple[float, float],
        label: int,
        gain: Colour | float,
        solid: bool,
    ) -> None:
        width, height = extent
        a = np.array([part[0], part[1], part[1], part[0]])[:, None]
        b = np.array([0, 0, height, height])[:, None]
        quad = clip_near(origin + a * along + b * up)
        if len(quad) < 3:
            return
        pixels = self.camera.project(quad)
        box = self._box(pixels, 1)
        if box is None:
            return
        x0, y0, x1, y1 = box
        middle = origin + (part[0] + part[1]) / 2 * along + height / 2 * up
        depth = max(float(middle[2]), NEAR)
        scale = self.camera.focal / depth
        across = abs(along[0] - along[2] * middle[0] / depth) + abs(along[1] - along[2] * middle[1] / depth)
        upward = abs(up[1] - up[2] * (middle[1] - self.camera.height) / depth) + abs(up[0] - up[2] * middle[0] / depth)
        stretch = texture.width_m / width, texture.height_m / height
        level = texture.level(scale * across / stretch[0], scale * upward / stretch[1])
        rows, columns = level.shape[:2]
        to_plane = np.array(
            [[width / columns, 0, width / columns / 2], [0, -height / rows, height - height / rows / 2], [0, 0, 1]]
        )
        shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1.0]])
        matrix = shift @ self.camera.plane(origin, along, up) @ to_plane
        rgba = cv2.warpPerspective(level, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        if part[0] > 0 or part[1] < width:
            self._trim(rgba, pixels, x0)
        mask = None
        if solid:
            mask = np.zeros(rgba.shape[:2], np.uint8)
            cv2.fillConvexPoly(mask, np.round((pixels - [x0, y0]) * 16).astype(np.int32), 1, shift=4)
        self.blend(rgba, x0, y0, label, float(middle[2]), gain, mask)

    @staticmethod
    def _trim(rgba: NDArray[Any], pixels: NDArray[np.float64], x0: int) -> None:
        """Clear the columns that belong to the neighbouring parts of a vertical wall."""
        first = max(0, int(np.ceil(pixels[:, 0].min())) - x0)
        last = int(np.ceil(pixels[:, 0].max())) - x0
        rgba[:, :first] = 0
        rgba[:, max(last, 0) :] = 0

    def polygons(self, shapes: Sequence[Shape], label: int, metres: float, *, gain: Colour | float = 1.0) -> None:
        """Paint flat polygons of camera-space points in the order given, smoothed at the edges as one object."""
        together = np.concatenate([points for points, _ in shapes])
        if together[:, 2].min() < NEAR:
            shapes = [(clip_near(points), colour) for points, colour in shapes]
            shapes = [shape for shape in shapes if len(shape[0]) >= 3]
            if not shapes:
                return
            together = np.concatenate([points for points, _ in shapes])
        pixels = self.camera.project(together)
        box = self._box(pixels, 1)
        if box is None:
            return
        x0, y0, x1, y1 = box
        area = (x1 - x0) * (y1 - y0)
        fine = 6 if area < 2500 else 4 if area < 20000 else 2
        buffer = np.zeros(((y1 - y0) * fine, (x1 - x0) * fine, 4), np.uint8)
        local = np.clip(((pixels - [x0, y0] + 0.5) * fine - 0.5) * 16, -1e6, 1e6).round().astype(np.int32)
        end = 0
        for points, colour in shapes:
            start, end = end, end + len(points)
            cv2.fillConvexPoly(buffer, local[start:end], (*colour, 255), shift=4)
        rgba = cv2.resize(buffer, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        self.blend(rgba, x0, y0, label, metres, gain)

    def blend(
        self,
        rgba: NDArray[Any],
        x0: int,
        y0: int,
        label: int,
        metres: float,
        gain: Colour | float = 1.0,
        mask: NDArray[Any] | None = None,
    ) -> None:
        """Lay a premultiplied RGBA patch on the picture; pixels at least half covered take the label."""
        rows, columns = slice(y0, y0 + rgba.shape[0]), slice(x0, x0 + rgba.shape[1])
        *colours, alpha = cv2.split(rgba)
        air = self.haze(metres)
        cover = alpha * np.float32(1 / 255)
        kept = 1 - cover
        gains = (gain, gain, gain) if isinstance(gain, float) else gain
        for plane, colour, factor, haze in zip(self.planes, colours, gains, self.haze_colour, strict=True):
            target = plane[rows, columns]
            target *= kept
            target += colour * np.float32(factor * (1 - air))
            target += cover * np.float32(haze * air)
        self.labels[rows, columns][(alpha >= 128) if mask is None else (mask > 0)] = label

    def _box(self, pixels: NDArray[np.float64], margin: int) -> tuple[int, int, int, int] | None:
        height, width = self.camera.size_hw
        low, high = np.floor(pixels.min(0)) - margin, np.ceil(pixels.max(0)) + margin + 1
        x0, y0 = int(max(low[0], 0)), int(max(low[1], 0))
        x1, y1 = int(min(high[0], width)), int(min(high[1], height))
        return None if x0 >= x1 or y0 >= y1 else (x0, y0, x1, y1)


def clip_near(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut a polygon of camera-space points (n, 3) at the near plane (Sutherland and Hodgman, 1974)."""
    if points[:, 2].min() >= NEAR:
        return points
    kept: list[NDArray[np.float64]] = []
    for here, there in zip(points, np.roll(points, -1, 0), strict=True):
        if here[2] >= NEAR:
            kept.append(here)
        if (here[2] >= NEAR) != (there[2] >= NEAR):
            kept.append(here + (NEAR - here[2]) / (there[2] - here[2]) * (there - here))
    return np.array(kept).reshape(-1, 3)

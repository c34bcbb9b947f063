"""The camera of the synthetic street: where it is on the winding road, and how the world falls on its pixels.

Street coordinates: `s` metres along the centre line, `u` metres to the right of it, `y` metres above the road.
Camera coordinates: X right, Y up from the road, Z forward, in metres; the image plane stays vertical (pitch is a shift
of the horizon row), so one image row of the ground has one depth and vertical edges stay vertical.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_STEP = 0.5
_BEHIND = 60.0
_AHEAD = 420.0


@dataclass(frozen=True)
class Road:
    """The centre line: its heading in radians is a sum of sines of the arc length, so it winds without end."""

    amplitudes: NDArray[np.float64]
    wavelengths: NDArray[np.float64]
    phases: NDArray[np.float64]

    def heading(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heading in radians (positive turns right) at arc lengths `s` in metres, any shape."""
        angle = 2 * np.pi * s[..., None] / self.wavelengths + self.phases
        heading: NDArray[np.float64] = (self.amplitudes * np.sin(angle)).sum(-1)
        return heading


class Camera:
    """A pinhole camera on the road at one moment.

    `s`, `u`: its place in street coordinates; `yaw` its heading in radians relative to the road's; `height` in metres;
    `focal` in pixels; `horizon` the image row of the horizon; `size_hw` the image size in pixels.
    """

    def __init__(
        self,
        road: Road,
        *,
        s: float,
        u: float,
        yaw: float,
        height: float,
        focal: float,
        horizon: float,
        size_hw: tuple[int, int],
    ) -> None:
        self.s, self.u, self.height, self.focal, self.horizon = s, u, height, focal, horizon
        self.size_hw = size_hw
        self.cx = (size_hw[1] - 1) / 2
        first = np.floor((s - _BEHIND) / _STEP)
        count = int((_BEHIND + _AHEAD) / _STEP) + 2
        self._grid = (first + np.arange(count)) * _STEP
        middle = road.heading(self._grid[:-1] + _STEP / 2)
        self.heading = float(road.heading(np.array(s))) + yaw
        x = np.concatenate([[0.0], np.cumsum(np.sin(middle) * _STEP)])
        z = np.concatenate([[0.0], np.cumsum(np.cos(middle) * _STEP)])
        own = float(road.heading(np.array(s)))
        x -= np.interp(s, self._grid, x) + u * np.cos(own)
        z -= np.interp(s, self._grid, z) - u * np.sin(own)
        sin, cos = np.sin(self.heading), np.cos(self.heading)
        self._x = x * cos - z * sin
        self._z = x * sin + z * cos
        self._psi = road.heading(self._grid) - self.heading

    def psi(self, s: float) -> float:
        """The road's heading at `s` relative to the camera's, in radians."""
        return float(np.interp(s, self._grid, self._psi))

    def place(self, s: Array | float, u: Array | float) -> NDArray[np.float64]:
        """Points of the road's surface in camera coordinates: `s` and `u` broadcast, result (..., 3) in metres."""
        psi = np.interp(s, self._grid, self._psi)
        x = np.interp(s, self._grid, self._x) + u * np.cos(psi)
        points = np.zeros((*np.shape(x), 3))
        points[..., 0] = x
        points[..., 2] = np.interp(s, self._grid, self._z) - u * np.sin(psi)
        return points

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Camera coordinates (..., 3) with Z > 0 to pixels (..., 2), x before y; pixel centres have whole numbers."""
        scale = self.focal / points[..., 2]
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = self.cx + points[..., 0] * scale
        pixels[..., 1] = self.horizon + (self.height - points[..., 1]) * scale
        return pixels

    def plane(self, origin: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """The homography (3, 3) from plane coordinates (a, b, 1), P = origin + a*A + b*B, to homogeneous pixels."""
        origin = origin - np.array([0.0, self.height, 0.0])
        columns = np.stack([a, b, origin], 1)
        intrinsic = np.array([[self.focal, 0, self.cx], [0, -self.focal, self.horizon], [0, 0, 1.0]])
        result: NDArray[np.float64] = intrinsic @ columns
        return result

    def ground(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> tuple[Array, Array]:
        """Ground points (camera X and Z, same shape, metres) to street coordinates (s, u), by Newton's method."""
        s = self.s + z
        for _ in range(4):
            psi = np.interp(s, self._grid, self._psi)
            dx, dz = x - np.interp(s, self._grid, self._x), z - np.interp(s, self._grid, self._z)
            s = s + np.clip(dx * np.sin(psi) + dz * np.cos(psi), -60, 60)
        psi = np.interp(s, self._grid, self._psi)
        dx, dz = x - np.interp(s, self._grid, self._x), z - np.interp(s, self._grid, self._z)
        return s, dx * np.cos(psi) - dz * np.sin(psi)

"""A plausible drive past a still: where the camera is and how it is turned at each frame, relative to the still's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CAMERA_HEIGHT = 1.4
"""Metres from the ground to the camera; it fixes the scale of the scene."""

_EASY_METRES = 2.5  # that a camera may go before it comes to the still

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CameraPath:
    """Of each of n frames: `positions` (n, 3) metres and `rotations` (n, 3, 3), world to camera; times in seconds.

    Camera coordinates of frame `still`: X right, Y down, Z forward. There the position is 0 and the rotation the
    identity. A point P of the world is at `rotations[i] @ (P - positions[i])` in frame i. `seconds` counts
    from `still`.
    """

    positions: Array
    rotations: Array
    seconds: Array
    still: int

    def __len__(self) -> int:
        return len(self.positions)


def random_path(count: int, fps: float, rng: np.random.Generator) -> CameraPath:
    """A path of `count` frames at `fps` a second: standing, driving (mostly) or panning, with shake; all from `rng`.

    Speeds and turning rates are those of a car in town: 0 to 14 m/s, mostly below 3 degrees a second, at crossings to
    20; shake is a tenth of a degree or so. The still is any frame, but seldom one that a long way leads to,
    as views from behind it show more than it does.
    """
    seconds = np.arange(count) / fps
    kind = rng.choice(["stand", "drive", "turn", "pan"], p=[0.07, 0.71, 0.14, 0.08])
    speed, turning, side = 0.0, rng.normal(0, 0.2), 0.0
    if kind == "drive":
        speed, turning = min(rng.gamma(3.0, 1.9), 14.0), rng.normal(0, 1.2)
    elif kind == "turn":
        speed, turning = rng.uniform(1.5, 6.0), rng.choice([-1, 1]) * rng.uniform(4, 20)
    elif kind == "pan":
        speed, side = rng.uniform(0, 1.0), rng.normal(0, 0.7)
        turning = rng.choice([-1, 1]) * rng.uniform(3, 20)
    speeds = np.maximum(speed + rng.normal(0, 0.8) * (seconds - seconds[-1] / 2), 0) if speed else np.zeros(count)
    yaw = np.deg2rad(turning) * seconds
    step = np.stack([speeds * np.sin(yaw) + side * np.cos(yaw), speeds * np.cos(yaw) - side * np.sin(yaw)], 1) / fps
    along = np.cumsum(step, 0) - step[:1]
    weights = np.exp(-np.hypot(along[:, 0], along[:, 1]) / _EASY_METRES)
    still = int(rng.choice(count, p=weights / weights.sum()))
    shake = np.deg2rad(rng.gamma(2.0, 0.05)) * (0.4 + min(speed, 8) / 8)
    pitch, yaw_shake, roll = (_wander(count, rng) * shake * weight for weight in (1.0, 0.5, 0.4))
    positions = np.stack([along[:, 0], _wander(count, rng) * shake * 2, along[:, 1]], 1)
    rotations = _rotations(pitch, yaw + yaw_shake, roll)
    turn = rotations[still].T
    return CameraPath((positions - positions[still]) @ turn, rotations @ turn, seconds - seconds[still], still)


def _wander(count: int, rng: np.random.Generator) -> Array:
    """Smoothed noise of unit variance: a damped walk."""
    noise, values = rng.normal(0, 1, count), np.empty(count)
    state = rng.normal(0, 1)
    for index in range(count):
        state = 0.75 * state + 0.66 * noise[index]
        values[index] = state
    return values


def _rotations(pitch: Array, yaw: Array, roll: Array) -> Array:
    """World to camera, (n, 3, 3): the camera turned right by `yaw`, up by `pitch`, clockwise by `roll`, in radians."""
    one, zero = np.ones_like(yaw), np.zeros_like(yaw)

    def stack(*rows: list[Array]) -> Array:
        return np.moveaxis(np.array(rows), 2, 0)

    cos, sin = np.cos(yaw), np.sin(yaw)
    about_y = stack([cos, zero, -sin], [zero, one, zero], [sin, zero, cos])
    cos, sin = np.cos(pitch), np.sin(pitch)
    about_x = stack([one, zero, zero], [zero, cos, sin], [zero, -sin, cos])
    cos, sin = np.cos(roll), np.sin(roll)
    about_z = stack([cos, sin, zero], [-sin, cos, zero], [zero, zero, one])
    return np.asarray(about_z @ about_x @ about_y)

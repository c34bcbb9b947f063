"""A layered still seen from elsewhere: each plane's homography, the nearest plane at each pixel, gaps from behind."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..sample import VOID
from .camera import Array
from .layers import NOTHING, Layer, LayeredStill, nearest
from .roles import Role

_LEAST_LEFT = 0.06  # of a plane's distance: the camera is as good as at it
_BAND = 0.12  # of the picture's size: what its mirror image beyond the border shows
_BELIEVED = 0.35  # of the picture's size: so far beyond its border its mirror image keeps labels


class StillRenderer:
    """Renders views of one still; `roles` (256,) are its labels'. `render` may be called any number of times."""

    def __init__(self, still: LayeredStill, roles: NDArray[np.uint8]) -> None:
        self.still = still
        self._goes_on = roles <= Role.UPRIGHT
        height, width = still.size_hw
        self._inverse_camera = np.linalg.inv(still.camera)
        self._ids = [still.ids[level * height : (level + 1) * height] for level in range(still.levels)]
        self._used = [np.unique(ids[ids != NOTHING]) for ids in self._ids]
        self._x, self._y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]

    def render(self, position: Array, rotation: Array, moved: Array) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image (H, W, 3) and labels (H, W) from `position` (3,), turned by `rotation` (3, 3), both as in `CameraPath`.

        `moved` (number of things, 3) is how far each thing has gone since the still, in metres. Labels are VOID where
        the still does not show what is there.
        """
        height, width = self.still.size_hw
        size = (height, width)
        maps = np.zeros((2, *size), np.float32)
        front = np.full(size, -np.inf, np.float32)
        views = [self._view(layer, position - moved[layer.thing], rotation) for layer in self.still.layers]
        for index in self._used[0]:
            if (view := views[index]) is not None:
                self._draw(int(index), view, maps, front)
        level = np.zeros(size, np.float32)
        hole = np.isneginf(front)
        for number in range(1, self.still.levels):
            y, x = np.nonzero(hole)
            if not len(y):
                break
            found, source = self._look_behind(number, views, y, x)
            y, x = y[found], x[found]
            maps[:, y, x] = source[:, found]
            level[y, x] = number
            hole[y, x] = False
        beyond = np.maximum(_reflect(maps[0], width), _reflect(maps[1], height))
        maps[1] += level * height
        if hole.any() and not hole.all():
            y, x, _ = nearest(~hole)
            maps[:, hole] = maps[:, y[hole], x[hole]]
        image = cv2.remap(self.still.image, maps[0], maps[1], cv2.INTER_CUBIC)
        labels = cv2.remap(self.still.labels, maps[0], maps[1], cv2.INTER_NEAREST)
        labels[hole | (beyond > _BELIEVED) | ((beyond > 0) & ~self._goes_on[labels])] = VOID
        return np.asarray(image, np.uint8), np.asarray(labels, np.uint8)

    def _view(self, layer: Layer, position: Array, rotation: Array) -> tuple[Array, Array] | None:
        """Rows (4, 3) that take a pixel of the view to the still's x, y and scale and to its inverse depth; and back.

        None where the camera has come to the plane or is past it.
        """
        if 1 - layer.normal @ position < _LEAST_LEFT:
            return None
        forward = rotation @ (np.eye(3) - np.outer(position, layer.normal))
        back = np.linalg.inv(forward) @ self._inverse_camera
        rows = np.concatenate([self.still.camera @ back, layer.normal[None] @ back])
        return rows, self.still.camera @ forward @ self._inverse_camera

    def _draw(
        self, index: int, view: tuple[Array, Array], maps: NDArray[np.float32], front: NDArray[np.float32]
    ) -> None:
        box = self._box(index, view[1])
        if box is None:
            return
        x, y, scale, w = (
            np.float32(row[0]) * self._x[box[1]] + (np.float32(row[1]) * self._y[box[0]] + np.float32(row[2]))
            for row in view[0]
        )
        np.maximum(scale, 1e-6, out=scale)
        x /= scale
        y /= scale
        there = cv2.remap(self._ids[0], x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        hit = (there == index) & (w > front[box]) & (scale > 1e-6)
        np.copyto(maps[0][box], x, where=hit)
        np.copyto(maps[1][box], y, where=hit)
        np.copyto(front[box], w, where=hit)

    def _box(self, index: int, forward: Array) -> tuple[slice, slice] | None:
        """Rows and columns of the view that the layer can cover; what the still's border cuts goes on beyond it."""
        height, width = self.still.size_hw
        x0, y0, x1, y1 = self.still.boxes[index]
        left, top = x0 - 0.5 - width * (x0 == 0), y0 - 0.5 - height * (y0 == 0)
        right, bottom = x1 - 0.5 + width * (x1 == width), y1 - 0.5 + height * (y1 == height)
        corners = forward @ np.array([[left, right, left, right], [top, top, bottom, bottom], [1, 1, 1, 1]])
        if (corners[2] < 1e-3).any():
            return slice(0, height), slice(0, width)
        x, y = corners[0] / corners[2], corners[1] / corners[2]
        start_x, end_x = max(0, int(np.floor(x.min()))), min(width, int(np.ceil(x.max())) + 1)
        start_y, end_y = max(0, int(np.floor(y.min()))), min(height, int(np.ceil(y.max())) + 1)
        if start_x >= end_x or start_y >= end_y:
            return None
        return slice(start_y, end_y), slice(start_x, end_x)

    def _look_behind(
        self, level: int, views: list[tuple[Array, Array] | None], rows: NDArray[np.intp], cols: NDArray[np.intp]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """For pixels (n,) of the view whether a level shows something there, and where in it, (2, n)."""
        height, width = self.still.size_hw
        pixels = np.stack([cols, rows, np.ones_like(cols)]).astype(np.float32)
        source, front = np.zeros((2, len(rows)), np.float32), np.full(len(rows), -np.inf, np.float32)
        for index in self._used[level]:
            if (view := views[index]) is None:
                continue
            x, y, scale, w = view[0].astype(np.float32) @ pixels
            ahead = scale > 1e-6
            np.maximum(scale, 1e-6, out=scale)
            x, y = x / scale, y / scale
            at_x = np.rint(x).clip(0, width - 1).astype(np.intp)
            at_y = np.rint(y).clip(0, height - 1).astype(np.intp)
            hit = (self._ids[level][at_y, at_x] == index) & ahead & (w > front)
            source[0, hit], source[1, hit], front[hit] = x[hit], y[hit], w[hit]
        return ~np.isneginf(front), source


def _reflect(positions: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Move positions into [0, size - 1], in place; how far beyond the picture they were, in parts of its size.

    What lies beyond mirrors a band along the border, ever more stretched, so that perspective does not crowd it.
    """
    last, band = np.float32(size - 1), np.float32(_BAND * size)
    beyond = np.maximum(np.maximum(-positions, positions - last), 0)
    inside = beyond * band / (beyond + band)
    np.clip(positions, 0, last, out=positions)
    np.subtract(positions, inside, out=positions, where=positions > last / 2)
    np.add(positions, inside, out=positions, where=positions < last / 2)
    return np.asarray((beyond - 0.5) / np.float32(size), np.float32)

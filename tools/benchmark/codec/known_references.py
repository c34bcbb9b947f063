"""A clip whose references are known: every vector tells by its length which picture it points to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ....codec import Frame

_MARGIN = 96
_SCENES = 3
_SQUARE = 96
_NEAR = 24  # frames between a frame and its reference at most
_MASKS = 16  # pixels from the border of a layer within which a block may show two layers


class Attribution(NamedTuple):
    """Areas in pixels of one frame's vectors: all, those whose reference is known for certain, those of them that were
    given the right one, and those that really point to the previous frame."""

    inter: float
    known: float
    right: float
    previous: float


@dataclass(frozen=True, eq=False)
class LayeredClip:
    """Scenes that alternate, each a textured plane with a textured square before it, both moved anew by each frame.

    Scene `scene[t]` is shown at frame t. `offsets` (frames, 2, 2) are the displacements of plane and square in pixels,
    x before y: a point of layer k at x in frame t is at `x + offsets[r, k] - offsets[t, k]` in a frame r of the same
    scene. No two frames that are near each other have the same difference, so that a vector that follows the content
    names the picture it points to.
    """

    size_hw: tuple[int, int]
    scene: NDArray[np.int64]
    offsets: NDArray[np.int64]
    textures: NDArray[np.uint8]

    @classmethod
    def make(cls, count: int, size_hw: tuple[int, int] = (240, 320), seed: int = 0) -> LayeredClip:
        """A clip of `count` frames; the same for the same seed."""
        rng = np.random.default_rng(seed)
        height, width = size_hw
        steps = rng.integers(-7, 8, (count, 2, 2))
        offsets = np.zeros((count, 2, 2), np.int64)
        for frame in range(1, count):  # a walk that stays within the textures
            new = offsets[frame - 1] + steps[frame]
            offsets[frame] = np.where(np.abs(new) > _MARGIN // 2, offsets[frame - 1] - steps[frame], new)
        noise = rng.normal(0, 1, (_SCENES * 2, height + 2 * _MARGIN, width + 2 * _MARGIN)).astype(np.float32)
        smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), 2.0) for plane in noise])
        textures = (smooth / smooth.std() * 40 + 128).clip(0, 255).astype(np.uint8)
        return cls(size_hw, rng.integers(0, _SCENES, count), offsets, textures)

    def __len__(self) -> int:
        return len(self.scene)

    def image(self, frame: int) -> NDArray[np.uint8]:
        """Frame `frame`, (H, W, 3) uint8."""
        plane, square = (self._layer(frame, layer) for layer in (0, 1))
        top, left = self._corner(frame)
        plane[top : top + _SQUARE, left : left + _SQUARE] = square[top : top + _SQUARE, left : left + _SQUARE]
        return np.repeat(plane[..., None], 3, 2)

    def attribution(self, frame: Frame) -> Attribution:
        """How the recovered references of `frame`, which was read with references, compare with the right ones."""
        if frame.motion is None or frame.references is None or not len(frame.motion):
            return Attribution(0, 0, 0, 0)
        array, found = frame.motion.array, frame.references.picture
        layer = self._layer_of(frame.index, array)
        vector = np.stack([array["motion_x"], array["motion_y"]], 1) / np.maximum(array["motion_scale"], 1)[:, None]
        near = np.arange(max(0, frame.index - _NEAR), min(len(self), frame.index + _NEAR))
        near = near[(self.scene[near] == self.scene[frame.index]) & (near != frame.index)]
        area = array["w"].astype(float) * array["h"]
        if not len(near):
            return Attribution(float(area.sum()), 0, 0, 0)
        expected = self.offsets[near][:, layer] - self.offsets[frame.index][layer]
        fits = (np.abs(expected - vector).max(2) <= 0.25) & (layer >= 0)
        fits &= np.where(array["source"] < 0, 1, -1) * (frame.index - near)[:, None] > 0
        # a zero vector may be what FFmpeg exports for a list that the block does not use
        is_known = (fits.sum(0) == 1) & ((found >= 0) | vector.any(1))
        truth = near[fits.argmax(0)]
        parts = (is_known, is_known & (truth == found), is_known & (truth == frame.index - 1))
        return Attribution(float(area.sum()), *(float(area[part].sum()) for part in parts))

    def _layer(self, frame: int, layer: int) -> NDArray[np.uint8]:
        height, width = self.size_hw
        x, y = _MARGIN - self.offsets[frame, layer]
        texture: NDArray[np.uint8] = self.textures[self.scene[frame] * 2 + layer]
        return texture[y : y + height, x : x + width].copy()

    def _corner(self, frame: int) -> tuple[int, int]:
        x, y = self.offsets[frame, 1]
        return int(self.size_hw[0] // 2 - _SQUARE // 2 + y), int(self.size_hw[1] // 2 - _SQUARE // 2 + x)

    def _layer_of(self, frame: int, array: NDArray[np.void]) -> NDArray[np.int64]:
        """The layer that each block shows, -1 where it may show two."""
        top, left = self._corner(frame)
        x, y = np.abs(array["dst_x"] - (left + _SQUARE / 2)), np.abs(array["dst_y"] - (top + _SQUARE / 2))
        far = np.maximum(x, y)
        return np.where(far < _SQUARE / 2 - _MASKS, 1, np.where(far > _SQUARE / 2 + _MASKS, 0, -1))

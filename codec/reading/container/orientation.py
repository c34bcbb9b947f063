"""Turning coded pictures, vectors and maps into the orientation that the container asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...frame import MotionVectors

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to show a rectangle: transpose first, then mirror left-right and top-bottom."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes | None) -> Orientation:
        """From FFmpeg's display matrix (nine int32, 16.16 fixed point, `x' = a x + c y`, `y' = b x + d y`).

        Angles that are no multiple of 90 degrees leave the picture as it is coded.
        """
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(matrix, "<i4", 5).tolist()
        if a and d and not (b or c):
            return cls(False, a < 0, d < 0)
        if b and c and not (a or d):
            return cls(True, c < 0, b < 0)
        return cls()

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn that brings the coded picture upright (before any left-right mirroring): 0, 90, 180 or 270."""
        if self.transpose:
            return 270 if self.mirror_y else 90
        return 180 if self.mirror_y else 0

    @property
    def is_identity(self) -> bool:
        """Whether coded and displayed pictures are the same."""
        return not (self.transpose or self.mirror_x or self.mirror_y)

    def size(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The displayed size of a coded picture of `size_hw`."""
        return (size_hw[1], size_hw[0]) if self.transpose else size_hw

    def array(self, picture: NDArray[_T]) -> NDArray[_T]:
        """Turn an array whose first two axes are rows and columns; contiguous."""
        return np.ascontiguousarray(self.view(picture))

    def view(self, picture: NDArray[_T]) -> NDArray[_T]:
        """Turn an array whose first two axes are rows and columns, without a copy."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]

    def vectors(self, vectors: MotionVectors) -> MotionVectors:
        """Turn vectors of a coded picture: places, block shapes and displacements."""
        if self.is_identity:
            return vectors
        old = vectors.array
        new = old.copy()
        height, width = self.size(vectors.size_hw)
        across, down = ("y", "x") if self.transpose else ("x", "y")
        if self.transpose:
            new["w"], new["h"] = old["h"], old["w"]
        for axis, source, is_mirrored, size in (
            ("x", across, self.mirror_x, width),
            ("y", down, self.mirror_y, height),
        ):
            for name in ("src_", "dst_"):
                place = old[name + source]
                new[name + axis] = size - place if is_mirrored else place
            shift = old["motion_" + source]
            new["motion_" + axis] = -shift if is_mirrored else shift
        return replace(vectors, array=new, size_hw=(height, width))

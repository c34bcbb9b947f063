"""`MotionField`: the vectors of one frame as a dense backward map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...compiled import Loops
from ..frame import MotionVectors

BLOCK = 8
"""Side in pixels of the cells that vectors are rasterised on: the smallest block that FFmpeg exports."""

LOOPS = Loops(f"{__package__}.loops")
_MARGIN = 16  # pixels of the rasteriser's lattice before the picture
_RECORD = {"source": 0, "w": 4, "h": 5, "dst_x": 10, "dst_y": 12, "motion_x": 24, "motion_y": 28, "motion_scale": 32}
_RECORD_BYTES = 40  # of FFmpeg's AVMotionVector, where compiled loops look for these fields


@dataclass(frozen=True, eq=False)
class MotionField:
    """A dense backward map: cell (i, j) of this picture shows what its reference has at `x + dx, y + dy`.

    `displacement` is (h, w, 2) float32 in pixels, x before y; `unreferenced` is (h, w) bool, true where nothing is
    known of the reference (intra-coded blocks), and the displacement there is 0. `size_hw` is the picture's size in
    pixels as displayed, and `cell` the height and width of a cell in pixels. Cell (i, j) covers `x` in [j * cell[1],
    (j + 1) * cell[1]), `y` likewise; cells of the last row and column may reach beyond the picture.
    """

    displacement: NDArray[np.float32]
    unreferenced: NDArray[np.bool_]
    size_hw: tuple[int, int]
    cell: tuple[float, float] = (BLOCK, BLOCK)

    def __post_init__(self) -> None:
        h, w = self.unreferenced.shape
        if self.displacement.shape != (h, w, 2):
            raise ValueError(
                f"displacement is {self.displacement.shape} where the mask is {(h, w)}; it must be {(h, w, 2)}"
            )

    def __repr__(self) -> str:
        h, w = self.unreferenced.shape
        return f"MotionField({h}x{w} cells of {self.cell}, size_hw={self.size_hw})"

    @classmethod
    def from_vectors(cls, vectors: MotionVectors) -> MotionField:
        """Rasterise on the grid of (ceil(H / 8), ceil(W / 8)) cells of 8x8 pixels.

        Only vectors into the past (`source` < 0) count; a cell takes the vector of the block that holds its centre.
        Cells without one are `unreferenced`. Blocks of 16x16, 16x8, 8x16 and 8x8 pixels are all that FFmpeg exports.
        """
        height, width = vectors.size_hw
        rows, cols = -(-height // BLOCK), -(-width // BLOCK)
        loops = LOOPS.get() if _has_layout(vectors.array.dtype) else None
        if loops is not None:
            displacement, unreferenced = np.empty((rows, cols, 2), np.float32), np.empty((rows, cols), np.bool_)
            room = np.zeros((rows + 4, cols + 4, 2), np.float32), np.ones((rows + 4, cols + 4), np.bool_)
            records = np.ascontiguousarray(vectors.array).view(np.int16).reshape(-1, _RECORD_BYTES // 2)
            loops.rasterise(records, height, width, *room, displacement, unreferenced)
            return cls(displacement, unreferenced, (height, width))
        is_past = vectors.array["source"] < 0
        array = vectors.array if is_past.all() else vectors.array[is_past]  # records are slow to copy
        block_w, block_h = array["w"].astype(np.intp), array["h"].astype(np.intp)
        left, top = array["dst_x"] - (block_w >> 1), array["dst_y"] - (block_h >> 1)
        # Blocks of a mirrored or cropped picture do not start at multiples of 8: rasterise on their own lattice, which
        # starts a macroblock before the picture, and look the cells' centres up in it.
        off_y, off_x = (int(v[0]) % BLOCK if len(v) else 0 for v in (top, left))
        row, col = (top + (_MARGIN - off_y)) >> 3, (left + (_MARGIN - off_x)) >> 3
        lattice_h, lattice_w = rows + 4, cols + 4
        inside = (row >= 0) & (col >= 0) & (row < rows + 3) & (col < cols + 3)
        if not inside.all():
            array, row, col, block_w, block_h = (v[inside] for v in (array, row, col, block_w, block_h))
        scale = np.maximum(array["motion_scale"], 1).astype(np.float32)
        vector = np.empty((len(array), 2), np.float32)
        np.divide(array["motion_x"], scale, out=vector[:, 0], casting="unsafe")
        np.divide(array["motion_y"], scale, out=vector[:, 1], casting="unsafe")
        packed = vector.view(np.uint64)[:, 0]
        lattice = np.zeros(lattice_h * lattice_w, np.uint64)
        known = np.zeros(lattice_h * lattice_w, np.bool_)
        index = row * lattice_w + col
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            if (dy, dx) == (0, 0):
                at, value = index, packed
            else:
                reach = (block_h > BLOCK * dy) & (block_w > BLOCK * dx)
                at, value = index[reach] + (dy * lattice_w + dx), packed[reach]
            lattice[at] = value
            known[at] = True
        grid, mask = lattice.reshape(lattice_h, lattice_w), known.reshape(lattice_h, lattice_w)
        at_y, at_x = _lookup(rows, height, off_y), _lookup(cols, width, off_x)
        if isinstance(at_y, slice) and isinstance(at_x, slice):
            grid, mask = grid[at_y, at_x], mask[at_y, at_x]
        else:
            grid, mask = grid[at_y][:, at_x], mask[at_y][:, at_x]
        displacement = np.ascontiguousarray(grid).view(np.float32).reshape(rows, cols, 2)
        return cls(displacement, ~mask, (height, width))


@lru_cache(maxsize=8)
def _has_layout(dtype: np.dtype[np.void]) -> bool:
    """Whether records are laid out as compiled loops take them."""
    fields = dtype.fields
    if fields is None or not fields.keys() >= _RECORD.keys():
        return False
    return dtype.itemsize == _RECORD_BYTES and all(fields[name][1] == at for name, at in _RECORD.items())


def _lookup(cells: int, size: int, offset: int) -> slice | NDArray[np.intp]:
    """Lattice rows (or columns) that hold the centres of `cells` cells, the last centre kept in the picture."""
    if offset == 0:
        return slice(_MARGIN // BLOCK, _MARGIN // BLOCK + cells)
    centres = np.minimum(np.arange(cells) * BLOCK + BLOCK // 2, size - 1)
    return (centres + (_MARGIN - offset)) >> 3

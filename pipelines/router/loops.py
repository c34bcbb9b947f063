"""Compiled loops of the router: ways and features of cells.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compiled import compiled_loop


@compiled_loop(
    "void(float32[:, :, ::1], boolean[:, ::1], int64, float32, float32[:, ::1], float32[:, ::1], float32[:, ::1], "
    "float32[:, :, ::1], float32[:, ::1])"
)
def find_way(
    displacement: NDArray[np.float32],
    unreferenced: NDArray[np.bool_],
    step: int,
    pixels: Any,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    lost: NDArray[np.float32],
    shift: NDArray[np.float32],
    outside: NDArray[np.float32],
) -> None:
    """Write what a `Way` is of every `step`-th of the network's cells, `pixels` the side of one of the router's."""
    rows, columns = lost.shape
    one, none = np.float32(1), np.float32(0)
    right, bottom = np.float32(columns - 1), np.float32(rows - 1)
    for i in range(rows):
        for j in range(columns):
            r, c = np.uint64(i), np.uint64(j)
            at_r, at_c = np.uint64(step // 2 + i * step), np.uint64(step // 2 + j * step)
            dx, dy = displacement[at_r, at_c, 0] / pixels, displacement[at_r, at_c, 1] / pixels
            to_x, to_y = dx + np.float32(j), dy + np.float32(i)
            shift[r, c, 0], shift[r, c, 1], x[r, c], y[r, c] = dx, dy, to_x, to_y
            lost[r, c] = one if unreferenced[at_r, at_c] else none
            is_at_border = to_x < none or to_y < none or to_x > right or to_y > bottom
            outside[r, c] = one if is_at_border and (abs(dx) > one or abs(dy) > one) else none


@compiled_loop("void(float32[:, ::1], float32, float32[:, ::1])")
def find_difference(change: NDArray[np.float32], light: Any, difference: NDArray[np.float32]) -> None:
    """Write by how much each cell's luma has changed, less the change of `light`, in tens of grey levels, 4 at most."""
    rows, columns = change.shape
    for i in range(rows):
        for j in range(columns):
            r, c = np.uint64(i), np.uint64(j)
            difference[r, c] = min(abs(change[r, c] - light), np.float32(40)) / np.float32(10)


@compiled_loop(
    "void(float32[:, :, ::1], float32[:, ::1], float32[:, ::1], float32[:, :, ::1], float32[:, ::1], float32, float32, "
    "float32[:, :, ::1])"
)
def fill_features(
    carried: NDArray[np.float32],
    textures: NDArray[np.float32],
    lost: NDArray[np.float32],
    shift: NDArray[np.float32],
    outside: NDArray[np.float32],
    distance: Any,
    spent: Any,
    features: NDArray[np.float32],
) -> None:
    """Write all of CELL_FEATURES but `difference` and `difference_around`, which are there."""
    _, rows, columns = features.shape
    one, none = np.float32(1), np.float32(0)
    for i in range(rows):
        for j in range(columns):
            r, c = np.uint64(i), np.uint64(j)
            dx, dy = shift[r, c, 0], shift[r, c, 1]
            rough = none
            if j + 1 < columns:
                k = c + np.uint64(1)
                rough += abs(shift[r, k, 0] - dx) + abs(shift[r, k, 1] - dy)
            if i + 1 < rows:
                k = r + np.uint64(1)
                rough += abs(shift[k, c, 0] - dx) + abs(shift[k, c, 1] - dy)
            rough = min(rough, np.float32(2))
            speed = min(abs(dx) + abs(dy), np.float32(16)) / np.float32(8)
            doubt, edge, difference = carried[r, c, 1], carried[r, c, 2], features[7, r, c]
            texture, is_lost = min(textures[r, c], np.float32(16)) / np.float32(8), lost[r, c]
            features[0, r, c], features[1, r, c] = one, distance
            features[2, r, c], features[3, r, c], features[4, r, c] = doubt, doubt * distance, doubt * doubt
            features[5, r, c], features[6, r, c] = edge, edge * distance
            features[8, r, c], features[10, r, c] = difference * distance, difference * texture
            features[11, r, c] = difference * edge
            features[12, r, c], features[13, r, c] = is_lost, is_lost * min(texture, one)
            features[14, r, c], features[15, r, c] = is_lost * edge, texture
            features[16, r, c], features[17, r, c] = rough, rough * edge
            features[18, r, c], features[19, r, c], features[20, r, c] = speed, outside[r, c], spent


@compiled_loop("int64(float32[::1], float32[::1], float32[::1], float32)")
def count_news(
    difference: NDArray[np.float32], lost: NDArray[np.float32], texture: NDArray[np.float32], flat: Any
) -> Any:
    """How many cells are news, with `texture` from `flat` on; see `news_share`."""
    count = 0
    for i in range(lost.size):
        k = np.uint64(i)
        count += difference[k] >= np.float32(2) or (lost[k] > np.float32(0) and texture[k] >= flat)
    return count

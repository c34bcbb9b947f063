"""Compiled loops of motion between frames: followed back, turned round, joined, merged and spread.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compiled import compiled_loop


@compiled_loop("void(int32[::1], int32[::1], boolean[::1], float32[:, ::1], boolean[::1], int64, int64, int64)")
def step_back(
    x: NDArray[np.int32],
    y: NDArray[np.int32],
    lost: NDArray[np.bool_],
    displacement: NDArray[np.float32],
    unreferenced: NDArray[np.bool_],
    across: int,
    height: int,
    width: int,
) -> None:
    """Move positions in quarter pixels by a field on 8x8 cells, `across` in a row, in place; those that leave the
    picture are `lost`, and stay on its border."""
    right, bottom = np.int32(4 * width - 2), np.int32(4 * height - 2)
    for i in range(x.size):
        k = np.uint64(i)
        at = np.uint64((y[k] >> 5) * across + (x[k] >> 5))
        to_x = np.int32(x[k] + np.int32(np.rint(np.float32(4) * displacement[at, 0])))
        to_y = np.int32(y[k] + np.int32(np.rint(np.float32(4) * displacement[at, 1])))
        lost[k] |= unreferenced[at] or to_x < 0 or to_y < 0 or to_x >= right + 2 or to_y >= bottom + 2
        x[k], y[k] = min(max(to_x, np.int32(2)), right), min(max(to_y, np.int32(2)), bottom)


@compiled_loop("int64(float32, float32, int64, int64)")
def _nearest(displacement: Any, cell: Any, own: Any, count: Any) -> Any:
    """The row or column to which a displacement in pixels leads from the one's `own`, of so many."""
    return min(max(np.int64(np.rint(displacement / cell + np.float32(own))), 0), count - 1)


@compiled_loop("void(float32[:, :, ::1], boolean[:, ::1], float32, float32[:, :, ::1], boolean[:, ::1])")
def turn_round(
    displacement: NDArray[np.float32],
    unreferenced: NDArray[np.bool_],
    cell: Any,
    turned: NDArray[np.float32],
    unknown: NDArray[np.bool_],
) -> None:
    """Write motion `turned` round; see `turned_round`."""
    rows, columns = unknown.shape
    for i in range(rows):
        for j in range(columns):
            r, c = np.uint64(i), np.uint64(j)
            turned[r, c, 0] = turned[r, c, 1] = np.float32(0)
            unknown[r, c] = True
    for i in range(rows):
        for j in range(columns):
            r, c = np.uint64(i), np.uint64(j)
            if not unreferenced[r, c]:
                x, y = displacement[r, c, 0], displacement[r, c, 1]
                there, across = np.uint64(_nearest(y, cell, i, rows)), np.uint64(_nearest(x, cell, j, columns))
                turned[there, across, 0], turned[there, across, 1] = -x, -y
                unknown[there, across] = False


@compiled_loop(
    "void(float32[:, :, ::1], boolean[:, ::1], float32[:, :, ::1], boolean[:, ::1], float32, float32[:, :, ::1], "
    "boolean[:, ::1])"
)
def join(
    first: NDArray[np.float32],
    first_lost: NDArray[np.bool_],
    onward: NDArray[np.float32],
    onward_lost: NDArray[np.bool_],
    cell: Any,
    whole: NDArray[np.float32],
    lost: NDArray[np.bool_],
) -> None:
    """Write motion along `first` and then `onward`; see `joined`."""
    rows, columns = lost.shape
    for i in range(rows):
        for j in range(columns):
            r, c = np.uint64(i), np.uint64(j)
            x, y = first[r, c, 0], first[r, c, 1]
            there, across = np.uint64(_nearest(y, cell, i, rows)), np.uint64(_nearest(x, cell, j, columns))
            whole[r, c, 0], whole[r, c, 1] = x + onward[there, across, 0], y + onward[there, across, 1]
            lost[r, c] = first_lost[r, c] or onward_lost[there, across]


@compiled_loop("void(float32[:, ::1], boolean[::1], float32[:, ::1], boolean[::1], float32[:, ::1], boolean[::1])")
def merge(
    first: NDArray[np.float32],
    first_unknown: NDArray[np.bool_],
    second: NDArray[np.float32],
    second_unknown: NDArray[np.bool_],
    found: NDArray[np.float32],
    unknown: NDArray[np.bool_],
) -> None:
    """Write of each cell the first way, or the second where only that is known."""
    for i in range(unknown.size):
        k = np.uint64(i)
        takes_second = first_unknown[k] and not second_unknown[k]
        found[k, 0] = second[k, 0] if takes_second else first[k, 0]
        found[k, 1] = second[k, 1] if takes_second else first[k, 1]
        unknown[k] = first_unknown[k] and second_unknown[k]


@compiled_loop(
    "void(float32[:, ::1], boolean[::1], float32[::1], float32, float32, int64[::1], float32[:, ::1], boolean[::1])"
)
def spread_near(
    displacement: NDArray[np.float32],
    unknown: NDArray[np.bool_],
    away: NDArray[np.float32],
    cell: Any,
    reach: Any,
    nearest: NDArray[np.int64],
    found: NDArray[np.float32],
    still_unknown: NDArray[np.bool_],
) -> None:
    """Write the motion of each cell, or that of the `nearest` known where it is unknown and that is within `reach`."""
    for i in range(unknown.size):
        k = np.uint64(i)
        is_near = away[k] * cell <= reach
        at = np.uint64(nearest[k]) if unknown[k] and is_near else k
        found[k, 0], found[k, 1] = displacement[at, 0], displacement[at, 1]
        still_unknown[k] = unknown[k] and not is_near

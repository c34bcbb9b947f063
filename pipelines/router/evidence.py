"""What tells whether carrying will be right: numbers for every cell of a frame, from the codec and the decoder alone.

A cell of the router is one of the network's, or the middle of several where pictures are large.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, MotionField
from ...compiled import Loops, for_loops
from ..on_device import DeviceScores
from ..pipeline import Scores, all_scores
from ..scores import certainty

LOOPS = Loops(f"{__package__}.loops")
Cells = NDArray[np.float32]
"""A number for each cell, (h, w) float32."""

WIDEST = 200
"""Cells in a row above which the router looks at every second, third, ... of the network's."""

FLAT = 2.0
"""Deviation of the luma, in grey levels, below which a cell is flat."""

AROUND = 5
"""The side, in cells, of the square over which `difference_around` is a mean."""

CELL_FEATURES = (
    "one",
    "distance",
    "doubt",
    "doubt_by_distance",
    "doubt_squared",
    "edge",
    "edge_by_distance",
    "difference",
    "difference_by_distance",
    "difference_around",
    "difference_in_texture",
    "difference_at_edge",
    "lost",
    "lost_in_texture",
    "lost_at_edge",
    "texture",
    "roughness",
    "roughness_at_edge",
    "speed",
    "outside",
    "bytes",
)
"""The names of a cell's features, in the order in which `cell_features` gives them."""


@dataclass(frozen=True)
class RouterGrid:
    """The router's cells on the network's of side `stride` pixels: every `step`-th in both directions."""

    step: int
    stride: int

    @classmethod
    def of(cls, size_hw: tuple[int, int], stride: int) -> RouterGrid:
        """That of pictures of `size_hw`."""
        return cls(max(1, -(-size_hw[1] // (stride * WIDEST))), stride)

    @property
    def pixels(self) -> int:
        """The side of a cell of the router in pixels."""
        return self.step * self.stride

    def of_network(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Values (h, w, ...) on the network's cells, those in the middle of each of the router's."""
        first = self.step // 2
        return values[first :: self.step, first :: self.step]


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen of a frame without the network.

    `luma` is the mean of each cell in grey levels, `bytes_before` the coded size of all frames shown before it,
    `packet_bytes` its own.
    """

    index: int
    luma: Cells
    packet_bytes: int
    bytes_before: int

    @classmethod
    def of(cls, frame: Frame, index: int, cells_hw: tuple[int, int], bytes_before: int) -> Sight:
        """That of a frame, whose index in its stream is `index`."""
        return cls(index, frame.shrunk_luma(cells_hw).astype(np.float32), frame.packet_bytes, bytes_before)

    @cached_property
    def texture(self) -> Cells:
        """The deviation of the luma in the 3x3 cells around each, in grey levels: below 2 or so a cell is flat."""
        mean = cv2.blur(self.luma, (3, 3))
        square = cv2.blur(np.square(self.luma), (3, 3))
        return np.asarray(np.sqrt(np.maximum(square - np.square(mean), np.float32(0))), np.float32)


@dataclass(frozen=True, eq=False)
class Look:
    """What the network said of a frame, on the router's cells: the best class of each, (h, w) uint8, and `doubt`, one
    minus the lead of its probability over the second's."""

    sight: Sight
    labels: NDArray[np.uint8]
    doubt: Cells
    maps: NDArray[np.float32] = field(repr=False)
    """Luma, doubt, and where a class ends, (h, w, 3), which are carried together."""

    @classmethod
    def of(cls, sight: Sight, logits: Scores, grid: RouterGrid) -> Look:
        """From logits (h, w, classes) at the network's stride."""
        if isinstance(logits, DeviceScores):
            labels, lead = logits.certainty(grid.step)
        else:
            labels, lead = certainty(np.asarray(grid.of_network(all_scores(logits)), np.float32))
        doubt = 1 - lead
        around = np.ones((3, 3), np.uint8)
        edge = (cv2.dilate(labels, around) != cv2.erode(labels, around)).astype(np.float32)
        return cls(sight, labels, doubt, np.stack([sight.luma, doubt, edge], 2))


@dataclass(frozen=True, eq=False)
class Way:
    """Where each of the router's cells lay in the reference frame: `x` and `y`, (h, w) in cells, whether its way is
    `lost`, its `displacement` (h, w, 2) in cells, and whether it led `outside` the picture."""

    x: Cells
    y: Cells
    lost: Cells
    displacement: NDArray[np.float32]
    outside: Cells

    @classmethod
    def of(cls, motion: MotionField, grid: RouterGrid) -> Way:
        """From motion on the network's cells."""
        loops = LOOPS.get()
        if loops is not None:
            displacement, unknown = for_loops(motion.displacement, np.float32), for_loops(motion.unreferenced, np.bool_)
            shape = grid.of_network(unknown).shape
            found = cls(*(np.empty(each, np.float32) for each in (shape, shape, shape, (*shape, 2), shape)))
            loops.find_way(
                displacement, unknown, grid.step, np.float32(grid.pixels), found.x, found.y, found.lost,
                found.displacement, found.outside,
            )  # fmt: skip
            return found
        shift = np.asarray(grid.of_network(motion.displacement), np.float32) / np.float32(grid.pixels)
        lost = grid.of_network(motion.unreferenced).astype(np.float32)
        rows, columns = lost.shape
        x = shift[..., 0] + np.arange(columns, dtype=np.float32)
        y = shift[..., 1] + np.arange(rows, dtype=np.float32)[:, None]
        # a way that leaves the picture is kept on its border: cells that end there and did not start there
        at_border = (x < 0) | (y < 0) | (x > columns - 1) | (y > rows - 1)
        moved = np.abs(shift) > 1
        moved = moved[..., 0] | moved[..., 1]
        outside = (at_border & moved).astype(np.float32)
        return cls(np.asarray(x, np.float32), np.asarray(y, np.float32), lost, shift, outside)

    def carried(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A reference's labels (h, w) where the cells lay there."""
        return np.asarray(cv2.remap(labels, self.x, self.y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE))


def cell_features(now: Sight, look: Look, way: Way) -> NDArray[np.float32]:
    """CELL_FEATURES of every cell, (features, h, w): of a frame to which what `look` says is carried along `way`."""
    carried = cv2.remap(look.maps, way.x, way.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = now.luma - carried[..., 0]
    light = np.median(change[::3, ::3])  # of the whole picture
    distance = np.float32(np.log1p(abs(now.index - look.sight.index)))
    spent = np.float32(np.log1p(abs(now.bytes_before - look.sight.bytes_before) / max(1, look.sight.packet_bytes)))
    loops = LOOPS.get()
    if loops is not None:
        found = np.empty((len(CELL_FEATURES), *change.shape), np.float32)
        loops.find_difference(change, np.float32(light), found[7])
        cv2.blur(found[7], (AROUND, AROUND), found[9])
        carried = for_loops(np.asarray(carried), np.float32)
        ways = (for_loops(each, np.float32) for each in (now.texture, way.lost, way.displacement, way.outside))
        loops.fill_features(carried, *ways, distance, spent, found)
        return found
    doubt, edge = carried[..., 1], carried[..., 2]
    change -= light
    difference = np.minimum(np.abs(change), np.float32(40)) / np.float32(10)
    texture = np.minimum(now.texture, np.float32(16)) / np.float32(8)
    roughness = _roughness(way.displacement)
    speed = np.minimum(_lengths(way.displacement), np.float32(16)) / np.float32(8)
    constant = np.ones_like(doubt)
    features = (
        constant,
        constant * distance,
        doubt,
        doubt * distance,
        doubt * doubt,
        edge,
        edge * distance,
        difference,
        difference * distance,
        np.asarray(cv2.blur(difference, (AROUND, AROUND)), np.float32),
        difference * texture,
        difference * edge,
        way.lost,
        way.lost * np.minimum(texture, 1),
        way.lost * edge,
        texture,
        roughness,
        roughness * edge,
        speed,
        way.outside,
        constant * spent,
    )
    return np.stack(features)


def news_share(features: NDArray[np.float32]) -> float:
    """The share of cells, 0 to 1, that differ by 20 grey levels or more from what was carried, or that have texture and
    no known way; from `cell_features`."""
    difference, lost, texture = (features[CELL_FEATURES.index(name)] for name in ("difference", "lost", "texture"))
    loops = LOOPS.get()
    if loops is not None:
        arrays = (for_loops(each, np.float32).ravel() for each in (difference, lost, texture))
        return float(loops.count_news(*arrays, np.float32(FLAT / 8)) / lost.size)
    return float(np.mean((difference >= 2) | ((lost > 0) & (texture >= FLAT / 8))))


def _roughness(displacement: NDArray[np.float32]) -> Cells:
    """How much motion differs from that of the cells beside, in cells, 2 at most."""
    rough = np.zeros(displacement.shape[:2], np.float32)
    rough[:, :-1] += _lengths(displacement[:, 1:] - displacement[:, :-1])
    rough[:-1] += _lengths(displacement[1:] - displacement[:-1])
    return np.minimum(rough, np.float32(2))


def _lengths(shifts: NDArray[np.float32]) -> Cells:
    """Of shifts (h, w, 2), across and down together; by `sum`, pairs take five times as long."""
    return np.abs(shifts[..., 0]) + np.abs(shifts[..., 1])

"""A labelled still taken apart: planes in space, cut out by the labels, with guesses of what is behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..sample import VOID, DatasetError, Sample
from .camera import CAMERA_HEIGHT, Array
from .roles import Role, roles_of

NOTHING = -1
"""In maps of layers: no layer."""

_FOCAL = 0.95  # of the width: about 55 degrees across, a dashboard camera
_SMALLEST = 1.2e-4  # of the image's area; smaller components belong to what surrounds them
_FACET = 1 / 14  # of the width: uprights are bent at most every so many columns
_NEAR_W, _FAR_W = 1 / 2.5, 1 / 150  # inverse depth, 1 / metres
_UNKNOWN_W = 1 / 30  # of uprights that touch no ground
_PEELS = (Role.THIN, 1 / 14, 1 / 40)  # what is taken off, level by level: thin things and objects, then by depth
_REACH = 0.16  # of the width: how far something goes on behind what hides it
_CLEAR = 0.02  # of the width: so far behind an edge the label is believed

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True)
class Layer:
    """One plane: the inverse depth at a ray (x, y, 1) is `normal` @ ray, in 1 / metres.

    `class_index` is its class; `thing` numbers the component that it is part of.
    """

    normal: Array
    role: Role
    class_index: int
    thing: int


@dataclass(frozen=True)
class LayeredStill:
    """The still as planes. `camera` (3, 3) takes rays to pixels, its principal point lying on the horizon.

    The atlases hold 1 + k levels one below the other, each the still's (H, W): the still itself, and the same with ever
    more near layers taken off and what is behind them continued. `layers` index `ids` (int16, NOTHING where nothing is
    known); `labels` are VOID where the continuation is a mere guess. Row i of `boxes` is (x0, y0, x1, y1) of layer i's
    pixels in the still, ends excluded.
    """

    size_hw: tuple[int, int]
    camera: Array
    layers: tuple[Layer, ...]
    boxes: NDArray[np.intp]
    ids: NDArray[np.int16]
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def levels(self) -> int:
        """How many pictures the atlases hold."""
        return len(self.ids) // self.size_hw[0]


def take_apart(sample: Sample, classes: Sequence[str]) -> LayeredStill:
    """Cut a labelled still into layers, by the roles of its classes and where things meet the ground.

    Void pixels belong to what is nearest. Raises DatasetError where nothing is labelled.
    """
    if (sample.labels == VOID).all():
        raise DatasetError(f"{sample.name}: has no labelled pixel, so nothing tells its depths; leave it out")
    labels = _filled(sample.labels, sample.labels != VOID)
    roles = roles_of(classes)[labels]
    width = labels.shape[1]
    horizon = _horizon(roles)
    camera = np.array([[_FOCAL * width, 0, (width - 1) / 2], [0, _FOCAL * width, horizon], [0, 0, 1]])
    builder = _Builder(labels, roles, camera)
    builder.add_planes()
    builder.add_components()
    ids = builder.finish()
    layers = tuple(builder.layers)
    return _with_levels(sample, layers, ids, camera)


def _filled(values: NDArray[_T], known: NDArray[np.bool_]) -> NDArray[_T]:
    """Values with those of unknown pixels replaced by the nearest known pixel's."""
    if known.all():
        return values
    y, x, _ = nearest(known)
    return values[y, x]


def nearest(known: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each pixel row and column of the nearest known one, and how far it is; some pixel must be known."""
    distance, index = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    y, x = np.nonzero(known)
    order = np.empty(len(y) + 1, np.intp)
    order[index[y, x]] = np.arange(len(y))
    source = order[index]
    return y[source], x[source], distance


def _horizon(roles: NDArray[np.uint8]) -> float:
    """The row of the horizon: just above the ground's upper end, within what a camera on a car can have."""
    height = len(roles)
    share = (roles == Role.GROUND).mean(1)
    rows = np.flatnonzero(share > 0.01)
    top = float(rows[0]) - 0.02 * height if len(rows) else 0.5 * height
    return float(np.clip(top, 0.25 * height, 0.6 * height))


class _Builder:
    def __init__(self, labels: NDArray[np.uint8], roles: NDArray[np.uint8], camera: Array) -> None:
        self.labels, self.roles, self.camera = labels, roles, camera
        self.layers: list[Layer] = []
        self.ids = np.full(labels.shape, NOTHING, np.int16)
        self._things = 0
        self._focal, self._cx, self._horizon = camera[0, 0], camera[0, 2], camera[1, 2]

    def add_planes(self) -> None:
        """Sky and ground plane, each one layer of all its classes; ground above the horizon is just far."""
        above = np.arange(len(self.labels))[:, None] < self._horizon + 1
        ground = self.roles == Role.GROUND
        self._add(self.roles == Role.SKY, np.zeros(3), Role.SKY)
        self._add(ground & above, np.array([0, 0, _FAR_W]), Role.UPRIGHT)
        self._add(ground & ~above, np.array([0, 1 / CAMERA_HEIGHT, 0]), Role.GROUND)

    def add_components(self) -> None:
        """Every connected component of a class that stands on the ground."""
        for class_index in np.unique(self.labels[self.roles >= Role.UPRIGHT]):
            mask = (self.labels == class_index).astype(np.uint8)
            count, components, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)
            for index in range(1, count):
                x, y, w, h, area = (int(v) for v in stats[index])
                if area >= _SMALLEST * mask.size:
                    self._add_component(components[y : y + h, x : x + w] == index, x, y, int(class_index))

    def finish(self) -> NDArray[np.int16]:
        """The map of layers, without gaps."""
        return np.asarray(_filled(self.ids, self.ids != NOTHING), np.int16)

    def _add(self, mask: NDArray[np.bool_], normal: Array, role: Role) -> None:
        if not mask.any():
            return
        self.ids[mask] = len(self.layers)
        self.layers.append(Layer(normal, role, int(np.bincount(self.labels[mask]).argmax()), self._things))
        self._things += 1

    def _add_component(self, mask: NDArray[np.bool_], x0: int, y0: int, class_index: int) -> None:
        height, width = self.labels.shape
        columns = x0 + np.arange(mask.shape[1])
        base = y0 + mask.shape[0] - 1 - mask[::-1].argmax(0)
        below = np.minimum(base + 2, height - 1)
        role = Role(int(self.roles[y0 + int(mask[:, 0].argmax()), x0]))
        contact = (self.roles[below, columns] == Role.GROUND) | (base >= height - 2)
        w = np.clip((base - self._horizon) / (self._focal * CAMERA_HEIGHT), _FAR_W, _NEAR_W)
        if role is Role.UPRIGHT and mask.shape[1] > 1.5 * _FACET * width:
            knots_x, knots_w = self._profile(columns, w, contact)
        else:
            knots_x = np.array([x0 - 0.5, x0 + mask.shape[1] - 0.5])
            knots_w = np.repeat(self._one_depth(w, contact, role, base, columns), 2)
        for (left, w_left), (right, w_right) in pairwise(zip(knots_x, knots_w, strict=True)):
            slope = (w_right - w_left) / (right - left)
            normal = np.array([self._focal * slope, 0, w_left + slope * (self._cx - left)])
            start, end = round(left + 0.5) - x0, round(right + 0.5) - x0
            part = mask[:, start:end]
            if not part.any():
                continue
            self.ids[y0 : y0 + mask.shape[0], x0 + start : x0 + end][part] = len(self.layers)
            self.layers.append(Layer(normal, role, class_index, self._things))
        self._things += 1

    def _one_depth(
        self,
        w: Array,
        contact: NDArray[np.bool_],
        role: Role,
        base: NDArray[np.intp],
        columns: NDArray[np.intp],
    ) -> float:
        """The inverse depth of a thing that stands upright in one plane: of its lowest contact with the ground."""
        if contact.any():
            return float(np.quantile(w[contact], 0.8))
        if role is Role.OBJECT or w.max() > _UNKNOWN_W:
            return float(w.max())
        under = self.ids[np.minimum(base + 2, len(self.ids) - 1), columns]
        under = under[under != NOTHING]
        if len(under):
            carrier = self.layers[int(np.bincount(under).argmax())]
            if carrier.role in (Role.THIN, Role.OBJECT):
                return float(max(carrier.normal[2], _FAR_W))
        return _UNKNOWN_W

    def _profile(self, columns: NDArray[np.intp], w: Array, contact: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Inverse depth of a wide upright along its columns, as the knots of a continuous, piecewise linear curve.

        Where it meets the ground its base tells; elsewhere its base is hidden, and it can only be nearer than it seems.
        """
        count = max(2, round(len(columns) / (_FACET * self.labels.shape[1])) + 1)
        knots = np.round(np.linspace(columns[0], columns[-1] + 1, count)) - 0.5
        half = (knots[-1] - knots[0]) / (count - 1) / 2
        near = np.abs(columns[None] - knots[:, None]) <= half
        values, floors = np.full(count, np.nan), np.full(count, _FAR_W)
        for index, window in enumerate(near):
            floors[index] = np.median(w[window]) if window.any() else _FAR_W
            if (both := window & contact).any():
                values[index] = np.median(w[both])
        known = ~np.isnan(values)
        if known.any():
            values = np.interp(knots, knots[known], values[known])
        else:
            values = np.full(count, max(float(np.median(floors)), _UNKNOWN_W))
        return np.asarray(knots, np.float64), np.clip(np.maximum(values, floors), _FAR_W, _NEAR_W)


def _with_levels(sample: Sample, layers: tuple[Layer, ...], ids: NDArray[np.int16], camera: Array) -> LayeredStill:
    height, width = ids.shape
    roles = np.array([layer.role for layer in layers])
    boxes = _boxes(ids, len(layers))
    normals, middle = np.array([layer.normal for layer in layers]), (boxes[:, 0] + boxes[:, 2] - 1) / 2
    w = normals[:, 0] * (middle - camera[0, 2]) / camera[0, 0] + normals[:, 2]
    above = np.arange(height)[:, None] < camera[1, 2] + 1
    levels = [(ids, sample.image, sample.labels)]
    gone = np.zeros(len(layers), np.bool_)
    for peel in _PEELS:
        near = roles >= peel if isinstance(peel, Role) else (roles == Role.UPRIGHT) & (w > peel)
        known = ~(gone | near)[ids]
        if (near <= gone).all() or not known.any():
            continue
        gone |= near
        levels.append(_continued(sample, ids, known, (roles == Role.GROUND)[ids], above))
    stacked = [np.ascontiguousarray(np.concatenate(parts)) for parts in zip(*levels, strict=True)]
    return LayeredStill((height, width), camera, layers, boxes, *stacked)


def _boxes(ids: NDArray[np.int16], count: int) -> NDArray[np.intp]:
    """(x0, y0, x1, y1) of the pixels of each layer, (count, 4); zeros for one without."""
    boxes = np.zeros((count, 4), np.intp)
    for axis, size in enumerate(ids.shape):
        positions = np.indices(ids.shape)[axis]
        there = np.zeros((count, size), np.bool_)
        there[ids, positions] = True
        some = there.any(1)
        boxes[some, 1 - axis] = there[some].argmax(1)
        boxes[some, 3 - axis] = size - there[some, ::-1].argmax(1)
    return boxes


def _continued(
    sample: Sample,
    ids: NDArray[np.int16],
    known: NDArray[np.bool_],
    ground: NDArray[np.bool_],
    above: NDArray[np.bool_],
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """Layers, image and labels with the unknown pixels filled from the nearest known ones, the texture mirrored."""
    height, width = ids.shape
    near_y, near_x, distance = nearest(known)
    rows, cols = np.nonzero(~known)
    y, x, away = near_y[rows, cols], near_x[rows, cols], distance[rows, cols]
    mirror_y, mirror_x = np.clip(2 * y - rows, 0, height - 1), np.clip(2 * x - cols, 0, width - 1)
    same = known[mirror_y, mirror_x] & (ids[mirror_y, mirror_x] == ids[y, x])
    mirror_y, mirror_x = np.where(same, mirror_y, y), np.where(same, mirror_x, x)
    new_ids, image, labels = ids.copy(), sample.image.copy(), sample.labels.copy()
    filled = ids[y, x]
    filled[(away > _REACH * width) | (ground[y, x] & above[rows, 0])] = NOTHING
    new_ids[rows, cols] = filled
    image[rows, cols] = sample.image[mirror_y, mirror_x]
    labels[rows, cols] = np.where(away <= max(2, _CLEAR * width), sample.labels[y, x], VOID)
    return new_ids, image, labels

"""A labelled still as a short labelled video: a camera drives past it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..sample import Sample
from .camera import Array, CameraPath, random_path
from .layers import LayeredStill, take_apart
from .rendering import StillRenderer
from .roles import Role, roles_of, speed_of

_LEAST_DEPTH_LEFT = 0.35  # of a thing's distance: it comes no nearer by its own motion


class StillMotion(Sequence[Sample]):
    """`count` frames at `fps` a second around a labelled still, which is frame `path.still`, unchanged.

    The scene is taken apart by the roles of its classes (`still_roles`): sky, ground plane, upright surfaces, and
    things that may move on their own. Labels are warped with the image; they are VOID where the still does not tell
    what comes into view. Everything random comes from `rng`, so that equal seeds give equal frames. Frames are rendered
    when they are asked for. Raises DatasetError where nothing is labelled.
    """

    def __init__(
        self, sample: Sample, classes: Sequence[str], *, count: int, fps: float, rng: np.random.Generator
    ) -> None:
        self._sample = sample
        self._layered = take_apart(sample, classes)
        self._renderer = StillRenderer(self._layered, roles_of(classes))
        self.path = random_path(count, fps, rng)
        self._moved = _own_motion(self._layered, self.path, classes, rng)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self._layered.size_hw

    def __len__(self) -> int:
        return len(self.path)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        name = f"{self._sample.name}-{index:06d}"
        if index == self.path.still:
            return Sample(name, self._sample.image, self._sample.labels)
        image, labels = self._renderer.render(
            self.path.positions[index], self.path.rotations[index], self._moved[index]
        )
        return Sample(name, image, labels)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))


def _own_motion(
    still: LayeredStill, path: CameraPath, classes: Sequence[str], rng: np.random.Generator
) -> NDArray[np.float64]:
    """How far every thing has gone from where it is in the still, (frames, things, 3) metres."""
    things = 1 + max(layer.thing for layer in still.layers)
    velocity = np.zeros((things, 3))
    for layer in still.layers:
        if layer.role is Role.OBJECT:
            velocity[layer.thing] = _velocity(speed_of(classes[layer.class_index]), rng)
    moved = path.seconds[:, None, None] * velocity
    for layer in still.layers:
        if layer.role is Role.OBJECT:
            depth: Array = 1 / layer.normal[2]
            left = (depth + moved[:, layer.thing, 2] - path.positions[:, 2]) / depth
            if left.min() < _LEAST_DEPTH_LEFT:
                moved[:, layer.thing] = 0
    return moved


def _velocity(speed: float, rng: np.random.Generator) -> Array:
    """Metres a second: fast things stand or go along the road, either way; slow ones go anywhere."""
    if rng.random() < 0.4:
        return np.zeros(3)
    pace = speed * rng.uniform(0.3, 1.2)
    if speed > 3:
        return np.array([rng.normal(0, 0.04) * pace, 0, pace * rng.choice([-0.7, 1.0], p=[0.4, 0.6])])
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([pace * np.cos(angle), 0, pace * np.sin(angle)])

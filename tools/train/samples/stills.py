"""The labelled frames of a data set, in memory where they fit, and how often its classes are in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....data import Dataset, LabelledImages, Sample
from ....errors import InputError
from ....segnet import class_weights

MOST_BYTES = 2 << 30
"""Stills that take more than this are read from their files whenever they are drawn."""

COUNTED = 1000
"""The most label files that class frequencies are counted in, evenly spread over the split."""


def labelled_stills(data: Dataset, split: str, count: int | None = None) -> Sequence[Sample]:
    """The labelled frames of a split, or the first `count`; InputError where there are none."""
    found = data.stills(split)
    if count is not None:
        found = found.first(count)
    if not len(found):
        raise InputError(f"'{data.root}': {split} has no labelled frames; check the path")
    first = found[0]
    fits = len(found) * (first.image.nbytes + first.labels.nbytes) <= MOST_BYTES
    return list(found) if fits else found


def balanced_weights(images: LabelledImages, classes: int, power: float) -> NDArray[np.float32]:
    """Class weights (classes,) from the frequencies in label files; see `class_weights`."""
    files = [label for _, label in images.pairs]
    chosen = np.unique(np.linspace(0, len(files) - 1, min(len(files), COUNTED)).astype(int))
    counts = np.zeros(256, np.int64)
    for place in chosen:
        counts += np.bincount(images.read_labels(files[place]).ravel(), minlength=256)
    return class_weights(counts[:classes], power)

"""Whether a model's classes are those of a data set, and which of them is which."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data import VOID, Dataset
from ..errors import InputError

Relabelling = NDArray[np.uint8]
"""(256,) uint8: from a label of a model's to the data set's."""


def match_classes(model: str, classes: Sequence[str], dataset: Dataset) -> Relabelling | None:
    """How the labels of a model with these classes become the data set's; None if they are the same already.

    Classes are matched by name, whatever their case and order; numbered ones ("class 0") fit if there are as many.
    InputError if the two have different classes.
    """
    own, theirs = [_key(name) for name in classes], [_key(name) for name in dataset.classes]
    is_numbered = all(re.fullmatch(r"class \d+", name) for name in own)
    if own == theirs or (is_numbered and len(own) == len(theirs)):
        return None
    if len(own) != len(theirs) or set(own) != set(theirs):
        raise InputError(f"'{model}' does not fit {dataset.title}: {_difference(classes, dataset)}")
    table = np.full(256, VOID, np.uint8)
    table[: len(own)] = [theirs.index(name) for name in own]
    return table


def _difference(classes: Sequence[str], dataset: Dataset) -> str:
    counts = f"it has {len(classes)} classes, the data set {len(dataset.classes)}"
    own, theirs = {_key(name) for name in classes}, {_key(name) for name in dataset.classes}
    lacking = [name for name in dataset.classes if _key(name) not in own]
    beside = [name for name in classes if _key(name) not in theirs]
    parts = [f"{what} {_some(names)}" for what, names in (("it lacks", lacking), ("it also has", beside)) if names]
    return "; ".join([counts, *parts, "take another model, or the --dataset that it was trained on"])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _key(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip().lower()))

"""`Predictor`: the share of pixels that carrying is expected to get wrong, by what codec and decoder say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .evidence import CELL_FEATURES

SHIPPED = "router.json"
"""The predictor in `segnet/weights` that serves all networks without one of their own."""

LEAST = 1e-4
"""No share is expected to be smaller."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A logistic regression for each cell, and a line through the logarithms of the frames' means.

    `weights` are those of CELL_FEATURES, in that order. The mean of the cells' probabilities m becomes the frame's
    share exp(offset + slope * log(m)). `facts` are what its file says beside: data, scores, the command.
    """

    weights: NDArray[np.float32]
    offset: float = 0.0
    slope: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def cells(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """From `cell_features` (features, h, w), each cell's probability of being wrong, (h, w)."""
        scores = np.tensordot(self.weights, features, 1)
        return np.asarray(1 / (1 + np.exp(-scores)), np.float32)

    def share(self, features: NDArray[np.float32]) -> float:
        """The share of wrong pixels to be expected in the frame, 0 to 1."""
        mean = max(LEAST, float(self.cells(features).mean()))
        return float(min(1.0, max(LEAST, np.exp(self.offset + self.slope * np.log(mean)))))

    def record(self) -> dict[str, Any]:
        """What its file holds."""
        weights = {name: round(float(value), 5) for name, value in zip(CELL_FEATURES, self.weights, strict=True)}
        return {"kind": "router", "weights": weights, "offset": self.offset, "slope": self.slope, **self.facts}


def load_predictor(network_file: Path | None, file: Path | None = None) -> Predictor:
    """The predictor in `file`, or NAME-router.json beside a network's NAME.safetensors, or the shipped one.

    InputError where a file is none that `train-segnet router` wrote, or is of other features.
    """
    own = None if network_file is None else network_file.with_name(f"{network_file.stem}-router.json")
    path = file or (own if own is not None and own.is_file() else None)
    text = (resources.files("gopseg.segnet.weights") / SHIPPED).read_text() if path is None else _read(path)
    try:
        record = json.loads(text)
        found = {str(name): float(value) for name, value in record.pop("weights").items()}
        offset, slope = float(record.pop("offset")), float(record.pop("slope"))
        record.pop("kind")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"'{path}' is no router's file: {error}; write one by train-segnet router") from error
    if set(found) != set(CELL_FEATURES):
        raise InputError(f"'{path}' is of other features than this version's; fit it anew by train-segnet router")
    return Predictor(np.array([found[name] for name in CELL_FEATURES], np.float32), offset, slope, record)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read: {error}; give the file that train-segnet router wrote") from error


def by_name(weights: Mapping[str, float], names: Sequence[str] = CELL_FEATURES) -> NDArray[np.float32]:
    """Weights in the order of `names`, 0 where none is given."""
    return np.array([weights.get(name, 0.0) for name in names], np.float32)

"""`Engine`: a network's halves in another runtime, arrays to arrays; `GraphEngine`: a graph of any inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Engine(ABC):
    """Runs on the CPU; arrays are (N, C, H, W) float32 and contiguous. Each part is compiled when it is first used."""

    @property
    @abstractmethod
    def is_plain(self) -> bool:
        """Whether logits are just what `classify` makes of the features."""

    @abstractmethod
    def features(self, images: Array) -> Array:
        """Normalised RGB to what the network classifies."""

    @abstractmethod
    def classify(self, p: Array) -> Array:
        """Features to logits."""

    @abstractmethod
    def logits(self, images: Array) -> Array:
        """Normalised RGB to logits."""


class GraphEngine(ABC):
    """Runs a whole graph on the CPU. It is compiled for sizes that it was not given yet."""

    @abstractmethod
    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[Array]:
        """Contiguous arrays by the inputs' names to the outputs, in their order."""


def first_line(error: BaseException) -> str:
    """What an error of a library says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def network_threads() -> int:
    """As many threads as torch has, whose number OMP_NUM_THREADS and `torch.set_num_threads` set."""
    return torch.get_num_threads()

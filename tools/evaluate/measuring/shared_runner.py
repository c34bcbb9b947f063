"""`SharedRunner`: a network that modes share, and that is run once for all of those that look at the same picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from ....segnet import RuntimeNetwork, SegmentationNetwork, in_torch
from ...known_logits import KnowingRunner

REMEMBERED = 2


class SharedRunner(KnowingRunner):
    """A runner whose network remembers the features of its last pictures, and with a `cache` all logits.

    `saved_seconds` grows by what remembered features and logits took when they were made, so that a mode's time is what
    it took plus what it was saved.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._memory: list[tuple[Tensor, Tensor, float]] | None = []
        self._features: Callable[[Tensor], Tensor] = self.network.features
        self.network.features = self._remembered
        if (
            isinstance(self.network, RuntimeNetwork) and self.network.engine.is_plain
        ):  # whose own way to logits is not by way of the features
            self.network.forward = MethodType(SegmentationNetwork.forward, self.network)  # type: ignore[method-assign]

    @contextmanager
    def forgetful(self) -> Iterator[None]:
        """Remember nothing for a while and run in torch, as for counting operations."""
        self._memory = None
        try:
            with in_torch():
                yield
        finally:
            self._memory = []

    @property
    def _may_remember(self) -> bool:
        return self._memory is not None

    def _remembered(self, images: Tensor) -> Tensor:
        if self._memory is None:
            return self._features(images)
        for known, features, seconds in self._memory:
            if known.shape == images.shape and torch.equal(known, images):
                self.saved_seconds += seconds
                return features
        begin = self._now()
        features = self._features(images)
        self._memory = [(images, features, self._now() - begin), *self._memory[: REMEMBERED - 1]]
        return features

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

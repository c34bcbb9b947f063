"""`KeyNetwork`: the network on reference frames, at full size or on smaller pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..motion import resize_map
from ..runner import NetworkRunner


class KeyNetwork:
    """Runs a runner's network on pictures at `scale` of their size, and brings its maps back to the cells of the
    whole."""

    def __init__(self, runner: NetworkRunner, scale: float = 1.0) -> None:
        self.runner, self.scale = runner, scale

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB to (ceil(H / s), ceil(W / s), classes) at the network's stride s."""
        return self._on_whole(self.runner.logits(self._scaled(image)), image)

    def features_and_logits(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same, after what the network classifies, (h, w, channels)."""
        features, logits = self.runner.features_and_logits(self._scaled(image))
        return self._on_whole(features, image), self._on_whole(logits, image)

    def _scaled(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.scale == 1:
            return image
        height, width = (max(1, round(side * self.scale)) for side in image.shape[:2])
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def _on_whole(self, values: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.scale == 1:
            return values
        rows, columns = (-(-side // self.runner.stride) for side in image.shape[:2])
        return resize_map(values, (rows, columns))

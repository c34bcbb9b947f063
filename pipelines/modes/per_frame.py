"""Mode `frame`: the network on every frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame
from .pipeline import Pipeline


class PerFramePipeline(Pipeline):
    """The network on every frame; the codec's metadata is not used."""

    mode = "frame"

    def _observe(self, frame: Frame) -> None:
        """Nothing is carried between frames."""

    def _scores(self, frame: Frame) -> tuple[NDArray[np.float32], bool]:
        return self._network(frame.image), True

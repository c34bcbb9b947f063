"""The network on every frame."""

from __future__ import annotations

from ..codec import Frame
from .pipeline import Pipeline, Scored


class PerFramePipeline(Pipeline):
    """The network on every frame; the codec's metadata is not used."""

    needs_pictures = True

    def _observe(self, frame: Frame) -> None:
        """Nothing is carried between frames."""

    def _segment(self, frame: Frame) -> Scored:
        return Scored(self.runner.scores(frame, self._clock))

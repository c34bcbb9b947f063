"""`LatestAhead`: reading a live stream that never has to wait, for a network that cannot keep up with it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable

from ...codec import Frame
from .workers import End, ReadAhead

LATEST_DEPTH = 64


class LatestAhead(ReadAhead[tuple[Frame, bool]]):
    """`ReadAhead` of (frame, wanted) pairs that drops frames where its queue is full, so that the source never waits.

    What `latest` passes over still reaches the pipeline, by `Pipeline.skip`, and motion stays chained through it. Only
    where even that falls `depth` frames behind, the chain is given up: everything is dropped until a keyframe, which
    takes the place of all that waits. `lost_frames` counts the wanted ones among what was dropped so.
    """

    def __init__(
        self,
        source: Iterable[tuple[Frame, bool]],
        depth: int = LATEST_DEPTH,
        on_read: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(source, depth, on_read)
        self.lost_frames = 0
        self._is_broken = False

    def _put(self, item: tuple[Frame, bool] | End) -> None:
        if isinstance(item, End):
            return super()._put(item)
        frame, wanted = item
        self._is_broken = not frame.is_keyframe and (self._is_broken or self._queue.full())
        if self._is_broken:
            self.lost_frames += wanted
            return None
        if self._queue.full():
            self._clear()
        return super()._put(item)

    def _clear(self) -> None:
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if not isinstance(item, End):
                self.lost_frames += item[1]

"""`FrameWatch`: frames on their way in, with a word on damage, on jumps of the clock and on changes of size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...codec import Frame


class FrameWatch:
    """Iterates `frames` as they are, and counts those that are marked as corrupt, and jumps of the source's clock.

    `say` is told once that there are such frames or jumps, and each time that the size changes.
    """

    def __init__(self, frames: Iterable[Frame], name: str, say: Callable[[str], None]) -> None:
        self._frames, self._name, self._say = frames, name, say
        self.corrupt_frames = 0
        self.time_jumps: list[tuple[int, float]] = []
        """Frames before which the source's clock jumped, and by how many seconds."""
        self.sizes: list[tuple[int, int]] = []
        """Height and width of each sequence, in order; a size that comes again counts again."""

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            if frame.corrupt and not self.corrupt_frames:
                self._say(
                    f"{self._name}: frame {frame.index} is damaged, and so are those predicted from it; their labels "
                    "cannot be trusted (--stats counts them)"
                )
            self.corrupt_frames += frame.corrupt
            if frame.time_jump is not None:
                if not self.time_jumps:
                    self._say(
                        f"{self._name}: at frame {frame.index} its clock jumps {_way(frame.time_jump)}, as if "
                        "recordings had been joined; timestamps continue without such jumps (--stats lists them)"
                    )
                self.time_jumps.append((frame.index, round(frame.time_jump, 6)))
            if not self.sizes or frame.size_hw != self.sizes[-1]:
                if self.sizes:
                    (height, width), (h, w) = frame.size_hw, self.sizes[-1]
                    self._say(
                        f"{self._name}: from frame {frame.index} on pictures are {width}x{height}, no longer {w}x{h}; "
                        "labels keep each picture's size, an overlay video fits it into the first"
                    )
                self.sizes.append(frame.size_hw)
            yield frame


def _way(seconds: float) -> str:
    return f"{abs(seconds):.2f} s {'ahead' if seconds > 0 else 'back'}"

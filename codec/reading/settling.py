"""Pictures in display order, held back until all that were decoded before them are there."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")
_MOST_HELD = 16  # frames that a decoder may hold back to put them in order (H.264, A.3.1)


class Settling(Generic[T]):
    """A queue in which a picture waits for those that it may be predicted from: only then is its damage known.

    Packets are announced in decoding order by `expect`; their pictures come in display order through `put`.
    """

    def __init__(self) -> None:
        self._expected: dict[int, None] = {}
        self._held: deque[tuple[int, T]] = deque()

    def expect(self, index: int) -> None:
        """A picture of packet `index` will come."""
        self._expected[index] = None

    def drop(self, index: int | None = None) -> int | None:
        """The packet `index`, or the first of all that are expected, gives no picture; which one that is."""
        if index is None:
            index = next(iter(self._expected), None)
        if index is not None:
            self._expected.pop(index, None)
        return index

    def put(self, index: int, picture: T) -> None:
        """Add the next picture."""
        self._expected.pop(index, None)
        self._held.append((index, picture))

    def take(self, *, is_reordered: bool, is_last: bool = False) -> tuple[T, list[int]] | None:
        """The next picture to show, if it is settled, with the packets before it that gave none and never will."""
        if not self._held:
            return None
        index, picture = self._held[0]
        before = [packet for packet in self._expected if packet < index] if self._expected else []
        if before and is_reordered and not is_last and len(self._held) <= _MOST_HELD:
            return None
        self._held.popleft()
        for packet in before:
            del self._expected[packet]
        return picture, before

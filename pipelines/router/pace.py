"""`Pace`: which share of the frames the network can see at a given number of frames a second."""

from __future__ import annotations

SLOWNESS = 32
"""Frames over which times are averaged."""


class Pace:
    """Learns what frames take, those that the network sees and those that are carried, and says what is affordable.

    The labels then depend on how fast the machine is at the moment, and are not the same from run to run.
    """

    def __init__(self, frames_per_second: float) -> None:
        self._allowed = 1e3 / frames_per_second
        self._means: dict[bool, float] = {}

    def add(self, milliseconds: float, from_network: bool) -> None:
        """What one frame took."""
        mean = self._means.get(from_network, milliseconds)
        self._means[from_network] = mean + (milliseconds - mean) / SLOWNESS

    @property
    def budget(self) -> float:
        """The share of frames that the network can see, 0 to 1; 1 as long as nothing is known."""
        seen, carried = self._means.get(True), self._means.get(False, 0.0)
        if seen is None or seen <= self._allowed:
            return 1.0
        return min(1.0, max(0.0, (self._allowed - carried) / max(1e-6, seen - carried)))

"""`RateClock`: the time that an encoder's rate control goes by, where a source's own would mislead it."""

from __future__ import annotations

from fractions import Fraction

from .settings import EncodeSettings

_SHORTEST = 4


class RateClock:
    """Times of pictures for one encoder, in units of `time_base`, from their durations; they rise strictly.

    They are the sum of the durations, with two exceptions for sources whose pictures come unevenly. One that stays
    longer than the buffer holds counts as that long (`EncodeSettings.longest_ticks`). And one follows the last by a
    quarter of a frame at `frame_rate` or more, as x264 gives next to no bits to a picture that is gone at once; the
    clock is right again as soon as the ones after it stay for longer, so that the rate is held on the mean.
    """

    def __init__(self, settings: EncodeSettings, frame_rate: Fraction, time_base: Fraction) -> None:
        self._longest = settings.longest_ticks(frame_rate, time_base)
        self._shortest = max(1, int(1 / (_SHORTEST * frame_rate * time_base)))
        self._sum = 0
        self._last: int | None = None

    def place(self, duration: int) -> int:
        """The time of the next picture, which is shown for `duration`."""
        at = self._sum if self._last is None else max(self._sum, self._last + self._shortest)
        self._sum += min(duration, self._longest)
        self._last = at
        return at

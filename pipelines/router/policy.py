"""When a run of the network is worth its price: how the router spends what the user allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log

from .pace import Pace

QUALITY_PRICE = 0.14
"""Frames' worth of wrong pixels (a share times frames) that a run of the network must save, where the expected
agreement is just what is asked for."""

CHEAPEST, DEAREST = 0.14, 1.5
"""The least and the most that QUALITY_PRICE becomes where less, or more, than that is expected. The least holds up to
DEFAULT_QUALITY; for higher ones it falls, as the fourth power of the share that may be wrong, towards nothing."""

DEFAULT_QUALITY = 0.97
"""The quality that is asked for where none is named."""

MEMORY = 24
"""Frames over which the expected agreement is averaged."""

PACE = 1.0
"""How fast the price follows spending that differs from the budget."""

LOWEST, HIGHEST = 0.03, 8.0
"""Bounds of the price that a budget leads to: where less is to be gained, it is not spent."""


@dataclass
class Account:
    """The frames since the network last looked: their `count` (the look included), and the `sum` of the shares of their
    pixels that are expected to be wrong."""

    count: int = 0
    sum: float = 0.0

    def saving(self, share: float) -> float:
        """What a look at the next frame, of which the `share` is expected to be wrong, would save a cycle.

        Looks every n frames cost (price + e_1 + ... + e_(n-1)) / n a frame, which is lowest where n * e_n less that sum
        reaches the price: then the next frame would cost more than the frames so far do on average.
        """
        return self.count * share - self.sum


@dataclass
class Policy:
    """Decides frame by frame. `quality` is the agreement with the per-frame network that is to be expected on average,
    0 to 1; `budget` the share of frames that the network may see on average, None for any, which at a given `pace` may
    be less.

    The price of a look follows from the quality by the frames of the last moments: where they are expected to be worse
    it falls, to its least, where they are better it rises. Where there is a budget the price is not lower than the one
    that keeps to it, which rises with each look and falls with each frame without.
    """

    quality: float = DEFAULT_QUALITY
    budget: float | None = None
    pace: Pace | None = None
    account: Account = field(default_factory=Account)
    _mean: float | None = None
    _log_price: float = log(QUALITY_PRICE)

    def restart(self) -> None:
        """A keyframe of the stream: what was expected of earlier frames is forgotten, what was spent is not."""
        self._mean = None

    def price(self) -> float:
        """What a look must save now."""
        allowed = max(1e-3, 1 - self.quality)
        mean = allowed if self._mean is None else max(1e-4, self._mean)
        least = CHEAPEST * min(1.0, (1 - self.quality) / (1 - DEFAULT_QUALITY)) ** 4
        by_quality = min(DEAREST, max(least, QUALITY_PRICE * (allowed / mean) ** 2))
        return by_quality if self._limit() is None else max(by_quality, exp(self._log_price))

    def wants_look(self, share: float) -> bool:
        """Whether the network is to see a frame that carrying is expected to get wrong to this share."""
        return self.account.saving(share) > self.price()

    def wants_more(self, share: float, useless: float) -> bool:
        """Whether a frame that is expected to be wrong to this share may be looked at for its own sake alone: above the
        share `useless`, or above less of it where the price is lower than CHEAPEST."""
        return share > useless * min(1.0, self.price() / CHEAPEST)

    def looked(self) -> None:
        """The network sees this frame."""
        self.account = Account(1, 0.0)
        self._count(0.0, 1)

    def carried(self, share: float) -> None:
        """This frame is carried, at the expense of this share of wrong pixels."""
        self.account.count += 1
        self.account.sum += share
        self._count(share, 0)

    def _limit(self) -> float | None:
        limits = [
            limit for limit in (self.budget, None if self.pace is None else self.pace.budget) if limit is not None
        ]
        return min(limits, default=None)

    def _count(self, share: float, looks: int) -> None:
        allowed = 1 - self.quality
        mean = allowed if self._mean is None else self._mean
        self._mean = mean + (share - mean) / MEMORY
        limit = self._limit()
        if limit is not None:
            moved = self._log_price + PACE * (looks - limit)
            self._log_price = min(log(HIGHEST), max(log(LOWEST), moved))

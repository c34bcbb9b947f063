"""`Router`: the refresh rule of mode `auto`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, MotionField
from ..carriers import Carrier
from ..motion import index_in_stream
from ..pipeline import Scores
from ..refresh import Refresh, leads_on, may_be_bridged
from .evidence import Look, RouterGrid, Sight, Way, cell_features, news_share
from .policy import Policy
from .predictor import Predictor

P = TypeVar("P")

KEPT = 4
"""Looks that are remembered: motion may lead back to earlier keyframes."""

SURE = 0.03
"""Share of wrong pixels that counts as seen and as expected before anything was: how slowly contradictions are
believed."""

CUT = 0.5
"""Share of news in a frame above which it is taken for another scene, of which half is expected to be wrong."""

MOST = 0.1
"""No look contradicts, or is foreseen to, by a greater share: a cut says little about the frames after it."""

USELESS = 0.3
"""Share of wrong pixels up to which a B-frame is carried all the same. A look at it would help few others: the frames
after the next P-frame were coded before it, and lead to the look before. That P-frame is near."""


@dataclass(frozen=True, eq=False)
class Guess:
    """What would have been carried to the frame `index`, (h, w), and the share of it that was expected to be wrong."""

    index: int
    labels: NDArray[np.uint8]
    share: float


class Router(Refresh[P]):
    """The network looks wherever `policy` finds a look worth its price; keyframes are other rules' matter.

    `predictor` says which share of a frame's pixels carrying is expected to get wrong, by what the frame, its motion
    and the network's last look tell. Where the network looks at a frame of which something would have been carried, the
    two are compared, and what is expected of later frames is multiplied by how much more, or less, was wrong. That
    factor, and the average that the price follows, begin anew at keyframes: runs that are cut there, or taken up again,
    decide alike. With a budget or a pace, what was spent before counts as well. Where keyframes `are_bridged` nothing
    begins anew, and their coded sizes, which say nothing of what is new, do not count.
    """

    def __init__(self, stride: int, predictor: Predictor, policy: Policy, *, are_bridged: bool = False) -> None:
        self.predictor, self.policy, self._are_bridged = predictor, policy, are_bridged
        self._stride = stride
        self._looks: dict[int, Look] = {}
        self._bytes: dict[int, int] = {}
        self._spent = 0
        self._reference: int | None = None
        self._expected: float | None = None
        self._guess: Guess | None = None
        self._seen = self._foreseen = SURE

    @property
    def expected(self) -> float | None:
        """See `Refresh`."""
        return self._expected

    def observe(self, frame: Frame, since: int) -> bool:  # noqa: ARG002
        """See `Refresh`."""
        index = index_in_stream(frame)
        self._bytes[index] = self._spent
        is_bridged = self._are_bridged and may_be_bridged(frame) and bool(self._looks)
        self._spent += 0 if is_bridged else frame.packet_bytes
        if len(self._bytes) > 2048:
            for old in list(self._bytes)[:1024]:
                del self._bytes[old]
        if frame.distance == 0 and not is_bridged:
            self._seen = self._foreseen = SURE
            self.policy.restart()
        self._expected, self._guess = 1.0, None
        return False

    def refer_to(self, reference: Frame) -> None:
        """See `Refresh`."""
        self._reference = index_in_stream(reference)

    def choose(self, frame: Frame, field: MotionField, carrier: Carrier[P]) -> Carrier[P] | None:
        """See `Refresh`."""
        look = None if self._reference is None else self._looks.get(self._reference)
        if look is None:  # the reference itself was passed over: a look at this frame costs the same
            return None
        grid = RouterGrid.of(frame.size_hw, self._stride)
        way = Way.of(field, grid)
        now = self._sight(frame, grid)
        if now.luma.shape != look.labels.shape:
            return None
        features = cell_features(now, look, way)
        share = self.predictor.share(features)
        news = news_share(features)
        if news > CUT:  # what a fit on video with few cuts cannot know
            share = max(share, news / 2)
        likely = min(1.0, share * self._seen / self._foreseen)
        if (leads_on(frame) or self.policy.wants_more(likely, USELESS)) and self.policy.wants_look(likely):
            self._guess = Guess(index_in_stream(frame), way.carried(look.labels), share)
            return None
        self.policy.carried(likely)
        self._expected = 1 - likely
        return carrier

    def looked(self, frame: Frame, logits: Scores) -> None:
        """See `Refresh`."""
        index = index_in_stream(frame)
        grid = RouterGrid.of(frame.size_hw, self._stride)
        look = Look.of(self._sight(frame, grid), logits, grid)
        self._looks[index] = look
        while len(self._looks) > KEPT:
            del self._looks[next(iter(self._looks))]
        guess = self._guess
        if guess is not None and guess.index == index:
            self._seen += min(MOST, float(np.mean(guess.labels != look.labels)))
            self._foreseen += min(MOST, guess.share)
        self.policy.looked()

    def took(self, milliseconds: float, from_network: bool) -> None:
        """See `Refresh`."""
        if self.policy.pace is not None:
            self.policy.pace.add(milliseconds, from_network)

    def _sight(self, frame: Frame, grid: RouterGrid) -> Sight:
        index = index_in_stream(frame)
        rows, columns = (len(range(grid.step // 2, -(-size // self._stride), grid.step)) for size in frame.size_hw)
        return Sight.of(frame, index, (rows, columns), self._bytes.get(index, self._spent))

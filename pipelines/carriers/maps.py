"""Carriers of maps at the network's stride, sampled once where motion says each cell was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, MotionField, mix_with_nearest
from ..labels import LOOPS, can_compile
from ..motion import MOST_CHANNELS, warp_map
from ..pipeline import Clock
from ..runner import NetworkRunner
from ..scores import probabilities
from ..timing import image_of
from .carrier import Carried, Carrier, Passenger, Seen
from .key_network import KeyNetwork
from .warped_scores import ScoreMap, WarpedScores

Map = NDArray[np.float32]
"""(h, w, channels) at the network's stride."""

_REMEMBERED = 4  # reference frames between which motion may go to and fro


class Probabilities(Carrier[Map]):
    """The network's class probabilities, as SwNet-seq without its head carries them.

    With `mix_lost`, a cell whose way is lost is mixed half and half with the nearest cell whose way is not.
    """

    def __init__(self, runner: NetworkRunner, *, mix_lost: bool, key_scale: float = 1.0) -> None:
        self.runner, self.mix_lost = runner, mix_lost
        self._network = KeyNetwork(runner, key_scale)
        self._carried: list[ScoreMap] = []

    def see(self, frame: Frame, clock: Clock) -> Seen[Map]:
        """See `Carrier`."""
        image = image_of(frame, clock)
        with clock("network"):
            logits = self._network.logits(image)
        with clock("warp"):
            return Seen(logits, probabilities(logits))

    def carry(self, passengers: Sequence[Passenger[Map]], clock: Clock) -> list[Carried]:
        """See `Carrier`; scores are sampled with the labels, where they depend on them."""
        with clock("warp"):
            return [Carried(self._warped(one), one.motion.unreferenced, True) for one in passengers]

    def carry_mixed(self, passenger: Passenger[Map], back: MotionField, payload: Map, part: Map) -> Map:
        """See `MixesTwo`."""
        stride, loops = self.runner.stride, LOOPS.get()
        if loops is not None and can_compile(stride) and payload.shape[2] <= MOST_CHANNELS:
            earlier, later = (self._kept(each).compiled_cells(loops, stride) for each in (passenger.payload, payload))
            return earlier.mixed(passenger.motion, self.mix_lost, later, back, part)
        own = self._warped(passenger).full()
        other = warp_map(payload, back.displacement, stride)
        mixed: Map = own + part[..., None] * (other - own)
        return mixed

    def _warped(self, passenger: Passenger[Map]) -> WarpedScores:
        return WarpedScores(self._kept(passenger.payload), passenger.motion, self.runner.stride, mix_lost=self.mix_lost)

    def _kept(self, scores: Map) -> ScoreMap:
        """What is known of a reference's scores."""
        kept = next((each for each in self._carried if each.scores is scores), None)
        if kept is None:
            kept = ScoreMap(scores)
            self._carried = [*self._carried[1 - _REMEMBERED :], kept]
        return kept


class Features(Carrier[Map]):
    """What the network classifies, classified after it was carried: Deep Feature Flow (Zhu et al., CVPR 2017)."""

    def __init__(self, runner: NetworkRunner, *, mix_lost: bool, key_scale: float = 1.0) -> None:
        self.runner, self.mix_lost = runner, mix_lost
        self._network = KeyNetwork(runner, key_scale)

    def see(self, frame: Frame, clock: Clock) -> Seen[Map]:
        """See `Carrier`."""
        image = image_of(frame, clock)
        with clock("network"):
            features, logits = self._network.features_and_logits(image)
            return Seen(logits, features)

    def carry(self, passengers: Sequence[Passenger[Map]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""
        with clock("warp"):
            return [
                Carried(
                    self.runner.classify(warped(one.payload, one.motion, self.runner.stride, mix_lost=self.mix_lost)),
                    one.motion.unreferenced,
                )
                for one in passengers
            ]


def warped(values: Map, field: MotionField, stride: int, *, mix_lost: bool) -> Map:
    """A reference's map where `field`, on the same cells of `stride` pixels, says that each cell was."""
    moved = warp_map(values, field.displacement, stride)
    return mix_with_nearest(moved, field.unreferenced, 0.5) if mix_lost else moved

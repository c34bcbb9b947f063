"""Carriers of maps on an accelerator: what `maps` does on the CPU, without a map that comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...codec import Frame, MotionField, nearest_known
from ...segnet import mixed_with, warp_features
from ..on_device import sent
from ..pipeline import Clock, Scores
from ..runner import NetworkRunner
from .carrier import Carried, Carrier, Passenger, Seen
from .key_network import KeyNetwork


@dataclass(frozen=True, eq=False)
class SentMotion:
    """Motion on a device: `displacement` (1, h, w, 2) in cells, and `nearest` (1, h, w), for each cell the flat index
    of the nearest whose way is known, None where none is mixed with another."""

    displacement: Tensor
    nearest: Tensor | None

    @classmethod
    def of(cls, field: MotionField, stride: int, device: torch.device, *, mix_lost: bool) -> SentMotion:
        """From composed motion on cells of `stride` pixels. Rules have read it on the CPU before anything was done, so
        it is composed there; as float32 it is 0.35 MB at 960x720 and a stride of 4."""
        lost, nearest = field.unreferenced, None
        if mix_lost and 0 < np.count_nonzero(lost) < lost.size:
            nearest = sent(nearest_known(lost).reshape(1, *lost.shape).astype(np.int32), device).long()
        return cls(sent(field.displacement[None], device) / stride, nearest)

    def moved(self, values: Tensor) -> Tensor:
        """A reference's maps (1, C, h, w) where each cell was, as `maps.warped` moves them: bilinear, in units of cells
        (`align_corners=False`), the border repeated; lost cells half and half with the nearest that is not."""
        warped = warp_features(values, self.displacement)
        return warped if self.nearest is None else mixed_with(warped, self.nearest)


class _DeviceMaps(Carrier[Tensor]):
    """Carries maps (1, C, h, w) on the runner's device."""

    def __init__(self, runner: NetworkRunner, *, mix_lost: bool, key_scale: float = 1.0) -> None:
        self.runner, self.mix_lost = runner, mix_lost
        self._network = KeyNetwork(runner, key_scale)

    def _moved(self, one: Passenger[Tensor]) -> Tensor:
        with torch.inference_mode():
            motion = SentMotion.of(one.motion, self.runner.stride, self.runner.device, mix_lost=self.mix_lost)
            return motion.moved(one.payload)


class DeviceProbabilities(_DeviceMaps):
    """`Probabilities` on a device: the payload is (1, classes, h, w)."""

    def see(self, frame: Frame, clock: Clock) -> Seen[Tensor]:
        """See `Carrier`."""
        picture = self.runner.picture(frame, clock)
        with clock("network"):
            logits = self._network.logit_maps(picture)
            seen = self.runner.kept(logits, frame.size_hw)
        with clock("warp"), torch.inference_mode():
            return Seen(seen, logits.float().softmax(1))

    def carry(self, passengers: Sequence[Passenger[Tensor]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""
        with clock("warp"):
            return [
                Carried(self.runner.kept(self._moved(one), one.frame.size_hw), one.motion.unreferenced, True)
                for one in passengers
            ]

    def carry_mixed(
        self, passenger: Passenger[Tensor], back: MotionField, payload: Tensor, part: NDArray[np.float32]
    ) -> Scores:
        """See `MixesTwo`."""
        device = self.runner.device
        with torch.inference_mode():
            other = SentMotion.of(back, self.runner.stride, device, mix_lost=False).moved(payload)
            mixed = torch.lerp(self._moved(passenger), other, sent(part[None, None], device))
            return self.runner.kept(mixed, passenger.frame.size_hw)


class DeviceFeatures(_DeviceMaps):
    """`Features` on a device: the payload is (1, channels, h, w)."""

    def see(self, frame: Frame, clock: Clock) -> Seen[Tensor]:
        """See `Carrier`."""
        picture = self.runner.picture(frame, clock)
        with clock("network"):
            features, logits = self._network.feature_and_logit_maps(picture)
            return Seen(self.runner.kept(logits, frame.size_hw), features.float())

    def carry(self, passengers: Sequence[Passenger[Tensor]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""
        with clock("warp"):
            logits = [self.runner.classified(self._moved(one)) for one in passengers]
            return [
                Carried(self.runner.kept(own, one.frame.size_hw), one.motion.unreferenced)
                for one, own in zip(passengers, logits, strict=True)
            ]

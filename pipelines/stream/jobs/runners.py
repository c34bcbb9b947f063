"""`Runners`: networks that are loaded once for several sessions."""

from __future__ import annotations

import threading
from typing import Protocol

from ....segnet import Runtime, load_network
from ...precision import Precision
from ...runner import NetworkRunner
from ..request import InferenceRequest


class Runners:
    """One network for each model, device, runtime and precision that requests name, in any thread.

    The first picture's size decides what "auto" is.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, Runtime, Precision], NetworkRunner] = {}
        self._lock = threading.Lock()

    def of(self, request: InferenceRequest, size_hw: tuple[int, int]) -> NetworkRunner:
        """The runner of a request; raises what `load_network` and `NetworkRunner` raise."""
        key = request.model, request.device, request.runtime, request.precision
        with self._lock:
            if key not in self._made:
                made = NetworkRunner(
                    load_network(request.model),
                    device=request.device,
                    precision=request.precision,
                    size_hw=size_hw,
                    runtime=request.runtime,
                )
                self._made[key] = self._made.setdefault((*key[:2], made.runtime, made.precision), made)
            return self._made[key]


class SharesNetworks(Protocol):
    """Whatever gives sessions their networks."""

    def of(self, request: InferenceRequest, size_hw: tuple[int, int]) -> NetworkRunner:
        """The runner of a request whose pictures are of that size."""

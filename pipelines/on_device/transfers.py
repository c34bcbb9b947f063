"""Copies to and from an accelerator that nobody waits for until their values are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PINNING = frozenset({"cuda"})
"""Kinds of devices that copy from and to pinned memory while the processor goes on."""


def pinned(size: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Pinned memory of the processor, not filled. torch keeps what is let go, and hands it out again when copies from
    or to it are made: a stream of frames has as many buffers as there are copies on the way."""
    return torch.empty(tuple(size), dtype=dtype, pin_memory=True)


def sent(values: NDArray[Any] | Tensor, device: torch.device) -> Tensor:
    """Values of the processor on a device, as they are; to a device that pins (PINNING) nothing waits for the copy.

    `values` may change afterwards, and need not be contiguous.
    """
    source = values if isinstance(values, Tensor) else _tensor_of(values)
    if device.type == "cpu":
        return source
    if device.type not in PINNING:
        return source.to(device)
    return pinned(source.shape, source.dtype).copy_(source).to(device, non_blocking=True)


def sent_together(parts: Sequence[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Bytes of several arrays, one after the other in one copy, (n,) uint8 on a device; see `sent`."""
    size = sum(part.size for part in parts)
    host = pinned((size,), torch.uint8) if device.type in PINNING else torch.empty(size, dtype=torch.uint8)
    flat, end = host.numpy(), 0
    for part in parts:
        begin, end = end, end + part.size
        flat[begin:end].reshape(part.shape)[...] = part
    return host.to(device, non_blocking=device.type in PINNING)


class Download:
    """Values of a device on their way to the processor.

    The copy is in the device's queue, behind what `values` are made by; only `array` waits, for these values and not
    for what was queued later. Devices that do not pin (PINNING) are waited for at once.
    """

    def __init__(self, values: Tensor) -> None:
        device = values.device
        if device.type not in PINNING:
            self._host, self._event = values.cpu(), None
            return
        self._host = pinned(values.shape, values.dtype).copy_(values, non_blocking=True)
        queues = torch.get_device_module(device)
        self._event = queues.Event(blocking=True)  # the waiting thread sleeps
        self._event.record(queues.current_stream(device))

    def array(self) -> NDArray[Any]:
        """The values, once they are there; a copy, so that the pinned memory can serve again."""
        if self._event is not None:
            self._event.synchronize()
        return np.array(self._host.numpy())


def _tensor_of(values: NDArray[Any]) -> Tensor:
    if any(stride < 0 for stride in values.strides):
        values = np.ascontiguousarray(values)
    return torch.from_numpy(values)

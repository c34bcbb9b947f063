"""What numbers a training computes with, and how its maps lie in memory: told, or found by timing real steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .processes import total_over_processes

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
TIMED_STEPS = 2
HOPELESS = 4.0
"""On a CPU a choice whose first step takes so many times the best step so far is given up."""


@dataclass(frozen=True)
class Precision:
    """`name` is "fp32", or "bf16" or "fp16" by autocast; `channels_last` the memory layout of maps and kernels."""

    name: str
    channels_last: bool = True

    def __str__(self) -> str:
        return f"{self.name}, {'channels-last' if self.channels_last else 'NCHW'}"

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context that forward passes run in."""
        if self.name not in TYPES:
            return nullcontext()
        return torch.autocast(device.type, TYPES[self.name])

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Scales the loss of fp16, whose small gradients would vanish; does nothing for the others."""
        return torch.amp.GradScaler(device.type, enabled=self.name == "fp16")

    def lay_out(self, module: nn.Module) -> None:
        """Bring a module's kernels, and their gradients' places, into this layout; their values stay."""
        form = torch.channels_last if self.channels_last else torch.contiguous_format
        for parameter in module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=form)

    def inputs(self, maps: Tensor) -> Tensor:
        """A network's input (N, 3, H, W), which `normalise` leaves channels-last, in this layout."""
        return maps if self.channels_last else maps.contiguous()


CHOICES = tuple(Precision(name, channels_last) for name in ("fp32", "bf16") for channels_last in (False, True))
"""What "auto" chooses from."""


def fastest_precision(step: Callable[[Precision], None], device: torch.device) -> tuple[Precision, dict[str, float]]:
    """The choice with which `step`, a forward and a backward pass, is fastest on `device`; seconds of each by its name.

    Which one it is depends on network and hardware alike: bf16 with channels-last is the fastest for ResNets on a CPU
    with AVX-512 and bf16 instructions, and the slowest for depthwise convolutions there.
    """
    seconds: dict[Precision, float] = {}
    for choice in CHOICES:
        seconds[choice] = timed(step, choice, device)  # the first step also prepares kernels
        others = [value for other, value in seconds.items() if other != choice]
        if not others or device.type != "cpu" or seconds[choice] < HOPELESS * min(others):
            seconds[choice] = min(timed(step, choice, device) for _ in range(TIMED_STEPS))
    best = min(seconds, key=lambda choice: seconds[choice])
    return best, {str(choice): round(value, 4) for choice, value in seconds.items()}


def timed(step: Callable[[Precision], None], choice: Precision, device: torch.device) -> float:
    """Seconds that one step takes, in all processes together, so that they choose alike."""
    started = time.perf_counter()
    step(choice)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return float(total_over_processes(torch.tensor(time.perf_counter() - started, device=device)))

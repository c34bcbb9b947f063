"""Devices: finding them, their half precision, and timing what runs on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch

from .errors import StreamUsageError

K = TypeVar("K")
_MOST_PIXELS_ON_CPU = 128 * 1024
_ROUNDS = 3
_NOT_COMPUTED = frozenset({"meta", "mkldnn", "opengl", "opencl", "ideep", "fpga", "lazy", "vulkan", "ve"})
"""Names that torch knows, on which it computes no network."""


def find_device(name: str) -> torch.device:
    """'auto', 'cpu', or the name of an accelerator that torch drives ('cuda', 'cuda:N', 'mps', 'xpu', ...) as a device
    that is there; StreamUsageError otherwise. 'auto' is CUDA where there is one, else the CPU: the others are not tried
    in our tests, so they are taken by name only."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    there = _accelerators()
    if device is None or device.type in _NOT_COMPUTED:
        raise StreamUsageError(f"--device {name}: unknown; take {_listed(there)}")
    if device.type != "cpu" and (device.index or 0) >= there.get(device.type, 0):
        count, kind = there.get(device.type) or "no", device.type.upper()
        raise StreamUsageError(f"--device {name}: this machine has {count} {kind} devices; take {_listed(there)}")
    return device


def _accelerators() -> dict[str, int]:
    """How many devices of each kind but the CPU torch can use here."""
    found = {"cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0}
    if torch.backends.mps.is_available():
        found["mps"] = 1
    current = torch.accelerator.current_accelerator(check_available=True)
    if current is not None:
        found.setdefault(current.type, torch.accelerator.device_count())
    return {kind: count for kind, count in found.items() if count}


def _listed(there: dict[str, int]) -> str:
    """What can be given: "auto or cpu", "auto, cpu, cuda or cuda:N"."""
    names = ["auto", "cpu"]
    for kind, count in there.items():
        names += [kind, f"{kind}:N"] if count > 1 else [kind]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def half_of(device: torch.device) -> Literal["bf16", "fp16"]:
    """The half precision that a device computes in: bf16, but fp16 on a GPU that has no bf16 of its own, and on MPS."""
    if device.type != "cuda":
        return "fp16" if device.type == "mps" else "bf16"
    with torch.cuda.device(device):  # torch asks the current device
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def probe_size(device: torch.device, size_hw: tuple[int, int]) -> tuple[int, int]:
    """The size of picture to time a network on that is to run at `size_hw`: that size, reduced to 128 Ki pixels on a
    CPU, where the time of a pixel hardly depends on it."""
    height, width = size_hw
    scale = 1.0 if device.type != "cpu" else min(1.0, (_MOST_PIXELS_ON_CPU / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def seconds_of(device: torch.device, calls: Mapping[K, Callable[[], object]]) -> dict[K, float]:
    """The shortest of a few runs of each call, taken in turns after one that warms up.

    On a CPU, one thread runs and its own time is counted, so that other programs' load does not decide.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    best = dict.fromkeys(calls, float("inf"))
    with _single_thread():
        for attempt in range(_ROUNDS):
            for name, call in calls.items():
                synchronise(device)
                begin = clock()
                call()
                synchronise(device)
                if attempt:
                    best[name] = min(best[name], clock() - begin)
    return best


def synchronise(device: torch.device) -> None:
    """Wait for what a device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type != "cpu":
        wait = getattr(getattr(torch, device.type, None), "synchronize", None)
        if wait is not None:
            wait()


@contextmanager
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""`benchmark-attention`: what CReFF's local attention costs on this machine, beside its plain definition."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from ...errors import InputError
from ...segnet import local_attention, local_attention_by_definition
from ..provenance import hardware
from .printing import report


def measure_attention(
    shape: tuple[int, int, int], values: int | None, window: int, repeat: int, definition: bool, device: str
) -> None:
    """Measure and print; the arguments are those of `benchmark-attention`."""
    if window % 2 == 0:
        raise InputError(f"--window {window} must be odd, as in 7")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: this machine has none; take cpu")
    torch.manual_seed(0)
    channels, height, width = shape
    query, key, value = (
        (torch.randn(1, count, height, width) / channels**0.25).to(device).contiguous(memory_format=torch.channels_last)
        for count in (channels, channels, values or channels)
    )
    forms = {"tiled": local_attention} | ({"definition": local_attention_by_definition} if definition else {})
    results = {}
    with torch.inference_mode():
        for name, attend in forms.items():
            results[name] = timed(lambda attend=attend: attend(query, key, value, window), repeat)  # type: ignore[misc]
        if definition:
            difference = local_attention(query, key, value, window) - forms["definition"](query, key, value, window)
            results["tiled"]["largest_difference"] = float(difference.abs().max())
    report(shape=shape, values=values or channels, window=window, rounds=repeat, device=hardware(), **results)


def timed(call: Callable[[], Tensor], repeat: int) -> dict[str, float]:
    """Medians of wall-clock and processor seconds."""
    wall, processor = [], []
    for _ in range(repeat + 1):
        begin, begin_processor = time.perf_counter(), time.process_time()
        if call().is_cuda:
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begin_processor)
    return {"seconds": median(wall[1:]), "processor_seconds": median(processor[1:])}

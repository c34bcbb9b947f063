"""`benchmark-attention`: what CReFF's local attention costs on this machine, beside its plain definition."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import click
import torch
from torch import Tensor

from ...segnet import local_attention, local_attention_by_definition
from ..console import InputError, hardware
from .printing import report


class MapShape(click.ParamType[tuple[int, int, int]]):
    """CxHxW, as in 64x720x960."""

    name = "CxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        """Text to (channels, height, width)."""
        if isinstance(value, tuple):
            return value
        try:
            channels, height, width = (int(part) for part in str(value).split("x"))
            if min(channels, height, width) < 1:
                raise ValueError(value)
            return channels, height, width
        except ValueError:
            self.fail(f"'{value}' is not CxHxW, as in 64x720x960", param, ctx)


@click.command()
@click.option("--shape", type=MapShape(), default="64x720x960", show_default=True, help="Of query and key.")
@click.option("--values", type=click.IntRange(1), help="Channels of the value. [default: those of the key]")
@click.option("--window", type=click.IntRange(1), default=7, show_default=True)
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Rounds.")
@click.option("--definition", is_flag=True, help="Also time the definition, which takes window^2 times the memory.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def main(
    shape: tuple[int, int, int], values: int | None, window: int, repeat: int, definition: bool, device: str
) -> None:
    """Time local attention on maps of random numbers, float32, channels-last, forward only.

    Medians over rounds, after one that warms up; on the CPU also of processor time, which other programs' load disturbs
    less. Results go to standard output as JSON.
    """
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


if __name__ == "__main__":
    main()

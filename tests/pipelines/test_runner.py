"""Devices, precisions and what belongs to a runner's network."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from gopseg.pipelines import NetworkRunner
from gopseg.pipelines.devices import half_of, probe_size, seconds_of
from gopseg.pipelines.runner import Companion
from gopseg.segnet import SwiftNet

CPU = torch.device("cpu")


def test_half_precision_is_asked_of_the_device_that_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch asks the current device. Here the second GPU knows bf16, and the current one does not."""
    current = [0]

    @contextmanager
    def device(chosen: torch.device) -> Any:
        before, current[0] = current[0], chosen.index
        yield
        current[0] = before

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: current[0] == 1)
    assert half_of(torch.device("cuda:1")) == "bf16"
    assert half_of(torch.device("cuda:0")) == "fp16"
    assert half_of(CPU) == "bf16"


class Watched(SwiftNet):
    """Notes the size of what it sees, and the type of its first weights."""

    def __init__(self) -> None:
        super().__init__(3)
        self.notes: list[tuple[tuple[int, ...], torch.dtype]] = []

    def features(self, images: torch.Tensor) -> torch.Tensor:
        first = next(part for part in self.modules() if isinstance(part, nn.Conv2d))
        self.notes.append((tuple(images.shape[-2:]), first.weight.dtype))
        return super().features(images)

    def __deepcopy__(self, memo: Any) -> Watched:
        made = Watched()
        made.load_state_dict(self.state_dict())
        made.notes = self.notes
        return made.eval()


def test_precisions_are_compared_as_they_will_run(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Watched()
    monkeypatch.setattr(
        "gopseg.pipelines.runner.seconds_of",
        lambda device, calls: {k: call() for k, call in calls.items()} and {"fp32": 2.0, "bf16": 1.0},
    )
    runner = NetworkRunner(network, device="cpu", size_hw=(64, 96))
    assert network.notes == [((64, 96), torch.float32), ((64, 96), torch.bfloat16)]
    assert runner.precision == "bf16"


def test_the_picture_to_time_is_the_streams_but_small_on_a_cpu() -> None:
    assert probe_size(CPU, (240, 320)) == (240, 320)
    height, width = probe_size(CPU, (2160, 3840))
    assert height * width <= 1.01 * 128 * 1024
    assert width / height == pytest.approx(16 / 9, abs=0.01)
    assert probe_size(torch.device("cuda"), (2160, 3840)) == (2160, 3840)


def test_calls_are_timed_in_turns_after_one_that_warms_up() -> None:
    order: list[str] = []
    found = seconds_of(CPU, {"one": lambda: order.append("one"), "other": lambda: order.append("other")})
    assert order == ["one", "other"] * 3
    assert all(0 <= value < 1 for value in found.values())


@dataclass(frozen=True)
class Counted(Companion[list[int]]):
    number: int

    def make(self, runner: NetworkRunner) -> list[int]:
        return [self.number]


def test_what_belongs_to_a_network_is_made_once(runner: NetworkRunner) -> None:
    first = runner.companion(Counted(3))
    assert runner.companion(Counted(3)) is first == [3]
    assert runner.companion(Counted(4)) == [4]
    runner.adopt(Counted(5), [6])
    assert runner.companion(Counted(5)) == [6]


def test_out_of_memory_is_said_in_a_line(stream: Any, square_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: NetworkRunner, image: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB. GPU 0 has a total of 8 GiB")

    monkeypatch.setattr(NetworkRunner, "logits", full)
    result = stream(square_clip, "--mode", "frame")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "out of memory (CUDA out of memory); take a smaller model" in result.stderr

"""`find_device`: what torch offers here, and a clear word for what it does not."""

from __future__ import annotations

import pytest
import torch

from gopseg.pipelines import StreamUsageError
from gopseg.pipelines.devices import find_device, half_of


def offer(monkeypatch: pytest.MonkeyPatch, kind: str | None, count: int = 1) -> None:
    """Lets torch offer `count` accelerators of one kind."""
    current = None if kind is None else torch.device(kind)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count if kind == "cuda" else 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: current)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


@pytest.mark.parametrize(("kind", "count", "name"), [("mps", 1, "mps"), ("xpu", 2, "xpu:1"), ("cuda", 2, "cuda:1")])
def test_accelerators_that_are_there(monkeypatch: pytest.MonkeyPatch, kind: str, count: int, name: str) -> None:
    offer(monkeypatch, kind, count)
    assert find_device(name) == torch.device(name)
    assert find_device("auto").type == ("cuda" if kind == "cuda" else "cpu")


@pytest.mark.parametrize(
    ("kind", "count", "name", "message"),
    [
        (None, 0, "mps", "--device mps: this machine has no MPS devices; take auto or cpu"),
        (None, 0, "cuda", "--device cuda: this machine has no CUDA devices; take auto or cpu"),
        ("xpu", 2, "xpu:2", "--device xpu:2: this machine has 2 XPU devices; take auto, cpu, xpu or xpu:N"),
        ("cuda", 1, "mps", "--device mps: this machine has no MPS devices; take auto, cpu or cuda"),
        ("mps", 1, "tpu", "--device tpu: unknown; take auto, cpu or mps"),
        (None, 0, "meta", "--device meta: unknown; take auto or cpu"),
    ],
)
def test_what_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, kind: str | None, count: int, name: str, message: str
) -> None:
    offer(monkeypatch, kind, count)
    with pytest.raises(StreamUsageError) as caught:
        find_device(name)
    assert str(caught.value) == message


def test_half_precision_of_other_accelerators() -> None:
    assert [half_of(torch.device(name)) for name in ("cpu", "xpu", "mps")] == ["bf16", "bf16", "fp16"]

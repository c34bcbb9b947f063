"""Fingerprints: networks filled, inputs drawn and outputs compared by the rules in fingerprints/*.json."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
UNTOUCHED = ("num_batches_tracked", "img_mean", "img_std", "filter_copy_s")
FINGERPRINTS = Path(__file__).parent / "fingerprints"
CHECKPOINTS = Path(__file__).resolve().parents[3] / "shared" / "checkpoints"


@pytest.fixture(scope="session")
def fill() -> Callable[..., nn.Module]:
    """Fill a network's state by its keys, in place, and put it into eval mode."""

    def filled(network: Network, salt: int = 0) -> Network:
        for key, tensor in network.state_dict().items():
            if key.endswith(UNTOUCHED):
                continue
            u = np.random.RandomState((zlib.crc32(key.encode()) + salt) & 0x7FFFFFFF).uniform(-1, 1, tensor.numel())
            u = u.reshape(tuple(tensor.shape))
            if tensor.ndim >= 2:
                u = u * np.sqrt(6 / np.prod(tensor.shape[1:]))
            elif key.endswith("running_var"):
                u = 1 + 0.2 * u
            elif key.endswith("running_mean"):
                u = 0.05 * u
            elif key.endswith("bias"):
                u = 0.1 * u
            else:
                u = 1 + 0.1 * u
            tensor.copy_(torch.from_numpy(u))
        return network.eval()

    return filled


@pytest.fixture(scope="session")
def draw() -> Callable[..., Tensor]:
    """`draw(seed, shape)`: uniform numbers in [-1, 1), float32."""

    def drawn(seed: int, shape: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.random.RandomState(seed).uniform(-1, 1, tuple(shape))).float()

    return drawn


@pytest.fixture(scope="session")
def matches() -> Callable[..., None]:
    """`matches(tensor, shape, "mean std min max first... | last...", rtol)`: compare with a printed fingerprint."""

    def compare(tensor: Tensor, shape: Sequence[int], numbers: str, rtol: float = 1e-4) -> None:
        assert tuple(tensor.shape) == tuple(shape)
        values = tensor.double().flatten()
        first, _, last = numbers.partition("|")
        expected = [float(n) for n in first.split()]
        found = [values.mean(), values.std(), values.min(), values.max(), *values[: len(expected) - 4]]
        expected += [float(n) for n in last.split()]
        found += [*values[len(values) - len(last.split()) :]]
        scale = float(values.std())
        np.testing.assert_allclose(np.array([float(f) for f in found]), expected, rtol=rtol, atol=rtol * scale)

    return compare


class Fingerprints:
    """The measured numbers of one file, whose `source` says where they are from."""

    def __init__(self, name: str) -> None:
        self.content: dict[str, Any] = json.loads((FINGERPRINTS / f"{name}.json").read_text())

    def __call__(self, tensor: Tensor, *path: str) -> None:
        """Compare with the row at `path` in the file's tensors."""
        row = self.content["tensors"]
        for key in path:
            row = row[key]
        assert list(tensor.shape) == row["shape"]
        values = tensor.double().flatten()
        expected = [row["mean"], row["std"], row["min"], row["max"], *row["first"], *row["last"]]
        found = [values.mean(), values.std(), values.min(), values.max(), *values[:3], *values[-3:]]
        tolerance = max(1e-4 * row["std"], 10 * row["noise"])
        np.testing.assert_allclose(
            [float(v) for v in found], expected, rtol=5e-6, atol=tolerance, err_msg=" ".join(path)
        )

    @staticmethod
    def keys(name: str) -> list[tuple[str, list[int]]]:
        """Names and shapes of a published state dict, in its order."""
        return [(key, shape) for key, shape in json.loads((FINGERPRINTS / "keys" / f"{name}.json").read_text())]


@pytest.fixture(scope="session")
def fingerprints() -> type[Fingerprints]:
    return Fingerprints


@pytest.fixture(scope="session")
def swnet_seq_file() -> Path:
    """SwNet-seq's published propagation checkpoint; skips where it is absent."""
    file = CHECKPOINTS / "swnet-seq-cityscapes-propagation.pth.tar"
    if not file.is_file():
        pytest.skip(f"{file} is absent: the published weights are not part of the repository")
    return file

"""Converted networks on disk, in the user's cache folder, so that one is converted once on a machine."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ...errors import GopsegError
from ...files import discard, whole_file

G = TypeVar("G")
WORTH_SECONDS = 1.0
"""What is converted faster is not kept."""
MOST_KEPT = 24
_PACKAGES = ("torch", "transformers", "openvino", "onnx", "onnxscript")


def kept(
    key: str, name: str, convert: Callable[[], G], write: Callable[[G, Path], None], read: Callable[[Path], G]
) -> G:
    """What `convert` makes, or what it made of the same `key` before, read from a file of that `name`.

    A disk that cannot be read or written costs the time of converting, nothing else.
    """
    folder = cache_folder() / key
    file = folder / name
    if file.is_file():
        with suppress(GopsegError, OSError):
            graph = read(file)
            os.utime(folder)
            return graph
    begin = time.process_time()
    graph = convert()
    if time.process_time() - begin > WORTH_SECONDS:
        with suppress(GopsegError, OSError, RuntimeError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(folder) as part:
                part.mkdir()
                write(graph, part / name)
            _forget_old(folder.parent)
    return graph


def cache_folder() -> Path:
    """Where this system keeps what can be made again: ~/.cache/gopseg/runtime on Linux (XDG_CACHE_HOME)."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "gopseg" / "runtime"


def fingerprint(network: nn.Module, settings: Mapping[str, object]) -> str:
    """The SHA-256 of all that a converted network follows from: its layers, numbers and weights, `settings`, our code,
    and the packages that convert it."""
    digest = hashlib.sha256(repr((network, sorted(settings.items()), _versions(), _code())).encode())
    for module in network.modules():
        plain = {name: value for name, value in vars(module).items() if isinstance(value, int | float | str | tuple)}
        digest.update(repr(sorted(plain.items())).encode())
    tensors: Mapping[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@cache
def _code() -> str:
    """A hash of the code of segnet, on which graphs depend."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for file in sorted(root.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _forget_old(folder: Path) -> None:
    there = sorted((each for each in folder.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime)
    for each in there[:-MOST_KEPT]:
        discard(each)

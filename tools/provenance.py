"""What cards and reports say of how a result came about: the machine, and the hashes of what was read."""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..segnet import SegmentationNetwork


def hardware() -> str:
    """The device that computes here, in words."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if "model name" in line
    ]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def command_line(script: str) -> str:
    """This process's command under its script's name, as in "train-segnet", also where `gopseg train` was called."""
    arguments = sys.argv[1:]
    if arguments[:1] == [script.partition("-")[0]]:
        arguments = arguments[1:]
    return shlex.join([script, *arguments])


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def weights_sha256(network: SegmentationNetwork) -> str:
    """The SHA-256 of a network's weight file; of its parameters in the order of their names, where it has no one file.

    Models of transformers have folders, or names on a hub. It is the same on every runtime.
    """
    import torch

    from ..segnet import torch_network_of

    if network.weights_file is not None and network.weights_file.is_file():
        return sha256(network.weights_file.read_bytes())
    digest = hashlib.sha256()
    for name, value in sorted(torch_network_of(network).state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

"""What a report says of the models that it compares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from ...pipelines import NetworkRunner
from ...pipelines import branch_files as files_of_mode
from ...segnet import SegmentationNetwork
from ..provenance import sha256
from .variants import Variant


def backbone_name(model: str, network: SegmentationNetwork) -> str:
    """The architecture that a weight file names, or what `hf:NAME_OR_FOLDER` ends in."""
    file = network.weights_file
    if file is None or not file.is_file():
        return model.removeprefix("hf:").rstrip("/").rpartition("/")[2]
    with safe_open(file, "np") as opened:
        return str((opened.metadata() or {}).get("architecture", "network"))


def branch_files(variants: Iterable[Variant], runners: Mapping[str, NetworkRunner]) -> list[Path]:
    """The files of the branches (LR, AR, propagation heads) that belong to the variants' models and are used.

    `runners` are those of the models, by name; a network that came from no file has none.
    """
    weights = {model: runner.network.weights_file for model, runner in runners.items()}
    files = [
        file
        for variant in variants
        if (beside := weights[variant.model]) is not None
        for file in files_of_mode(variant.declaration, variant.declaration.parse(variant.options), beside)
    ]
    return list(dict.fromkeys(files))


def weights_sha256(network: SegmentationNetwork) -> str:
    """The SHA-256 of a network's weight file; of its parameters in the order of their names, where it has no one file.

    Models of transformers have folders, or names on a hub.
    """
    if network.weights_file is not None and network.weights_file.is_file():
        return sha256(network.weights_file.read_bytes())
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

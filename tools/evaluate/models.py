"""What a report says of the models that it compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import safe_open

from ...pipelines import NetworkRunner
from ...pipelines import branch_files as files_of_mode
from ...segnet import SegmentationNetwork, is_exported
from .variants import Variant


def backbone_name(model: str, network: SegmentationNetwork) -> str:
    """The architecture that a weight file names, or what `hf:NAME_OR_FOLDER` ends in."""
    file = network.weights_file
    if file is not None and is_exported(file):
        return network.architecture or "network"
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

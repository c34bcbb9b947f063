"""Published checkpoints to weights of ours, with their cards."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..data import dataset_names, dataset_type
from ..segnet import (
    DETECTED,
    AlteringResolution,
    FeatureFusion,
    LowResolution,
    ModelError,
    SegmentationNetwork,
    import_clip_network,
    import_network,
    import_propagation,
    parameter_count,
    read_checkpoint,
    read_propagation_checkpoint,
    save_branch,
    save_model,
    save_propagation,
)
from .import_segnet import PROPAGATION
from .provenance import command_line, sha256

CLASS_NAMES = {len(kind.classes): kind.classes for kind in map(dataset_type, dataset_names())}
"""The names of a published network's classes, which its checkpoint lacks, by their number."""


def convert(
    file: Path, arch: str, output: Path, branch: str, lr_scale: float | None, compat: bool, precision: str
) -> dict[str, Any]:
    """Write the weights; returns their card."""
    half = precision == "fp16"
    output.parent.mkdir(parents=True, exist_ok=True)
    if arch in PROPAGATION:
        card = convert_propagation(file, arch, output, half)
    else:
        card = convert_network(file, arch, output, branch, lr_scale, compat, half)
    return card | {
        "source": {"file": file.name, "sha256": sha256(file.read_bytes())},
        "command": command_line("import-segnet"),
        "versions": {"gopseg": __version__, "torch": torch.__version__},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def convert_propagation(file: Path, arch: str, output: Path, half: bool) -> dict[str, Any]:
    """Write a propagation head with its flow network; returns what the card says of them."""
    model = import_propagation(read_propagation_checkpoint(file), PROPAGATION[arch], CLASS_NAMES)
    save_propagation(model, output, half=half)
    return {
        "architecture": arch,
        "kind": "propagation",
        "classes": list(model.settings.classes),
        "flow": model.settings.flow,
        "parameters": parameter_count(model),
    }


def convert_network(
    file: Path, arch: str, output: Path, branch: str, lr_scale: float | None, compat: bool, half: bool
) -> dict[str, Any]:
    """Write a network or a branch; returns what the card says of it."""
    network: SegmentationNetwork
    if arch.startswith(DETECTED):
        network, creff = import_clip_network(read_checkpoint(file), arch), None
    else:
        network, creff = import_network(read_checkpoint(file), arch)
    network.classes = CLASS_NAMES.get(len(network.classes), network.classes)
    if branch == "auto":
        branch = "hr" if creff is None or scale_in_name(file) == 1 else "ar"
    if branch == "ar" and creff is None:
        raise ModelError("it has no CReFF (fuse_attention.*) and cannot be an AR branch; take --branch hr or lr")
    card: dict[str, Any] = {"architecture": arch, "kind": branch, "classes": list(network.classes)}
    if branch == "hr":
        save_model(network, output, arch, half=half)
        card["parameters"] = parameter_count(network)
    else:
        scale = lr_scale or scale_in_name(file) or 0.5
        if scale == 1:
            raise ModelError("its name says full resolution; an LR or AR branch needs --lr-scale, as in 0.5")
        low = LowResolution(network, scale, compat=compat)
        made: LowResolution | AlteringResolution = low
        if branch == "ar" and creff is not None:
            fusion = FeatureFusion(network.feature_channels, compat=compat)
            fusion.creff.load_state_dict(creff.state_dict())
            made = AlteringResolution(low, fusion, compat=compat)
        save_branch(made, output, arch, "creff" if branch == "ar" else "", half=half)
        card |= {"parameters": parameter_count(made), "lr_scale": scale, "compat": compat}
    return card


def scale_in_name(file: Path) -> float | None:
    """The LR scale in a name as AR-Seg's trainer gives it, `PSPNet_resnet18_<scale>_<epoch>_.pth`; None elsewhere."""
    fields = file.stem.split("_")
    try:
        scale = float(fields[2]) if len(fields) >= 4 else 0.0
    except ValueError:
        return None
    return scale if 0 < scale <= 1 else None

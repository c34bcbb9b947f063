"""LR and AR branches on disk, and their names beside the weights of the HR network they belong to."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..architectures import build_network
from ..errors import ModelError
from ..network import SegmentationNetwork
from ..shipped import find_weights
from ..weight_files import fill, known_architecture, load_tensors, save_tensors
from .altering import AlteringResolution, Fusion
from .fusions import EvidenceFusion, FeatureFusion, WarpOnly
from .low_resolution import LowResolution

FUSIONS = ("evidence", "evidence-light", "creff", "warp")


def build_fusion(name: str, network: SegmentationNetwork, *, compat: bool = False) -> Fusion:
    """A fusion with fresh weights: "evidence" or "evidence-light" (ours), "creff" (AR-Seg's; `compat`: in its published
    geometry) or "warp" (no attention)."""
    if name in ("evidence", "evidence-light"):
        return EvidenceFusion(network.feature_channels, len(network.classes), light=name == "evidence-light")
    if name == "creff":
        return FeatureFusion(network.feature_channels, compat=compat)
    if name == "warp":
        return WarpOnly()
    raise ModelError(f"unknown fusion '{name}'; there are: {', '.join(FUSIONS)}")


def branch_file(weights: Path, kind: str, scale: float | None = None) -> Path:
    """Where what belongs to HR weights lies beside them: `NAME-ar0.5.safetensors` for the branches "lr" and "ar" of a
    scale, `NAME-guided.safetensors` for the propagation head "guided"."""
    suffix = "" if scale is None else f"{scale:g}"
    return weights.with_name(f"{weights.stem}-{kind}{suffix}.safetensors")


def save_branch(
    branch: LowResolution | AlteringResolution,
    file: Path,
    architecture: str = "",
    fusion: str = "",
    *,
    half: bool = True,
) -> None:
    """Write an LR branch, or an AR branch with its `fusion`, as safetensors; `architecture` as of `save_model`."""
    low = branch if isinstance(branch, LowResolution) else branch.low
    metadata = {
        "kind": "lr" if low is branch else "ar",
        "architecture": known_architecture(low, architecture, file),
        "classes": json.dumps(low.classes),
        "scale": f"{low.scale:g}",
        "fusion": fusion,
        "compat": json.dumps(branch.compat),
    }
    save_tensors(branch.state_dict(), file, metadata, half=half)


def load_lr(name_or_file: str | Path, device: str | torch.device = "cpu") -> LowResolution:
    """A trained LR branch (also that of an AR file) in eval mode, float32, channels-last; ModelError if it is none."""
    branch = _load(name_or_file)
    low = branch if isinstance(branch, LowResolution) else branch.low
    return low.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_ar(name_or_file: str | Path, device: str | torch.device = "cpu") -> AlteringResolution:
    """A trained AR branch in eval mode, float32, channels-last; ModelError if it is none."""
    branch = _load(name_or_file)
    if isinstance(branch, LowResolution):
        raise ModelError(f"'{name_or_file}' is an LR branch without fusion; give AR weights (train-segnet ar)")
    return branch.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _load(name_or_file: str | Path) -> LowResolution | AlteringResolution:
    path = find_weights(name_or_file)
    tensors, metadata = load_tensors(path)
    if metadata.get("kind") not in ("lr", "ar"):
        raise ModelError(f"'{path}' is no LR or AR branch; make one with train-segnet lr or ar")
    network = build_network(metadata["architecture"], json.loads(metadata["classes"]))
    compat = json.loads(metadata["compat"])
    low = LowResolution(network, float(metadata["scale"]), compat=compat)
    low.weights_file = network.weights_file = path
    branch: LowResolution | AlteringResolution = low
    if metadata["kind"] == "ar":
        fusion = build_fusion(metadata["fusion"], network, compat=compat)
        branch = AlteringResolution(low, fusion, compat=compat)
    fill(branch, tensors, path, metadata["architecture"])
    return branch

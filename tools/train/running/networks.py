"""The networks that a training starts from or imitates, for the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import InputError
from ....segnet import SegmentationNetwork, SwiftNetLite, build_network
from ...provenance import sha256
from .initialisation import initialise


def weights_of(network: SegmentationNetwork, given: str) -> dict[str, Any]:
    """A network as a card has it: the file and its SHA-256, or only how it was `given` where it is no single file."""
    file = network.weights_file
    if file is None or not file.is_file():
        return {"name": given}
    return {"file": file.name, "sha256": sha256(file.read_bytes())}


def architecture_of(network: SegmentationNetwork, given: str) -> str:
    """What a branch of a network is saved with; InputError where gopseg could not build it again."""
    if not network.architecture:
        raise InputError(
            f"'{given}' is none of gopseg's architectures, so that a branch of it could not be loaded again; "
            "give weights that train-segnet hr made, or a head of it (train-segnet propagation)"
        )
    return network.architecture


def branch_network(arch: str, teacher: SegmentationNetwork, given: str) -> SegmentationNetwork:
    """A network of `arch` for an LR branch of `teacher`, with what fits of its weights: classifier, and
    encoder and decoder where they are alike, or the decoder's nearest light one.

    InputError where its features are not of the same kind.
    """
    network = build_network(arch, teacher.classes)
    if network.feature_channels != teacher.feature_channels or network.feature_stride != teacher.feature_stride:
        raise InputError(
            f"--arch {arch} has {network.feature_channels} feature channels at stride {network.feature_stride}, "
            f"'{given}' {teacher.feature_channels} at {teacher.feature_stride}; a branch shares the classifier"
        )
    initialise(network, given)
    if isinstance(network, SwiftNetLite) and isinstance(teacher, SwiftNetLite):
        network.imitate_decoder(teacher)
    return network


def seen_folder(cache: Path, network: SegmentationNetwork, given: str) -> Path:
    """The folder within `cache` for what this very network saw."""
    facts = weights_of(network, given)
    return cache / str(facts.get("sha256") or sha256(given.encode()))[:12]

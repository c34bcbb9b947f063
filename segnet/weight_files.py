"""Weights on disk: safetensors with the architecture and the class names in their metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..files import whole_file
from .architectures import ARCHITECTURES, build_network
from .errors import ModelError
from .importing import shortened
from .network import SegmentationNetwork
from .shipped import find_weights


def save_model(
    network: SegmentationNetwork,
    file: Path,
    architecture: str = "",
    state: Mapping[str, Tensor] | None = None,
    *,
    half: bool = True,
) -> None:
    """Write weights (`state`, or the network's own) as safetensors with architecture and class names inside.

    `architecture` is by default the one that `build_network` made the network by. ModelError where it is none of
    ours, such as a Hugging Face model's.
    """
    metadata = {"architecture": known_architecture(network, architecture, file), "classes": json.dumps(network.classes)}
    save_tensors(state or network.state_dict(), file, metadata, half=half)


def known_architecture(network: SegmentationNetwork, given: str, file: Path) -> str:
    """`given`, or else what the network was built by; ModelError where `file` could not be loaded again by it."""
    name = given or network.architecture
    if name not in ARCHITECTURES:
        raise ModelError(
            f"'{file}': {type(network).__name__} is none of the architectures that gopseg can load again; "
            "make the network with build_network"
        )
    return name


def load_model(name_or_file: str | Path) -> SegmentationNetwork:
    """The network of shipped weights or of a file that `save_model` wrote, on the CPU; ModelError if it is neither."""
    path = find_weights(name_or_file)
    tensors, metadata = load_tensors(path)
    if "kind" in metadata:
        raise ModelError(f"'{path}' is an {metadata['kind'].upper()} branch; the model is the HR network it belongs to")
    network = build_network(metadata["architecture"], json.loads(metadata["classes"]))
    fill(network, tensors, path, metadata["architecture"])
    network.weights_file = path
    return network


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file that gopseg wrote, and its metadata; ModelError where it is none."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"'{path}' is not a readable safetensors file: {error}") from error
    if "architecture" not in metadata or "classes" not in metadata:
        raise ModelError(f"'{path}' names no architecture and classes; it was not written by gopseg")
    return tensors, metadata


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Load all tensors of a module, in its own dtypes; ModelError where those of `path` do not fit `what`."""
    own = module.state_dict()
    misfits = [f"'{key}' is missing" for key in own if key not in tensors]
    misfits += [f"'{key}' is unknown" for key in tensors if key not in own]
    misfits += [
        f"'{key}' is {tuple(tensors[key].shape)}, not {tuple(value.shape)}"
        for key, value in own.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if misfits:
        raise ModelError(f"'{path}' does not fit {what}: {shortened(misfits)}")
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in tensors.items()})


def save_tensors(state: Mapping[str, Tensor], file: Path, metadata: dict[str, str], *, half: bool = True) -> None:
    """Write tensors with metadata; the file appears when it is whole.

    Floating ones are written as fp16, or as they are where not `half`.
    """
    tensors = {
        key: (value.detach().half() if half and value.is_floating_point() else value.detach())
        .cpu()
        .contiguous()
        .clone()
        for key, value in state.items()
    }
    with whole_file(file) as part:
        part.write_bytes(save(tensors, metadata))  # its save_file lets the owner alone read the file

"""Weights on disk: `load_model`, `save_model`, and initialisation from ImageNet weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import ModelError as ModelError
from .network import SegmentationNetwork
from .networks import (
    CAMVID,
    MRCFA,
    SIZES,
    BiSeNet,
    BiSeNetGSVNet,
    ETCPSPNet,
    PSPNet,
    SegFormer,
    SemsegPSPNet,
    SwiftNet,
    SwiftNetLite,
    SwiftNetPyramid,
    without_levels,
)

ARCHITECTURES: dict[str, Callable[[int | Sequence[str]], SegmentationNetwork]] = {
    "swiftnet18": SwiftNet,
    "swiftnet18-pyramid": SwiftNetPyramid,
    **{f"swiftnet-lite{size}": partial(SwiftNetLite, size=size) for size in (0, 1, 2)},
    "gsvnet-bise18": BiSeNetGSVNet,
    "camvid-psp18": PSPNet,
    "cityscapes-psp18": SemsegPSPNet,
    "etc-psp18": ETCPSPNet,
    "camvid-bise18": partial(BiSeNet, normalisation=CAMVID),
    "cityscapes-bise18": BiSeNet,
    **{f"segformer-{size}": partial(SegFormer, size=size) for size in SIZES},
    **{f"mrcfa-{size}": partial(MRCFA, size=size) for size in SIZES},
}
ENCODER_NAMES = (
    ("", ""),
    ("", "backbone."),
    ("", "feats."),
    ("", "cp.resnet."),
    ("", "context_path."),
    ("conv1.", "layer0.0."),
    ("bn1.", "layer0.1."),
)
"""What torchvision's names begin with, and what the same tensors' names begin with in our networks."""


def build_network(architecture: str, classes: int | Sequence[str]) -> SegmentationNetwork:
    """A network with random weights; ModelError if the architecture is unknown."""
    if architecture not in ARCHITECTURES:
        raise ModelError(f"unknown architecture '{architecture}'; there are: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[architecture](classes)


def shipped_models() -> tuple[str, ...]:
    """Names of the weights that come with the package."""
    files = resources.files("gopseg.segnet.weights").iterdir()
    return tuple(sorted(f.name.removesuffix(".safetensors") for f in files if f.name.endswith(".safetensors")))


def find_weights(name_or_file: str | Path) -> Path:
    """The path of a `.safetensors` file or of shipped weights by name; ModelError if there is none."""
    path = Path(name_or_file)
    if path.suffix == ".safetensors":
        if path.is_file():
            return path
        raise ModelError(f"model file '{path}' does not exist")
    if str(name_or_file) in shipped_models():
        return Path(str(resources.files("gopseg.segnet.weights") / f"{name_or_file}.safetensors"))
    raise ModelError(
        f"unknown model '{name_or_file}'; give a .safetensors file or one of: {', '.join(shipped_models()) or '(none)'}"
    )


def load_model(name_or_file: str | Path, device: str | torch.device = "cpu") -> SegmentationNetwork:
    """A trained network in eval mode, float32, channels-last, on `device`.

    `name_or_file` is the name of shipped weights ("swiftnet18-camvid") or a file that `save_model` wrote. Raises
    ModelError where it is neither.
    """
    path = find_weights(name_or_file)
    tensors, metadata = load_tensors(path)
    if "kind" in metadata:
        raise ModelError(f"'{path}' is an {metadata['kind'].upper()} branch; the model is the HR network it belongs to")
    network = build_network(metadata["architecture"], json.loads(metadata["classes"]))
    try:
        network.load_state_dict(restore_dtypes(tensors, network.state_dict()))
    except RuntimeError as error:
        raise ModelError(f"'{path}' does not fit {metadata['architecture']}: {error}") from error
    network.weights_file = path
    return network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


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


def restore_dtypes(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Half-precision tensors cast back to the dtypes of a state dict."""
    return {key: value.to(like[key].dtype) if key in like else value for key, value in tensors.items()}


def save_model(
    network: SegmentationNetwork,
    file: Path,
    architecture: str,
    state: Mapping[str, Tensor] | None = None,
    *,
    half: bool = True,
) -> None:
    """Write weights (`state`, or the network's own) as safetensors with architecture and class names inside."""
    metadata = {"architecture": architecture, "classes": json.dumps(network.classes)}
    save_tensors(state or network.state_dict(), file, metadata, half=half)


def save_tensors(state: Mapping[str, Tensor], file: Path, metadata: dict[str, str], *, half: bool = True) -> None:
    """Write tensors with metadata, beside the file first so that it is never half written.

    Floating ones are written as fp16, or as they are where not `half`.
    """
    tensors = {
        key: (value.detach().half() if half and value.is_floating_point() else value.detach())
        .cpu()
        .contiguous()
        .clone()
        for key, value in state.items()
    }
    part = file.with_name(file.name + ".part")
    save_file(tensors, part, metadata)
    part.replace(file)


def read_card(name_or_file: str | Path) -> dict[str, Any]:
    """The model card beside the weights (data, seed, command, metrics), or an empty dict where there is none."""
    card = find_weights(name_or_file).with_suffix(".json")
    loaded: dict[str, Any] = json.loads(card.read_text()) if card.is_file() else {}
    return loaded


def initialise(network: SegmentationNetwork, file: Path) -> int:
    """Start from other weights: a whole network of ours, or torchvision's ResNet-18 for the encoder.

    `file` is safetensors, or a PyTorch file (read with `weights_only=True`). Keys that fit in name and shape are taken,
    the encoder's by any of ENCODER_NAMES; `fc.*` is left out. Returns how many tensors were taken; ModelError if none.
    """
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    else:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        tensors = tensors.get("state_dict", tensors)
    own = network.state_dict()
    alike: dict[str, list[str]] = {}
    for name in own:
        for known_as in {name, without_levels(name)}:
            alike.setdefault(known_as, []).append(name)
    taken = {}
    for key, value in tensors.items():
        for known_as in (new + key.removeprefix(old) for old, new in ENCODER_NAMES if key.startswith(old)):
            for name in alike.get(known_as, ()):
                if own[name].shape == value.shape:
                    taken[name] = value.to(own[name].dtype)
    if not taken:
        raise ModelError(f"'{file}' holds no tensor that fits {type(network).__name__}")
    network.load_state_dict(taken, strict=False)
    return len(taken)

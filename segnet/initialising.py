"""Initialisation from other weights: of ours, or of an ImageNet classifier."""

from __future__ import annotations

from pathlib import Path

from .errors import ModelError
from .importing import read_checkpoint
from .network import SegmentationNetwork
from .networks import without_levels

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


def initialise(network: SegmentationNetwork, file: Path) -> int:
    """Start from other weights: a whole network of ours, or torchvision's ResNet-18 for the encoder.

    `file` is safetensors, or a PyTorch file (read with `weights_only=True`). Keys that fit in name and shape are taken,
    the encoder's by any of ENCODER_NAMES; `fc.*` is left out. Returns how many tensors were taken; ModelError if none,
    or if the file cannot be read.
    """
    tensors = read_checkpoint(file)
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

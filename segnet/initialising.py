"""Initialisation from other weights: of ours, or of an ImageNet classifier."""

from __future__ import annotations

from pathlib import Path

from .errors import ModelError
from .importing import read_checkpoint
from .loading import load_network
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


def initialise(network: SegmentationNetwork, source: Path | str) -> int:
    """Start from other weights: a whole network of ours, or torchvision's ResNet-18 for the encoder.

    `source` is a safetensors or PyTorch file (no code in it is run), or else what `load_network` takes. Keys that fit
    in name and shape are taken, the encoder's by any of ENCODER_NAMES; `fc.*` is left out. Returns how many tensors
    were taken; ModelError if none, or if there are no such weights.
    """
    file = Path(source)
    tensors = read_checkpoint(file) if file.is_file() else load_network(source).state_dict()
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
        raise ModelError(
            f"'{source}' holds no tensor that fits {type(network).__name__}; "
            "give weights of this architecture, as in a run's best.safetensors, or of its encoder"
        )
    network.load_state_dict(taken, strict=False)
    return len(taken)

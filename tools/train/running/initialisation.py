"""What `--init` names: a file of weights, or ImageNet's for the network's encoder."""

from __future__ import annotations

from pathlib import Path

from ....errors import InputError
from ....segnet import SegmentationNetwork, initialise_from_imagenet
from ....segnet import initialise as initialise_from_file

IMAGENET = "imagenet"


def origin_of(source: str) -> dict[str, str]:
    """What a card says of the weights that a run grew from: `source`, and the licence of ImageNet's."""
    if source != IMAGENET:
        return {"init": source}
    return {"init": source, "licence": "Apache-2.0 (EfficientNet-Lite's ImageNet weights; see NOTICE)"}


def initialise(network: SegmentationNetwork, source: str) -> int:
    """Start from `source`, "imagenet" or a file of weights; how many tensors were taken.

    InputError where the file does not exist; ModelError where the weights do not fit, where their package is not
    installed, or where there are none for the architecture.
    """
    if source == IMAGENET:
        return initialise_from_imagenet(network)
    if not Path(source).is_file():
        raise InputError(f"--init: '{source}' does not exist; give a file of weights, or '{IMAGENET}'")
    return initialise_from_file(network, Path(source))

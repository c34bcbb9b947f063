"""What `--init` names: weights by name or file, or ImageNet's for the network's encoder."""

from __future__ import annotations

from pathlib import Path

from ....errors import InputError
from ....segnet import HF_PREFIX, SegmentationNetwork, initialise_from_imagenet
from ....segnet import initialise as initialise_from_weights

IMAGENET = "imagenet"


def origin_of(*sources: str) -> dict[str, str]:
    """What a card says of the weights that a run grew from: `sources`, and the licence of ImageNet's."""
    init = ", ".join(sources)
    if IMAGENET not in sources:
        return {"init": init}
    return {"init": init, "licence": "Apache-2.0 (EfficientNet-Lite's ImageNet weights; see NOTICE)"}


def initialise(network: SegmentationNetwork, source: str) -> int:
    """Start from `source`, "imagenet" or what segnet's `initialise` takes; how many tensors were taken.

    InputError if there are no such weights; ModelError if they do not fit, if their package is not installed, or if
    there are none for the architecture.
    """
    if source == IMAGENET:
        return initialise_from_imagenet(network)
    if Path(source).suffix and not source.startswith(HF_PREFIX) and not Path(source).is_file():
        raise InputError(f"--init: '{source}' does not exist; give a file or name of weights, or '{IMAGENET}'")
    return initialise_from_weights(network, source)

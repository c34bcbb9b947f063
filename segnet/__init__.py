"""Networks, losses and weights. torch, never codec."""

from .losses import SegmentationLoss, class_weights
from .metrics import ConfusionMatrix
from .model import (
    ARCHITECTURES,
    ModelError,
    build_network,
    find_weights,
    initialise,
    load_model,
    read_card,
    save_model,
    shipped_models,
)
from .network import SegmentationNetwork, parameter_count, resize_logits
from .swiftnet import SwiftNet

__all__ = [
    "ARCHITECTURES",
    "ConfusionMatrix",
    "ModelError",
    "SegmentationLoss",
    "SegmentationNetwork",
    "SwiftNet",
    "build_network",
    "class_weights",
    "find_weights",
    "initialise",
    "load_model",
    "parameter_count",
    "read_card",
    "resize_logits",
    "save_model",
    "shipped_models",
]

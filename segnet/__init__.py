"""Networks, losses and weights. torch, never codec."""

from .altering import AlteringResolution, Fusion, Motion
from .branches import branch_name, build_fusion, load_ar, load_lr, save_branch
from .losses import SegmentationLoss, class_weights
from .low_resolution import LowResolution, to_grid
from .metrics import ConfusionMatrix
from .model import (
    ARCHITECTURES,
    ModelError,
    build_network,
    find_weights,
    initialise,
    load_model,
    load_tensors,
    read_card,
    save_model,
    shipped_models,
)
from .network import SegmentationNetwork, parameter_count, resize_logits
from .swiftnet import SwiftNet

__all__ = [
    "ARCHITECTURES",
    "AlteringResolution",
    "ConfusionMatrix",
    "Fusion",
    "LowResolution",
    "ModelError",
    "Motion",
    "SegmentationLoss",
    "SegmentationNetwork",
    "SwiftNet",
    "branch_name",
    "build_fusion",
    "build_network",
    "class_weights",
    "find_weights",
    "initialise",
    "load_ar",
    "load_lr",
    "load_model",
    "load_tensors",
    "parameter_count",
    "read_card",
    "resize_logits",
    "save_branch",
    "save_model",
    "shipped_models",
    "to_grid",
]

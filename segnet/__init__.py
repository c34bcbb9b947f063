"""Networks, losses and weights. torch, never codec."""

from .adapter import as_segmentation_network
from .altering import AlteringResolution, Fusion, Motion
from .branches import branch_file, build_fusion, load_ar, load_lr, save_branch
from .flow_grid import displacement_on_grid
from .flow_sources import FLOW_SOURCES
from .guided_edges import label_edges
from .hf import load_network
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
from .propagation import PropagationHead, PropagationStep
from .propagation_files import load_propagation, save_propagation
from .propagation_metrics import PeriodScores
from .propagation_model import PropagationModel
from .propagation_settings import PropagationSettings
from .swiftnet import SwiftNet

__all__ = [
    "ARCHITECTURES",
    "FLOW_SOURCES",
    "AlteringResolution",
    "ConfusionMatrix",
    "Fusion",
    "LowResolution",
    "ModelError",
    "Motion",
    "PeriodScores",
    "PropagationHead",
    "PropagationModel",
    "PropagationSettings",
    "PropagationStep",
    "SegmentationLoss",
    "SegmentationNetwork",
    "SwiftNet",
    "as_segmentation_network",
    "branch_file",
    "build_fusion",
    "build_network",
    "class_weights",
    "displacement_on_grid",
    "find_weights",
    "initialise",
    "label_edges",
    "load_ar",
    "load_lr",
    "load_model",
    "load_network",
    "load_propagation",
    "load_tensors",
    "parameter_count",
    "read_card",
    "resize_logits",
    "save_branch",
    "save_model",
    "save_propagation",
    "shipped_models",
    "to_grid",
]

from .errors import StreamError, StreamUsageError
from .labels import upsample_labels
from .motion_pipeline import MotionPipeline
from .network import NetworkRunner
from .per_frame import PerFramePipeline
from .pipeline import Pipeline
from .prediction import Prediction
from .registry import MODES
from .rle import decode_mask, encode_labels, encode_mask
from .warp import warp_map

__all__ = [
    "MODES",
    "MotionPipeline",
    "NetworkRunner",
    "PerFramePipeline",
    "Pipeline",
    "Prediction",
    "StreamError",
    "StreamUsageError",
    "decode_mask",
    "encode_labels",
    "encode_mask",
    "upsample_labels",
    "warp_map",
]

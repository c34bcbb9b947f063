from .chain import MotionChain
from .encoder import EncodeSettings, H264Encoder
from .errors import CodecError, EncodeError, InvalidDataError, MotionUnavailableError, SourceError
from .filling import filled, mix_with_nearest
from .frame import Frame, MotionAbsence, MotionVectors
from .motion import MotionField
from .orientation import Orientation
from .reencode import LIVE_SETTINGS, reencode
from .references import FrameReferences
from .residual import block_energy, compensate, residual_of
from .signals import SignalReader, Signals
from .video import CompressedVideo, open_video

__all__ = [
    "LIVE_SETTINGS",
    "CodecError",
    "CompressedVideo",
    "EncodeError",
    "EncodeSettings",
    "Frame",
    "FrameReferences",
    "H264Encoder",
    "InvalidDataError",
    "MotionAbsence",
    "MotionChain",
    "MotionField",
    "MotionUnavailableError",
    "MotionVectors",
    "Orientation",
    "SignalReader",
    "Signals",
    "SourceError",
    "block_energy",
    "compensate",
    "filled",
    "mix_with_nearest",
    "open_video",
    "reencode",
    "residual_of",
]

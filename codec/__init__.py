from .chain import MotionChain
from .errors import CodecError, EncodeError, InvalidDataError, MotionUnavailableError, SourceError
from .frame import Frame, MotionAbsence, MotionVectors
from .motion import MotionField
from .orientation import Orientation
from .video import CompressedVideo, open_video

__all__ = [
    "CodecError",
    "CompressedVideo",
    "EncodeError",
    "Frame",
    "InvalidDataError",
    "MotionAbsence",
    "MotionChain",
    "MotionField",
    "MotionUnavailableError",
    "MotionVectors",
    "Orientation",
    "SourceError",
    "open_video",
]

"""What "auto" comes to for a source, and what is read of the codec before that is known; nothing heavy."""

from __future__ import annotations

from ...codec import FrameSource
from ..modes import AUTO, MODES, CodecReads, Options
from .request import InferenceRequest

_FRAME = "frame"  # what stands in for "auto" without motion


def codec_reads(request: InferenceRequest) -> CodecReads:
    """What is to be read of the codec."""
    mode = MODES[request.mode]
    return mode.reads(mode.parse(request.options))


def resolve_mode(request: InferenceRequest, source: FrameSource) -> tuple[str, Options]:
    """The mode to run, and its options."""
    mode = request.mode
    if mode == AUTO:
        absence = source.motion_absence
        is_usable = absence is None or absence.is_recoverable or not codec_reads(request).motion
        if not is_usable and request.reencode == "never":
            return _FRAME, MODES[_FRAME].options()
    return mode, MODES[mode].parse(request.options)

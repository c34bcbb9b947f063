"""Inference over streams of frames, and `segment-stream`."""

import lazy_loader

from ..packages import explaining

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = explaining(__getattr__)

"""The H.264 front end: frames with the codec's metadata in, motion fields, H.264 out. Never imports torch."""

import lazy_loader

from ..packages import explaining

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = explaining(__getattr__)

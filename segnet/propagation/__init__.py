"""Heads that carry a keyframe's scores to later frames (SwNet-seq, GSVNet)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

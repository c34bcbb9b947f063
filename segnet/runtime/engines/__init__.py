"""Converted graphs as they run: on OpenVINO, on ONNX Runtime, and what both have in common."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Trained networks on OpenVINO and ONNX Runtime: converted on the way, or exported to files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

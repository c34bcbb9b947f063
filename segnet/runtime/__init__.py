"""Trained networks on OpenVINO and ONNX Runtime: converted on the way, or exported to files."""

import sys

import lazy_loader

# OpenVINO and NNCF would send usage data over the network when they are imported; without this package they do not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

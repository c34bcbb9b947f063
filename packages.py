"""Packages that are missing or cannot be loaded, and what a user can do about it, in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import GopsegError, InputError

_EXTRAS = {
    "accelerate": "train",
    "ffmpeg": "ffmpeg",
    "matplotlib": "report",
    "mvextractor": "mvextractor",
    "nncf": "int8",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "openvino": "openvino",
    "ray": "ray",
    "tensorboard": "train",
    "transformers": "segformer",
}
"""Packages that not everybody needs, and the extra of ours that brings each."""
_REQUIRED = {
    "PIL": "pillow",
    "av": "av",
    "cv2": "opencv-python-headless",
    "lazy_loader": "lazy-loader",
    "numpy": "numpy",
    "safetensors": "safetensors",
    "skimage": "scikit-image",
    "torch": "torch",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
}
"""Packages that gopseg needs, or that one option does (torchvision), and their names for pip."""


class PackageError(InputError, ImportError):
    """A package that is needed is not installed, or cannot be loaded; the message says what to do."""


def known_error(error: BaseException) -> BaseException:
    """The error, or, for an import that fails for a reason that a user can mend, a PackageError that says how."""
    if not isinstance(error, ImportError) or isinstance(error, GopsegError):
        return error
    package = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package in _EXTRAS:
        return PackageError(f"{package} is not installed; install it by pip install 'gopseg[{_EXTRAS[package]}]'")
    if isinstance(error, ModuleNotFoundError) and error.name in _REQUIRED:
        return PackageError(f"{package} is not installed; install it by pip install {_REQUIRED[package]}")
    if "libGL" in str(error) or "libgthread" in str(error):
        reason = " ".join(str(error).split())
        return PackageError(
            f"OpenCV cannot be loaded ({reason}); on a machine without a screen take its build without windows: "
            "pip uninstall opencv-python, then pip install --force-reinstall opencv-python-headless"
        )
    return error


def explaining(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """A module's `__getattr__` whose imports raise PackageError where they fail for a reason that a user can mend."""

    def get(name: str) -> Any:
        try:
            return load(name)
        except ImportError as error:
            known = known_error(error)
            if known is error:
                raise
            raise known from error

    return get

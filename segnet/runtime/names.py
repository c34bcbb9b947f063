"""The runtimes by name, and which of them is taken; nothing heavy is imported for it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Literal

from ..errors import ModelError

Runtime = Literal["auto", "torch", "openvino", "onnx"]
"""`auto` takes OpenVINO on CPUs where it is installed, and torch elsewhere."""

RUNTIMES: tuple[Runtime, ...] = ("auto", "torch", "openvino", "onnx")

PACKAGES: dict[str, tuple[str, ...]] = {"openvino": ("openvino",), "onnx": ("onnx", "onnxscript", "onnxruntime")}
"""What each runtime needs to convert networks and to run them; our extra has the runtime's name."""

VARIABLE = "GOPSEG_RUNTIME"
"""The environment variable that says which runtime is taken where none is named."""


def default_runtime() -> Runtime:
    """That of the environment variable, else "auto"; ModelError where it names none."""
    return runtime_named(os.environ.get(VARIABLE, "auto"), VARIABLE)


def runtime_named(name: str, where: str = "--runtime") -> Runtime:
    """One of RUNTIMES by its name; ModelError, which says where the name was given, for another."""
    for runtime in RUNTIMES:
        if runtime == name:
            return runtime
    raise ModelError(f"{where} '{name}': unknown; take one of {', '.join(RUNTIMES)}")


def require(runtime: str) -> None:
    """ModelError that names our extra where a package is missing that a runtime needs."""
    missing = [package for package in PACKAGES.get(runtime, ()) if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"--runtime {runtime} needs {missing[0]}, which is not installed: pip install 'gopseg[{runtime}]'"
        )


def choose_runtime(name: Runtime, device: str) -> Runtime:
    """The runtime to take on a device ("cpu", "cuda", ...) for what was asked for.

    ModelError where it cannot be: its packages are missing, or the device is no CPU, on which alone the others run.
    """
    if name == "auto":
        return "openvino" if device == "cpu" and find_spec("openvino") is not None else "torch"
    if name != "torch" and device != "cpu":
        raise ModelError(f"--runtime {name} runs on the CPU, not on {device}; give --device cpu or --runtime torch")
    require(name)
    return name

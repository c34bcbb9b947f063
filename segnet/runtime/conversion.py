"""Graphs in a runtime's own format: converted, read from the user's cache folder, or quantised beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .cache import kept

if TYPE_CHECKING:
    import onnx
    import openvino


def openvino_model(
    key: str, precision: str, convert: Callable[[], Any], int8: Callable[[], Path], *, is_network: bool = True
) -> openvino.Model:
    """A graph for OpenVINO: what `convert` makes, kept under `key`, or the file that `int8` names.

    ModelError for a precision that this CPU does not compute, and as of the two.
    """
    import openvino

    from .engines import computes_bf16, read_openvino

    def write(graph: openvino.Model, file: Path) -> None:
        openvino.save_model(graph, file, compress_to_fp16=False)

    def read(file: Path) -> openvino.Model:
        return read_openvino(file, is_network=is_network)

    if precision == "int8":
        return read(int8())
    if precision == "bf16" and not computes_bf16():
        raise ModelError("--precision bf16: this CPU does not compute in bf16; take fp32 or auto")
    return kept(key, "graph.xml", convert, write, read)


def onnx_model(key: str, precision: str, convert: Callable[[], Any], *, is_network: bool = True) -> onnx.ModelProto:
    """The same for ONNX Runtime, in fp32."""
    import onnx

    from .engines import read_onnx

    def read(file: Path) -> onnx.ModelProto:
        return read_onnx(file, is_network=is_network)

    if precision != "fp32":
        raise ModelError(f"--precision {precision}: --runtime onnx computes in fp32; leave it out")
    return kept(key, "graph.onnx", convert, onnx.save, read)

"""`on_runtime`: a network of torch's, converted while the program runs, or its quantised file beside its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ..errors import ModelError
from ..fusion import LowResolution
from ..importing import AdaptedNetwork
from ..network import SegmentationNetwork
from ..networks import MRCFA
from .cache import fingerprint
from .conversion import onnx_model, openvino_model
from .engines import Engine, network_threads
from .exported import NETWORK, ExportCard
from .graphs import convert_checked, network_graph, network_trials
from .names import require
from .network import Interface, RuntimeModule, RuntimeNetwork, adapted_on, placed

_ENGINES: WeakValueDictionary[tuple[str, str, int], Engine] = WeakValueDictionary()


def int8_file(weights: Path) -> Path:
    """Where the quantised graph of weights lies beside them."""
    return weights.with_name(f"{weights.stem}-int8.xml")


def can_convert(network: SegmentationNetwork) -> bool:
    """Whether a network is of the kind that other runtimes compute: one with nothing but features and a classifier."""
    return not isinstance(network, MRCFA)


def automatic_precisions(network: SegmentationNetwork, runtime: str) -> tuple[str, ...]:
    """The precisions that "auto" has to choose from in a runtime: what the CPU computes best, and int8 where a
    quantised graph of these very weights lies beside them."""
    if runtime != "openvino":
        return ("fp32",)
    from .engines import computes_bf16

    plain = "bf16" if computes_bf16() else "fp32"
    return (plain, "int8") if quantised_graph(network) is not None else (plain,)


def on_runtime(network: SegmentationNetwork, runtime: str, precision: str) -> SegmentationNetwork:
    """The network on "openvino" or "onnx"; an LR branch with its network there.

    Engines are shared by all networks of a process that have the same weights. Converting takes some seconds, and is
    done once on a machine (`cache_folder`). ModelError where the network, or the precision ("fp32", "bf16" or "int8"),
    cannot be.
    """
    require(runtime)
    if placed(network) is not None:
        return network
    if isinstance(network, LowResolution):
        network.network = on_runtime(network.network, runtime, precision)
        return network
    if not can_convert(network):
        raise ModelError(
            f"{type(network).__name__} looks at several frames, which --runtime {runtime} cannot; take --runtime torch"
        )
    threads = network_threads()
    key = (fingerprint(network, {"runtime": runtime}), precision, threads)
    engine = _ENGINES.get(key)
    if engine is None:
        engine = _ENGINES[key] = _MAKERS[runtime](network, key[0], precision, threads)
    if isinstance(network, AdaptedNetwork):
        module = RuntimeModule(engine, runtime=runtime, precision=precision, torch_module=network.module)
        return adapted_on(network, module)
    return RuntimeNetwork(
        engine,
        Interface.of(network),
        runtime=runtime,
        precision=precision,
        torch_network=network,
        weights_file=network.weights_file,
    )


def _openvino(network: SegmentationNetwork, key: str, precision: str, threads: int) -> Engine:
    from .engines import OpenVinoEngine

    def int8() -> Path:
        file = quantised_graph(network)
        if file is None:
            raise ModelError(no_int8(network.weights_file))
        return file

    model = openvino_model(key, precision, lambda: _converted(network, "openvino"), int8)
    return OpenVinoEngine(model, threads, precision)


def _onnx(network: SegmentationNetwork, key: str, precision: str, threads: int) -> Engine:
    from .engines import OnnxEngine

    return OnnxEngine(onnx_model(key, precision, lambda: _converted(network, "onnx")), threads)


def _converted(network: SegmentationNetwork, format_: str) -> Any:
    """The network's graph, compared with torch: what a tracer sees in one picture need not hold for others."""
    return convert_checked(network_graph(network), type(network).__name__, format_, network_trials(network))[0]


_MAKERS: dict[str, Callable[[SegmentationNetwork, str, str, int], Engine]] = {"openvino": _openvino, "onnx": _onnx}


def quantised_graph(network: SegmentationNetwork) -> Path | None:
    """The quantised graph beside a network's weights, if it was made of them."""
    return quantised_beside(network.weights_file, NETWORK)


def quantised_beside(weights: Path | None, kind: str) -> Path | None:
    """The quantised graph of a kind (of cards) beside weights, if it was made of them."""
    if weights is None or not weights.is_file():
        return None
    file = int8_file(weights)
    if not file.is_file():
        return None
    card = ExportCard.read(file)
    return file if card.kind == kind and card.weights_sha256 == file_sha256(weights) else None


def file_sha256(file: Path) -> str:
    """A file's SHA-256, as 64 hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def no_int8(weights: Path | None) -> str:
    """What to do where weights have no quantised graph."""
    if weights is None:
        return "--precision int8: this network has no weight file beside which a quantised graph could lie"
    return (
        f"--precision int8: '{weights.stem}' has no quantised graph of its present weights "
        f"('{int8_file(weights)}'); make one: export-segnet {weights} --format openvino --int8 --calibrate DIR "
        f"-o {int8_file(weights)}"
    )

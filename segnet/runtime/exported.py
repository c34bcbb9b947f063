"""Exported networks on disk: a graph (.onnx; .xml with .bin), and a card beside it that says what it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..importing import AdaptedNetwork
from ..network import SegmentationNetwork
from .engines import network_threads
from .names import require
from .network import Interface, RuntimeModule, RuntimeNetwork

SUFFIXES = {".xml": "openvino", ".onnx": "onnx"}
"""The runtime of an exported file by its name's end."""

NETWORK, BRANCH = "exported network", "exported branch"
"""Kinds of cards."""


INPUT = "RGB less mean, divided by std, float32 (N, 3, H, W)"


@dataclass(frozen=True, kw_only=True)
class ExportCard:
    """What is written beside an exported graph.

    `inputs` says what each input of the graph is, `source` the model as it was named; `weights_sha256` is its weights'
    hash, `adapter` for what is around the graph of an adapted network (`adapter_of`), `precision` "fp32" or "int8"
    (then with `calibration`: pictures, their hash, how much agrees with fp32), `checked` the sizes at which the
    graph was compared with torch, and the largest difference there, and `operations_per_pixel` what torch takes.
    """

    interface: Interface
    source: str
    weights_sha256: str
    format: str
    precision: str
    palette: list[list[int]] = field(default_factory=list)
    kind: str = NETWORK
    inputs: dict[str, str] = field(default_factory=lambda: {"images": INPUT})
    sizes: str = "any number of pictures of any size"
    adapter: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    checked: dict[str, Any] = field(default_factory=dict)
    operations_per_pixel: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""

    def to_json(self) -> str:
        """As a JSON object."""
        flat = asdict(self)
        return json.dumps({"kind": self.kind, **flat.pop("interface"), **flat}, indent=2) + "\n"

    @classmethod
    def read(cls, graph: Path) -> ExportCard:
        """The card beside a graph; ModelError where there is none that can be used."""
        file = graph.with_suffix(".json")
        try:
            found = json.loads(file.read_text())
            interface = {each.name: _frozen(found.pop(each.name)) for each in fields(Interface)}
            return cls(interface=Interface(**interface), **found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"'{graph}' needs the card '{file.name}' that export-segnet wrote beside it ({error})"
            ) from error


def is_exported(name_or_file: str | Path) -> bool:
    """Whether a model is named by an exported file."""
    return Path(name_or_file).suffix in SUFFIXES


def load_exported(file: Path) -> SegmentationNetwork:
    """An exported network, from its graph with the card beside it; ModelError where that cannot be."""
    if not file.is_file():
        raise ModelError(f"model file '{file}' does not exist")
    card = ExportCard.read(file)
    if card.kind != NETWORK:
        raise ModelError(f"'{file}' is part of an {card.kind}, for other programs; give a network, or its weights")
    runtime = SUFFIXES[file.suffix]
    require(runtime)
    if runtime == "openvino":
        from .engines import OpenVinoEngine, read_openvino

        engine: Any = OpenVinoEngine(read_openvino(file), network_threads(), card.precision)
    else:
        from .engines import OnnxEngine, read_onnx

        engine = OnnxEngine(read_onnx(file), network_threads())
    if card.adapter:
        module = RuntimeModule(engine, runtime=runtime, precision=card.precision, operations=card.operations_per_pixel)
        return _adapted(module, card, file)
    return RuntimeNetwork(
        engine,
        card.interface,
        runtime=runtime,
        precision=card.precision,
        weights_file=file,
        operations=card.operations_per_pixel,
    )


def adapter_of(network: SegmentationNetwork) -> dict[str, Any]:
    """What stands in a card of an adapted network, so that it can be put around its graph again."""
    if not isinstance(network, AdaptedNetwork):
        return {}
    return {name: getattr(network, name) for name in ("outputs", "divisor", "input_size", "bgr")}


def _adapted(module: RuntimeModule, card: ExportCard, file: Path) -> SegmentationNetwork:
    own, about = card.adapter, card.interface
    names = about.classes if own["outputs"] > 1 else about.classes[1:]
    size = _frozen(own["input_size"])
    network = AdaptedNetwork(
        module, names, about.mean, about.std, about.feature_stride, own["divisor"], size, own["bgr"]
    )
    network.weights_file = file
    return network


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

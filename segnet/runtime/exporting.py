"""`export_network`: a network written for OpenVINO or as ONNX, after its graph was compared with torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files import discard, part_of, publish_together, remove_abandoned
from ..network import SegmentationNetwork
from .branches import BranchGraph
from .exported import BRANCH, SUFFIXES, ExportCard
from .graphs import CHECKED_HW, Run, convert_checked, network_graph, network_trials, runner_of
from .names import PACKAGES, require
from .operations import operations_per_pixel

FORMATS = tuple(SUFFIXES.values())
Examples = Sequence[Mapping[str, NDArray[Any]]]
"""Inputs of a graph by their names."""


def export_network(
    network: SegmentationNetwork,
    file: Path,
    format_: str,
    card: ExportCard,
    calibration: Examples = (),
    *,
    overwrite: bool,
) -> ExportCard:
    """Write a network's graph to `file` and its card beside it; the card as it was written is returned.

    `format_` is "openvino" (then FILE.bin has the weights) or "onnx". With `calibration`, examples of its input by its
    name, the graph is quantised. The files appear together, when they are whole. ModelError where the network
    cannot be exported, or where the graph before quantisation differs from torch by more than TOLERANCE.
    """
    require(format_)
    what = type(network).__name__
    model, largest = convert_checked(network_graph(network), what, format_, network_trials(network))
    card = replace(checked(card, format_, largest), operations_per_pixel=operations_per_pixel(network))
    if calibration:
        model, card = _quantised(model, card, calibration, output=-1)
    with written_together(file, format_, overwrite=overwrite) as part:
        WRITERS[format_](model, part)
        part.with_suffix(".json").write_text(card.to_json())
    return card


def export_branches(
    graphs: Sequence[BranchGraph],
    file: Path,
    format_: str,
    card: ExportCard,
    calibration: Examples = (),
    *,
    overwrite: bool,
) -> dict[Path, ExportCard]:
    """Write graphs of a branch, those with names to FILE-NAME, each with a card; what was written. With `calibration`,
    examples of its inputs by their names, the main graph is quantised and written alone. Raises as `export_network`."""
    require(format_)
    made = {}
    for each in (graph for graph in graphs if not (calibration and graph.name)):
        target = file.with_name(f"{file.stem}-{each.name}{file.suffix}") if each.name else file
        own = replace(card, kind=BRANCH, inputs=dict(each.inputs))
        model, largest = convert_checked(each.graph, type(each.graph.module).__name__, format_, each.tried)
        own = checked(own, format_, largest)
        made[target] = _quantised(model, own, calibration, output=0) if calibration else (model, own)
    for target, (model, own) in made.items():
        with written_together(target, format_, overwrite=overwrite) as part:
            WRITERS[format_](model, part)
            part.with_suffix(".json").write_text(own.to_json())
    return {target: own for target, (_, own) in made.items()}


def _quantised(model: Any, card: ExportCard, examples: Examples, *, output: int) -> tuple[Any, ExportCard]:
    """A graph for OpenVINO quantised, and its card with how much agrees with fp32 by that output."""
    from .quantising import quantise

    made = quantise(model, examples)
    before, after = runner_of(model, "openvino"), runner_of(made.model, "openvino")
    found = {
        "label_agreement_with_fp32": round(label_agreement(before, after, examples, output), 5),
        "layers_in_fp32": {name: round(cost, 5) for name, cost in made.sensitive.items()},
    }
    versions = {**card.versions, "nncf": version("nncf")}
    return made.model, replace(card, calibration={**card.calibration, **found}, versions=versions)


def checked(card: ExportCard, format_: str, largest: float) -> ExportCard:
    """The card with the largest difference from torch and what converted the graph."""
    return replace(
        card,
        checked={"sizes_hw": [list(size) for size in CHECKED_HW], "largest_difference": largest},
        versions={package: version(package) for package in ("torch", *PACKAGES[format_])},
    )


def label_agreement(one: Run, other: Run, examples: Examples, output: int = -1) -> float:
    """The share of cells to which an output of two graphs gives the same class."""
    same = [float((one(example)[output].argmax(1) == other(example)[output].argmax(1)).mean()) for example in examples]
    return float(np.mean(same))


def _write_openvino(model: Any, file: Path) -> None:
    import openvino

    openvino.save_model(model, file, compress_to_fp16=False)


def _write_onnx(model: Any, file: Path) -> None:
    import onnx

    onnx.save(model, file)


WRITERS: dict[str, Callable[[Any, Path], None]] = {"openvino": _write_openvino, "onnx": _write_onnx}


@contextmanager
def written_together(file: Path, format_: str, *, overwrite: bool) -> Iterator[Path]:
    """Gives a path to write a graph to, with what lies beside it; all of it gets its final names together.

    TargetExistsError where something of it appeared meanwhile and is not to be replaced.
    """
    remove_abandoned(file)
    folder = part_of(file).with_suffix("")
    folder.mkdir(parents=True)
    try:
        yield folder / file.name
        suffixes = [".bin", ".json", ".xml"] if format_ == "openvino" else [".json", ".onnx"]
        publish_together(
            [(folder / file.with_suffix(suffix).name, file.with_suffix(suffix)) for suffix in suffixes],
            replace=overwrite,
        )
    finally:
        discard(folder)

"""What `export-segnet` does: the model loaded, its graph made, checked and written with a card."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import torch
from safetensors import safe_open
from torch import nn

from ...errors import InputError
from ...segnet import (
    BRANCH,
    CHECKED_HW,
    INPUT,
    AdaptedNetwork,
    ExportCard,
    Interface,
    adapter_of,
    branch_graphs,
    can_convert,
    export_branches,
    export_network,
    find_weights,
    head_graph,
    int8_file,
    load_ar,
    load_lr,
    load_network,
    load_propagation,
    placed,
    read_card,
    shipped_weights,
)
from ..provenance import command_line, sha256, weights_sha256
from .calibrating import Inputs, of_branch, of_head, on_pictures
from .measuring import Measured, write_measured

M = TypeVar("M", bound=nn.Module)


MeasuredOn = tuple[str, Path | None, Path | None]
"""A data set's name and root, and a folder of videos."""


def export(
    model: str,
    format_: str,
    output: Path,
    calibrate: Path | None,
    pictures: int,
    measured_on: MeasuredOn | None,
    *,
    overwrite: bool,
) -> None:
    """Do what the command's options ask for; InputError or ModelError where it cannot be."""
    kind = kind_of(model)
    what = None if measured_on is None else measured(model, kind, output)
    if kind is not None:
        export_belonging(model, kind, format_, output, calibrate, pictures, overwrite=overwrite)
    else:
        export_alone(model, format_, output, calibrate, pictures, overwrite=overwrite)
    if what is not None and measured_on is not None:
        click.echo(json.dumps(write_measured(output, what, *measured_on), indent=2))


def measured(model: str, kind: str | None, output: Path) -> Measured:
    """What is to be measured of an int8 graph; InputError where it will not lie where --precision int8 finds it."""
    weights = find_weights(model)
    if output.resolve() != int8_file(weights).resolve():
        raise InputError(f"--root and --clips measure what --precision int8 finds; write to -o {int8_file(weights)}")
    if kind is None:
        return Measured(weights, "frame", {})
    hr = hr_weights(weights)
    if not int8_file(hr).is_file():
        raise InputError(f"'{hr.stem}' has no int8 graph, with which its branches run; make '{int8_file(hr)}' first")
    if kind == "ar":
        return Measured(hr, "ar", {"lr_scale": load_ar(model).low.scale})
    return Measured(hr, "guided", {})


def export_alone(
    model: str, format_: str, output: Path, calibrate: Path | None, pictures: int, *, overwrite: bool
) -> None:
    """Export a keyframe network."""
    network = plain(load_network(model))
    if placed(network) is not None:
        raise InputError(f"'{model}' is an exported graph already; give the weights that it was made of")
    if not can_convert(network):
        raise InputError(f"'{model}' looks at several frames, which graphs of single pictures cannot; give another")
    shown, record = ([], {}) if calibrate is None else on_pictures(network, calibrate, pictures)
    card = card_of(Interface.of(network), network.weights_file, weights_sha256(network), model, format_, record)
    card = replace(card, adapter=adapter_of(network))
    if isinstance(network, AdaptedNetwork):
        card = replace(card, inputs={"images": f"as the card's adapter prepares them: {INPUT}"})
    card = export_network(network, output, format_, card, shown, overwrite=overwrite)
    report(output, model, card)


def export_belonging(
    model: str, kind: str, format_: str, output: Path, calibrate: Path | None, pictures: int, *, overwrite: bool
) -> None:
    """Export what belongs to a network: an LR or AR branch, or a propagation head."""
    weights = find_weights(model)
    digest = sha256(weights.read_bytes())
    if kind == "lr":
        if calibrate is not None:
            raise InputError(
                f"'{model}' is an LR branch, and these are quantised with their fusion only; give AR weights"
            )
        low = plain(load_lr(model))
        card = card_of(Interface.of(low), weights, digest, model, format_, {})
        scale = f"pictures at {low.scale:g} of their sides, in whole cells of {low.feature_stride} pixels; {INPUT}"
        card = replace(card, kind=BRANCH, inputs={"images": scale})
        report(output, model, export_network(low.network, output, format_, card, overwrite=overwrite))
        return
    shown: list[Inputs] = []
    record: dict[str, Any] = {}
    if kind == "ar":
        branch = plain(load_ar(model))
        interface, graphs = Interface.of(branch.low), branch_graphs(branch, CHECKED_HW)
        if calibrate is not None:
            shown, record = of_branch(branch, graphs[0].graph, load_network(hr_weights(weights)), calibrate, pictures)
    else:
        head = load_propagation(model)
        settings = head.settings
        interface = Interface(
            classes=settings.classes,
            feature_channels=len(settings.classes),
            feature_stride=settings.stride,
            linear_classifier=True,
            architecture="propagation",
            mean=settings.mean,
            std=settings.std,
        )
        graphs = [head_graph(head, CHECKED_HW)]
        if calibrate is not None:
            shown, record = of_head(head, graphs[0].graph, load_network(hr_weights(weights)), calibrate, pictures)
    card = card_of(interface, weights, digest, model, format_, record)
    for file, own in export_branches(graphs, output, format_, card, shown, overwrite=overwrite).items():
        report(file, model, own)


def hr_weights(weights: Path) -> Path:
    """The weights of the keyframe network that a branch or a head belongs to; InputError where they are not there."""
    name = re.sub(r"-(ar[\d.]+|guided)$", "", weights.stem)
    file = weights.with_name(f"{name}.safetensors")
    if name == weights.stem or not file.is_file():
        raise InputError(f"--int8: '{weights}' goes with its keyframe network, which must lie beside it: '{file}'")
    return file


def kind_of(model: str) -> str | None:
    """What a weight file holds that is no keyframe network: "lr", "ar" or "propagation"; None for what is one."""
    if Path(model).suffix != ".safetensors" and model not in shipped_weights():
        return None
    with safe_open(find_weights(model), "np") as opened:
        return (opened.metadata() or {}).get("kind")


def plain(module: M) -> M:
    """A module in plain memory format."""
    return module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def report(file: Path, model: str, card: ExportCard) -> None:
    """Say what was written."""
    largest = card.checked["largest_difference"]
    agreement = card.calibration.get("label_agreement_with_fp32")
    more = "" if agreement is None else f", then quantised: {agreement:.2%} of its labels in the calibration agree"
    click.echo(f"{file}: {model}, {card.precision}; differs from torch by at most {largest:.1e}{more}")


def card_of(
    interface: Interface, weights: Path | None, digest: str, model: str, format_: str, record: dict[str, Any]
) -> ExportCard:
    """The card of what is to be exported; `digest` is its weights' SHA-256."""
    known = {} if weights is None else read_card(weights)
    return ExportCard(
        interface=interface,
        source=model,
        weights_sha256=digest,
        format=format_,
        precision="int8" if record else "fp32",
        palette=[list(colour) for colour in known.get("palette", [])],
        calibration=record,
        command=command_line("export-segnet"),
    )

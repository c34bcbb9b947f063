"""What `export-segnet` does: the model loaded, its graph made, checked and written with a card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import nn

from ...data import Augmentation, Sample, list_images, random_view, read_image
from ...errors import InputError
from ...segnet import (
    BRANCH,
    CHECKED_HW,
    INPUT,
    AdaptedNetwork,
    ExportCard,
    Interface,
    SegmentationNetwork,
    adapter_of,
    branch_graphs,
    can_convert,
    export_branches,
    export_network,
    find_weights,
    head_graph,
    load_ar,
    load_lr,
    load_network,
    load_propagation,
    placed,
    read_card,
    shipped_weights,
)
from ..provenance import command_line, sha256, weights_sha256

M = TypeVar("M", bound=nn.Module)

VIEWS = Augmentation(crop_hw=(0, 0), focus=0.0, mix=0.0, codec=0.5, light=0.6)
"""What makes calibration pictures more varied than one dataset's."""


def export(model: str, format_: str, output: Path, calibrate: Path | None, pictures: int, *, overwrite: bool) -> None:
    """Do what the command's options ask for; InputError or ModelError where it cannot be."""
    kind = kind_of(model)
    if kind is not None:
        if calibrate is not None:
            raise InputError(f"'{model}' is no keyframe network, and only these are quantised; leave out --int8")
        export_belonging(model, kind, format_, output, overwrite=overwrite)
        return
    network = plain(load_network(model))
    if placed(network) is not None:
        raise InputError(f"'{model}' is an exported graph already; give the weights that it was made of")
    if not can_convert(network):
        raise InputError(f"'{model}' looks at several frames, which graphs of single pictures cannot; give another")
    shown, record = ([], {}) if calibrate is None else calibration(network, calibrate, pictures)
    card = card_of(Interface.of(network), network.weights_file, weights_sha256(network), model, format_, record)
    card = replace(card, adapter=adapter_of(network))
    if isinstance(network, AdaptedNetwork):
        card = replace(card, inputs={"images": f"as the card's adapter prepares them: {INPUT}"})
    card = export_network(network, output, format_, card, shown, overwrite=overwrite)
    agreement = card.calibration.get("label_agreement_with_fp32")
    more = (
        "" if agreement is None else f", then quantised: {agreement:.2%} of the labels of {len(shown)} pictures agree"
    )
    report(output, model, card, more)


def export_belonging(model: str, kind: str, format_: str, output: Path, *, overwrite: bool) -> None:
    """Export what belongs to a network: an LR or AR branch, or a propagation head."""
    weights = find_weights(model)
    digest = sha256(weights.read_bytes())
    if kind == "lr":
        low = plain(load_lr(model))
        interface = Interface.of(low)
        card = card_of(interface, weights, digest, model, format_, {})
        scale = f"pictures at {low.scale:g} of their sides, in whole cells of {low.feature_stride} pixels; {INPUT}"
        card = replace(card, kind=BRANCH, inputs={"images": scale})
        report(output, model, export_network(low.network, output, format_, card, overwrite=overwrite))
        return
    if kind == "ar":
        branch = plain(load_ar(model))
        interface, graphs = Interface.of(branch.low), branch_graphs(branch, CHECKED_HW)
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
    card = card_of(interface, weights, digest, model, format_, {})
    for file, own in export_branches(graphs, output, format_, card, overwrite=overwrite).items():
        report(file, model, own)


def kind_of(model: str) -> str | None:
    """What a weight file holds that is no keyframe network: "lr", "ar" or "propagation"; None for what is one."""
    if Path(model).suffix != ".safetensors" and model not in shipped_weights():
        return None
    with safe_open(find_weights(model), "np") as opened:
        return (opened.metadata() or {}).get("kind")


def plain(module: M) -> M:
    """A module in plain memory format."""
    return module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def report(file: Path, model: str, card: ExportCard, more: str = "") -> None:
    """Say what was written."""
    largest = card.checked["largest_difference"]
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


def calibration(
    network: SegmentationNetwork, folder: Path, most: int
) -> tuple[list[NDArray[np.float32]], dict[str, Any]]:
    """Up to `most` pictures of a folder, every other one as a random view, normalised (1, 3, H, W), and what the card
    says of them."""
    found = list_images(folder)
    files = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))]
    shown = []
    for i, file in enumerate(files):
        image = read_image(file)
        normalised = network.normalise(torch.from_numpy(varied(image, i) if i % 2 else image)[None])
        seen = network.prepare(normalised) if isinstance(network, AdaptedNetwork) else normalised
        shown.append(seen.contiguous().numpy())
    record = {
        "method": "NNCF post-training quantisation, mixed preset; every other picture as a random view: scale, light, "
        "colour, blur, noise, H.264",
        "folder": folder.name,
        "pictures": [file.name for file in files],
        "pictures_sha256": sha256(b"".join(file.read_bytes() for file in files)),
    }
    return shown, record


def varied(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as another camera, at another time of day, might have taken it, of the same size."""
    height, width = image.shape[:2]
    settings = replace(VIEWS, crop_hw=(height, width))
    sample = Sample(str(seed), image, np.zeros((height, width), np.uint8))
    return random_view(sample, settings, np.random.default_rng(seed)).image

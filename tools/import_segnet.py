"""`import-segnet`: published checkpoints converted to gopseg's weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from ..console import Existing, command, existing_options, option
from ..errors import InputError
from ..files import whole_file
from ..segnet import architecture_names

PROPAGATION: dict[str, Literal["swiftnet", "bisenet"]] = {
    "gsvnet-swiftnet": "swiftnet",
    "gsvnet-bisenet": "bisenet",
    "swnet-seq": "swiftnet",
}
"""Published propagation heads, with the keyframe network whose frames they take."""


@command("import-segnet", interrupted="no card was written; start again.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@option(
    "--arch",
    type=click.Choice(sorted([*architecture_names(), *PROPAGATION])),
    required=True,
    help="The network or propagation head that FILE was saved from.",
)
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="OUT.safetensors; the card OUT.json is written beside it.",
)
@option(
    "--branch",
    type=click.Choice(["auto", "hr", "lr", "ar"]),
    default="auto",
    show_default=True,
    help="What FILE becomes: a full-resolution network (hr), or AR-Seg's LR or AR branch. auto: ar if FILE has CReFF.",
)
@option(
    "--lr-scale",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Scale of a branch. [default: from FILE's name, else 0.5]",
)
@option("--compat", is_flag=True, help="Warp, resize and round as AR-Seg's code does, which its weights expect.")
@option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Precision of the weights written.",
)
@existing_options()
def main(
    file: Path,
    arch: str,
    output: Path,
    branch: str,
    lr_scale: float | None,
    compat: bool,
    precision: str,
    existing: Existing,
) -> None:
    """Convert the authors' checkpoint FILE to weights that the other commands accept, with a card beside them.

    Every tensor must be present and fit. Names may begin with `module.`; aliases of a tensor may be absent. Unless
    --branch says otherwise, a file with CReFF becomes an AR branch for frames shrunk to --lr-scale.
    """
    card_file = output.with_suffix(".json")
    if output.suffix != ".safetensors":
        raise InputError(f"-o '{output}' must end in .safetensors")
    there = [path for path in (output, card_file) if path.exists()]
    if there and existing is Existing.KEEP:
        click.echo(f"{there[0]}: is there already and is kept.", err=True)
        return
    if there and existing is Existing.REFUSE:
        raise InputError(f"'{there[0]}' exists; replace it with -y, keep it with -n, or give another name")

    from ..segnet import ModelError
    from .checkpoint_conversion import convert

    try:
        card = convert(file, arch, output, branch, lr_scale, compat, precision)
    except ModelError as error:
        raise InputError(f"'{file}': {error}" if str(file) not in str(error) else str(error)) from error
    if card["kind"] in ("lr", "ar") and not compat:
        click.echo("AR-Seg's released weights were trained with its own warp and resize: see --compat", err=True)
    with whole_file(card_file) as part:
        part.write_text(json.dumps(card, indent=2) + "\n")
    click.echo(f"{output}: {card['kind']} of {arch}, {card['parameters']:,} parameters, {len(card['classes'])} classes")

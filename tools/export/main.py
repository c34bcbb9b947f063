"""`export-segnet`: the command line."""

from __future__ import annotations

from pathlib import Path

import click

from ...console import Existing, command, existing_options, option
from ...errors import InputError

SUFFIX = {"onnx": ".onnx", "openvino": ".xml"}
MOST_PICTURES = 64


@command("export-segnet", interrupted="nothing was written; start again.")
@click.argument("model")
@option(
    "--format",
    "format_",
    type=click.Choice(sorted(SUFFIX)),
    required=True,
    help="onnx: one file. openvino: OUT.xml, and OUT.bin with the weights.",
)
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="OUT.onnx or OUT.xml; the card OUT.json is written beside it.",
)
@option("--int8", is_flag=True, help="Quantise to 8 bits (OpenVINO, extra int8), with --calibrate.")
@option(
    "--calibrate",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of pictures on which --int8 finds the ranges of all layers: training pictures, never test ones.",
)
@option(
    "--pictures",
    type=click.IntRange(1),
    default=MOST_PICTURES,
    show_default=True,
    help="Most pictures to calibrate on, spread evenly over the folder.",
)
@option("--dataset", metavar="NAME|DIR", default="camvid", show_default=True, help="The data set in --root.")
@option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="With --int8: also measure what is lost on this data set's val, and write it into the card.",
)
@option(
    "--clips",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="With --int8: also measure the labels that agree with fp32 on the videos of a folder.",
)
@existing_options()
def main(
    model: str,
    format_: str,
    output: Path,
    int8: bool,
    calibrate: Path | None,
    pictures: int,
    dataset: str,
    root: Path | None,
    clips: Path | None,
    existing: Existing,
) -> None:
    """Write MODEL as a graph that other programs run, for pictures of any number and size.

    MODEL is a shipped name, a .safetensors file (a network, an LR or AR branch, or a propagation head) or
    hf:NAME_OR_FOLDER. The graph is compared with torch, and is written only if they agree to 0.001. Exported networks
    are models for the other commands: --model OUT.xml. A graph NAME-int8.xml beside NAME.safetensors is what --runtime
    auto takes where it is faster; branches and heads follow their network.
    """
    suffix = SUFFIX[format_]
    if output.suffix != suffix:
        raise InputError(f"-o '{output}' must end in {suffix} for --format {format_}")
    if int8 and format_ != "openvino":
        raise InputError("--int8 is for --format openvino; leave it out")
    if int8 != (calibrate is not None):
        raise InputError("--int8 and --calibrate DIR go together; give both or neither")
    if not int8 and (root is not None or clips is not None):
        raise InputError("--root and --clips measure what --int8 loses; give it, too, or leave them out")
    there = [file for end in (suffix, ".json", ".bin") if (file := output.with_suffix(end)).exists()]
    if there and existing is Existing.KEEP:
        click.echo(f"{there[0]}: is there already and is kept.", err=True)
        return
    if there and existing is Existing.REFUSE:
        raise InputError(f"'{there[0]}' exists; replace it with -y, keep it with -n, or give another name")

    from .exporting import export

    measured_on = None if root is None and clips is None else (dataset, root, clips)
    export(model, format_, output, calibrate, pictures, measured_on, overwrite=existing is Existing.REPLACE)


if __name__ == "__main__":
    main()

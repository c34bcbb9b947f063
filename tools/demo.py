"""`make demo`: a street rendered, encoded and segmented by the commands a user would type, and a report on it."""

from __future__ import annotations

from pathlib import Path

import click

from ..console import Existing, command, existing_options, option
from ..errors import InputError
from ..segnet import DEFAULT_MODEL


@command("demo", interrupted="the commands that had ended have left their outputs; start again with -y.")
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Folder to write to.",
)
@option("--frames", type=click.IntRange(24), default=96, show_default=True, help="Length of the video.")
@option("--seed", type=click.IntRange(0, 999), default=16, show_default=True, help="Which street; none was trained on.")
@option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name or .safetensors file.")
@existing_options()
def main(output: Path, frames: int, seed: int, model: str, existing: Existing) -> None:
    """Render a synthetic street, encode it, segment it in several modes, and write `report.html`."""
    report = output / "report.html"
    if report.exists() and existing is Existing.KEEP:
        click.echo(f"{report}: is there already and is kept.", err=True)
        return
    if report.exists() and existing is Existing.REFUSE:
        raise InputError(f"{report}: exists; give -y to replace it, or another folder by -o")

    from .demo_report import run_demo

    video, report = run_demo(output, frames, seed, model)
    click.echo(f"video:  {video.resolve()}")
    click.echo(f"report: {report.resolve()}")

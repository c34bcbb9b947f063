"""`gopseg figures`: the pictures of docs/codec.md, from a synthetic street."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ...console import Existing, command, existing_options, option
from ...errors import InputError

NAMES = ("codec-vectors", "codec-references", "codec-composition", "codec-residual", "codec-novelty")


@command("figures")
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("docs"),
    show_default=True,
    help="Folder to write to.",
)
@option("--seed", type=click.IntRange(0), default=16, show_default=True, help="Which street.")
@existing_options()
def main(output: Path, seed: int, existing: Existing) -> None:
    """Draw the figures of docs/codec.md: vectors, references, composition, residual, novelty."""
    files = {name: output / f"{name}.webp" for name in NAMES}
    there = [file for file in files.values() if file.exists()]
    if there and existing is Existing.REFUSE:
        raise InputError(f"{there[0]}: exists; give -y to replace it, or -n to keep it")
    if len(there) == len(files) and existing is Existing.KEEP:
        click.echo(f"{output}: all pictures are there already and are kept.", err=True)
        return

    import matplotlib  # noqa: F401  before minutes are spent on rendering

    from .drawing import save
    from .pictures import draw_all

    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="gopseg-figures-") as folder:
        for name, drawing in draw_all(Path(folder), seed):
            if files[name] in there and existing is Existing.KEEP:
                continue
            save(drawing, files[name])
            click.echo(f"{files[name]}: {files[name].stat().st_size:,} bytes")

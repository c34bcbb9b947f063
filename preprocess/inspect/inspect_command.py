"""`preprocess inspect`: its options, and the order in which things are shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ..encode import OutputError
from ..jobs import READERS, check_video, make_folder, reader_option, reports_errors
from .structure import GopStats, frames_as_json, read_gops, summarise
from .structure_plot import plot, require_matplotlib
from .structure_table import ASCII, BLOCKS, StructureTable, heading, totals


@click.command()
@click.argument("source")
@click.option("--frames", "by_frame", is_flag=True, help="A row for each frame, not for each GOP.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead; with --frames every frame is in it.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw sizes, QP and motion of every frame as well.",
)
@click.option("--signals", is_flag=True, help="Decode pictures as well: novelty of each frame, and cuts on I-frames.")
@reader_option
@click.option("-y", "replace", is_flag=True, help="Replace a picture that exists.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@reports_errors("the stream was not read to its end.")
def inspect(
    source: str,
    by_frame: bool,
    as_json: bool,
    picture: Path | None,
    signals: bool,
    reader: str,
    replace: bool,
    debug: bool,  # noqa: ARG001
) -> None:
    """Show what the stream of the video SOURCE is made of: GOPs, frame types, sizes, QP, motion.

    Each GOP has a row of numbers, its frames' types, and below them bars for their sizes (square root of the bytes;
    the GOP's biggest frame has a full bar). QP is the mean over its frames; motion, the mean displacement to the
    previous frame, and intra, the share of the area without a motion vector, are means over its predicted frames.
    Cuts are frames most of which is new. A dash stands where the stream does not tell, and the last lines say why.
    """
    check_video(source)
    if picture is not None:
        _check_picture(picture, replace)
    gops: list[GopStats] = []
    with READERS[reader](source, qp=True, pixels=signals) as video:
        if not as_json:
            click.echo(heading(video) + "\n")
        table = StructureTable(BLOCKS if _can_print(BLOCKS) else ASCII, novelty=signals)
        for gop in read_gops(video):
            if not as_json:
                if not gops:
                    click.echo(table.frame_header() if by_frame else table.gop_header())
                for row in table.frame_rows(gop) if by_frame else table.gop_rows(len(gops), gop):
                    click.echo(row)
            gops.append(gop)
        summary = summarise(video, gops)
        title = heading(video)
    if as_json:
        content = {**summary, "gops": [gop.as_json() for gop in gops]}
        if by_frame:
            content["frames"] = frames_as_json(gops)
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo()
        for line in totals(summary):
            click.echo(line)
    if picture is not None:
        plot(picture, title, gops, summary["motion_absence_reason"])
        click.echo(f"{picture}: the picture", err=True)


def _check_picture(picture: Path, replace: bool) -> None:
    """Whatever would keep the picture from being written, before minutes are spent on reading."""
    require_matplotlib()
    if picture.exists() and not replace:
        raise OutputError(f"{picture}: exists; give -y to replace it")
    make_folder(picture.parent)


def _can_print(signs: str) -> bool:
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True

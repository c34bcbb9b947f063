"""`preprocess inspect`: its options, and the order in which things are shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...console import Existing, command, existing_options, option
from ..jobs import reader_option, stream_option

if TYPE_CHECKING:
    from .structure import GopStats


@command(interrupted="the stream was not read to its end.")
@click.argument("source")
@option("--frames", "by_frame", is_flag=True, help="A row for each frame, not for each GOP.")
@option("--json", "as_json", is_flag=True, help="Print JSON instead; with --frames every frame is in it.")
@option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw sizes, QP and motion of every frame as well.",
)
@option("--signals", is_flag=True, help="Decode pictures as well: novelty of each frame, and cuts on I-frames.")
@option(
    "--references",
    is_flag=True,
    help="Decode pictures as well, to find out which of them vectors point to if not to the frame before.",
)
@reader_option
@stream_option
@existing_options()
@option("-v", "--verbose", is_flag=True, help="Say which stream is read.")
def inspect(
    source: str,
    by_frame: bool,
    as_json: bool,
    picture: Path | None,
    signals: bool,
    references: bool,
    reader: str,
    stream: int | None,
    verbose: bool,
    existing: Existing,
) -> None:
    """Show what the video SOURCE is made of: GOPs, frame types, sizes, QP, motion.

    Each GOP has a row with numbers and its frames' types, and below it bars for their sizes (square root of the bytes;
    the GOP's biggest frame has a full bar). QP is the mean over all its frames; motion and intra are means over its
    predicted frames. motion is the mean displacement to the previous frame (with --references, to the picture referred
    to, per frame in between); intra is the share of the area without a motion vector. Cuts are frames of which most is
    new. A dash means that the stream does not say, and the last lines explain why.
    """
    from ..jobs import READERS, check_video
    from .structure import frames_as_json, read_gops, summarise
    from .structure_plot import plot
    from .structure_table import ASCII, BLOCKS, StructureTable, heading, totals

    check_video(source)
    if references and reader != "av":
        raise click.UsageError("--references is for --reader av, which finds them; leave one of the two out")
    if picture is not None and not _is_to_draw(picture, existing):
        picture = None
    gops: list[GopStats] = []
    found = {"references": True} if references else {}
    with READERS[reader](source, qp=True, pixels=signals or references, stream=stream, **found) as video:
        if verbose:
            click.echo(f"{video.name}: {video.stream_choice}", err=True)
        if not as_json:
            click.echo(heading(video) + "\n")
        table = StructureTable(BLOCKS if _can_print(BLOCKS) else ASCII, novelty=signals)
        for gop in read_gops(video, signals=signals, references=references):
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
        plot(picture, title, gops, summary["motion_absence_reason"], replace=existing is Existing.REPLACE)
        click.echo(f"{picture}: the picture", err=True)


def _is_to_draw(picture: Path, existing: Existing) -> bool:
    """Whether the picture is wanted; whatever would keep it from being written, before minutes are spent on reading."""
    from ..errors import OutputError
    from ..jobs import make_folder
    from .structure_plot import require_matplotlib

    require_matplotlib()
    if picture.exists() and existing is Existing.KEEP:
        click.echo(f"{picture}: is there already and is kept.", err=True)
        return False
    if picture.exists() and existing is Existing.REFUSE:
        raise OutputError(f"{picture}: exists; give -y to replace it, or -n to keep it")
    make_folder(picture.parent)
    return True


def _can_print(signs: str) -> bool:
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True

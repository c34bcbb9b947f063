"""`preprocess extract`: its options, and what it tells the user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from .archive import OPTIONAL
from .batch import Existing
from .cli import Names, check_video, make_folder, reports_errors, terminated_as_interrupted
from .encode import OutputError
from .extract import extract as extract_metadata


@click.command()
@click.argument("source")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.npz", required=True, help="File to write."
)
@click.option(
    "--without",
    type=Names(OPTIONAL),
    default=frozenset(),
    metavar="NAMES",
    help=f"Arrays to leave out, with commas between: {', '.join(OPTIONAL)}.",
)
@click.option("-y", "existing", flag_value=Existing.REPLACE, help="Replace a file that exists.")
@click.option("-n", "existing", flag_value=Existing.KEEP, help="Keep a file that exists, and do nothing.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@reports_errors("no file was written.")
def extract(source: str, output: Path, without: frozenset[str], existing: Existing | None, debug: bool) -> None:  # noqa: ARG001
    """Write the codec's metadata of the video SOURCE to one NumPy archive.

    Over the N frames in display order: pict_type, pts, packet_bytes, key_index, qp for each macroblock, motion to the
    previous frame, composed motion to the keyframe, intra, and meta, a JSON string. docs/extract.md has the schema;
    gopseg.preprocess.load_metadata reads it. SOURCE is one whose vectors mean the frame before, such as
    `preprocess encode` writes.
    """
    check_video(source)
    if not _is_to_write(output, source, existing or Existing.REFUSE):
        return
    make_folder(output.parent)
    with terminated_as_interrupted(), _Bars() as bars:
        meta = extract_metadata(source, output, without=without, on_frame=bars.on_frame, on_packing=bars.on_packing)
    for line in _summary(output, meta):
        click.echo(line, err=True)


def _is_to_write(output: Path, source: str, existing: Existing) -> bool:
    if output.is_dir():
        raise OutputError(f"{output}: is a folder; give a file to write, as in {output / 'video.npz'}")
    if not output.exists():
        return True
    if Path(source).exists() and output.samefile(source):
        raise OutputError(f"{output}: is the source itself; give another file by -o")
    if existing is Existing.KEEP:
        click.echo(f"{output}: is there already and is kept.", err=True)
        return False
    if existing is Existing.REFUSE:
        raise OutputError(f"{output}: exists; give -y to replace it, or -n to keep it")
    return True


class _Bars:
    """A bar over frames and then one over bytes, on standard error if that is a terminal."""

    def __init__(self) -> None:
        self._bar = self._start("frame")

    def _start(self, unit: str, total: int | None = None) -> tqdm[Any]:
        return tqdm(
            total=total,
            desc="reading" if total is None else "packing",
            unit=unit,
            unit_scale=total is not None,
            disable=not sys.stderr.isatty(),
            file=sys.stderr,
            leave=False,
            dynamic_ncols=True,
        )

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_frame(self) -> None:
        """One frame was read."""
        self._bar.update()

    def on_packing(self, total_bytes: int) -> Callable[[int], object]:
        """All frames are read."""
        self._bar.close()
        self._bar = self._start("B", total_bytes)
        bar = self._bar
        return lambda count: bar.update(count)


def _summary(output: Path, meta: dict[str, Any]) -> list[str]:
    height, width = meta["size_hw"]
    size, video_bytes = output.stat().st_size, meta["source"]["bytes"]
    share = f", {size / video_bytes:.0%} of the video" if video_bytes else ""
    lines = [f"{output}: {meta['frame_count']} frames of {width}x{height}, {size:,} bytes{share}"]
    if video_bytes and size > video_bytes and "composed" in meta["arrays"]:
        lines.append("Larger than the video: --without composed is much smaller, and motion can be composed from it.")
    if broken := meta["damaged_frames"] + meta["refused_packets"]:
        lines.append(f"Warning: {meta['source']['name']}: {broken} damaged packets or frames; their motion is a guess")
    return lines

"""`preprocess extract`: its options, and what it tells the user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import Existing, command, existing_options, option
from ...files import TargetExistsError
from ...options import Names
from ..jobs import execution_options, reader_option, stream_option
from .array_names import OPTIONAL, SIGNALS

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..jobs import Execution, Outcome
    from .extract_job import ExtractJob


@command(interrupted="unfinished files left no trace; continue with --resume.")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.npz|DIR",
    required=True,
    help="File to write; with several SOURCEs, a glob, --ray or --manifest, the folder for the NAME.npz files.",
)
@option(
    "--without",
    type=Names(OPTIONAL),
    default=frozenset(),
    metavar="NAMES",
    help=f"Arrays to leave out, comma-separated: {', '.join(OPTIONAL)}.",
)
@option("--signals", is_flag=True, help="Decode pictures as well, and add residual and novelty.")
@reader_option
@stream_option
@execution_options
@existing_options(resume="Keep complete files that were made from these very videos.")
@option("-v", "--verbose", is_flag=True, help="Say which stream is read.")
def extract(
    sources: tuple[str, ...],
    output: Path,
    without: frozenset[str],
    signals: bool,
    reader: str,
    stream: int | None,
    jobs: int | None,
    ray: str | None,
    retries: int,
    manifest: Path | None,
    existing: Existing,
    verbose: bool,
) -> None:
    """Write the codec's metadata of each video SOURCE to one NumPy archive.

    Over the N frames in display order: pict_type, pts, packet_bytes, key_index, qp for each macroblock, motion to the
    previous frame, composed motion to the keyframe, intra, and meta, a JSON string. In streams with B-frames or several
    references, the picture each vector points to is found by comparing pictures: motion then leads to `reference`, with
    a `confidence`, and `vectors` lists every vector. docs/extract.md has the schema; gopseg.preprocess.load_metadata
    reads it.
    """
    from ..jobs import Execution, check_video, make_folder
    from .extract_job import ExtractJob
    from .extraction import extract as extract_metadata

    for source in sources:
        check_video(source)
    execution = Execution(jobs, ray, retries, manifest)
    arrays = frozenset(OPTIONAL) - without | (frozenset(SIGNALS) if signals else frozenset())
    if len(sources) > 1 or ray or manifest or (has_magic(sources[0]) and not Path(sources[0]).exists()):
        _extract_all(sources, output, arrays, reader, stream, execution, existing, verbose)
    elif _is_to_write(ExtractJob(Path(sources[0]), output, arrays, reader, stream=stream), existing):
        make_folder(output.parent)
        try:
            with _Bars() as bars:
                meta = extract_metadata(
                    sources[0],
                    output,
                    arrays=arrays,
                    reader=reader,
                    stream=stream,
                    replace=existing is Existing.REPLACE or output.exists(),
                    on_frame=bars.on_frame,
                    on_packing=bars.on_packing,
                )
        except TargetExistsError:
            if existing is Existing.REFUSE:
                raise
            click.echo(f"{output}: was made by another run meanwhile, and is kept.", err=True)
            return
        click.echo("\n".join(_summary(output, meta, verbose)), err=True)


def _extract_all(
    sources: tuple[str, ...],
    folder: Path,
    arrays: frozenset[str],
    reader: str,
    stream: int | None,
    execution: Execution,
    existing: Existing,
    verbose: bool,
) -> None:
    from ..jobs import check_video, find_sources, run_planned
    from .extract_job import ExtractJob

    videos = find_sources(sources)
    for video in videos:
        check_video(str(video.path))
    planned = [ExtractJob(video.path, folder / f"{video.name}.npz", arrays, reader, stream=stream) for video in videos]

    def describe(outcome: Outcome) -> str:
        assert outcome.done is not None
        return "\n".join(_summary(outcome.job.output, outcome.done.content, verbose))

    run_planned(planned, folder, execution, existing, describe).finish()


def _is_to_write(job: ExtractJob, existing: Existing) -> bool:
    from ..errors import OutputError

    output = job.output
    if output.is_dir():
        raise OutputError(f"{output}: is a folder; give a file to write, as in {output / 'video.npz'}")
    if not output.exists():
        return True
    if job.source_path.exists() and output.samefile(job.source_path):
        raise OutputError(f"{output}: is the source itself; give another file by -o")
    if existing is Existing.KEEP or (existing is Existing.RESUME and job.is_finished()):
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
        from tqdm import tqdm

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


def _summary(output: Path, meta: dict[str, Any], verbose: bool) -> list[str]:
    height, width = meta["size_hw"]
    size, video_bytes = output.stat().st_size, meta["source"]["bytes"]
    share = f", {size / video_bytes:.0%} of the video" if video_bytes else ""
    lines = [f"{output}: {meta['frame_count']} frames of {width}x{height}, {size:,} bytes{share}"]
    if verbose:
        lines.insert(0, f"{meta['source']['name']}: {meta['source']['stream']}")
    if video_bytes and size > video_bytes and "composed" in meta["arrays"]:
        lines.append("Larger than the video: --without composed is much smaller, and motion can be composed from it.")
    if meta["references"] == "recovered" and meta["confidence_mean"] is not None:
        lines.append(
            "Its vectors point to several pictures, which were found by comparing them, with a confidence of "
            f"{meta['confidence_mean']:.2f} on average."
        )
    if meta["motion_absence"] == "B_VECTORS":
        lines.append(
            f"Warning: {meta['source']['name']}: its codec's decoder exports no vectors of B-frames, so they have no "
            "motion; run `preprocess encode` on it for motion of every frame"
        )
    if broken := meta["damaged_frames"] + meta["refused_packets"]:
        lines.append(f"Warning: {meta['source']['name']}: {broken} damaged packets or frames; their motion is a guess")
    return lines

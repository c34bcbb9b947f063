"""`preprocess stills`: its options, and what it tells the user."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from pathlib import Path

import click
from tqdm import tqdm

from ..codec.encoder import PRESETS
from ..codec.errors import CodecError
from ..data.camvid import CamVid
from ..data.folder import FolderDataset
from ..data.palettes import Palette, PaletteError, load_palette
from .batch import Existing
from .cli import BAD_INPUT, Bitrate, FrameRate, make_folder, one_line, reports_errors, terminated_as_interrupted
from .encode import OutputError
from .stills import Samples, StillJob, StillsSettings


@click.command()
@click.argument("folders", metavar="[IMAGES LABELS]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Choice(["camvid"]), help="Take the stills of a data set, instead of folders.")
@click.option("--root", type=click.Path(path_type=Path), help="The data set's folder.")
@click.option("--split", default="train", show_default=True, help="The data set's split.")
@click.option(
    "--palette",
    default="camvid",
    show_default=True,
    metavar="NAME|FILE",
    help="Names and colours of the classes in LABELS: camvid, cityscapes, vspw or a file.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to write to."
)
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True, help="Frames made of a still.")
@click.option(
    "--bitrate",
    "bitrates",
    type=Bitrate(),
    multiple=True,
    default=["3M"],
    show_default=True,
    help="Bits per second, as in 750k or 2.5M; several are taken in turn.",
)
@click.option("--fps", type=FrameRate(), default="15", show_default=True, help="Frames per second.")
@click.option("--variants", type=click.IntRange(1), default=1, show_default=True, help="Drives past each still.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all that is random.")
@click.option("--preset", type=click.Choice(PRESETS), default="medium", show_default=True, help="x264's speed.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Stills to work on at a time.")
@click.option("-y", "existing", flag_value=Existing.REPLACE, help="Replace outputs that exist.")
@click.option("-n", "existing", flag_value=Existing.KEEP, help="Keep outputs that exist, make the others.")
@click.option("--resume", "existing", flag_value=Existing.RESUME, help="Keep outputs that are whole, make the others.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@reports_errors("finished clips are kept, the others left no trace; --resume goes on.")
def stills(
    folders: tuple[Path, ...],
    dataset: str | None,
    root: Path | None,
    split: str,
    palette: str,
    output: Path,
    gop: int,
    bitrates: tuple[int, ...],
    fps: Fraction,
    variants: int,
    seed: int,
    preset: str,
    jobs: int,
    existing: Existing | None,
    debug: bool,
) -> None:
    """Make labelled GOPs of labelled stills: a camera drives past each, and the frames are encoded.

    IMAGES is a folder of images and LABELS one with class indices of equal names; or give --dataset and --root. Of each
    still DIR/NAME.mp4 (one closed GOP, as `preprocess encode` writes it), DIR/NAME_labels/000000.png ... (paletted) and
    DIR/NAME.json come out; with --variants the names end in -v0, -v1 ... One frame, `still_frame` in the JSON, is the
    still itself with its own labels; the others are rendered from it, by depths that its classes tell.
    """
    colours = _palette(palette if dataset is None else dataset)
    samples = _samples(folders, dataset, root, split, colours)
    settings = StillsSettings(gop, bitrates, fps, preset, variants, seed)
    make_folder(output)
    planned = [
        StillJob(samples, index, variant, output, settings, colours)
        for variant in range(variants)
        for index in range(len(samples))
    ]
    failures = []
    with (
        terminated_as_interrupted(),
        tqdm(total=len(planned), unit="clip", disable=None, file=sys.stderr, dynamic_ncols=True) as bar,
    ):
        for error in _run(planned, existing or Existing.REFUSE, jobs):
            bar.update()
            if error is None:
                continue
            if isinstance(error, OutputError) or not isinstance(error, (CodecError, OSError)):
                raise error
            failures.append(error)
            if debug:
                traceback.print_exception(error)
            tqdm.write(f"Error: {one_line(error)}", file=sys.stderr)
    click.echo(f"{output}: {len(planned) - len(failures)} of {len(planned)} clips are there.", err=True)
    if failures:
        sys.exit(2 if all(isinstance(error, BAD_INPUT) for error in failures) else 1)


def _palette(name: str) -> Palette:
    try:
        return load_palette(name)
    except PaletteError as error:
        raise click.UsageError(str(error)) from error


def _samples(
    folders: tuple[Path, ...], dataset: str | None, root: Path | None, split: str, palette: Palette
) -> Samples:
    if dataset is not None:
        if folders or root is None:
            raise click.UsageError(f"--dataset {dataset} needs --root FOLDER, and no other folders")
        return CamVid(root, split)
    if root is not None or len(folders) != 2:
        raise click.UsageError("give two folders, IMAGES and LABELS; or --dataset and --root")
    return FolderDataset(folders[0], folders[1], classes=len(palette))


def _run(jobs: list[StillJob], existing: Existing, processes: int) -> Iterator[Exception | None]:
    """Do the jobs, in `processes` at a time; of each the error that it ended with, in order."""
    if processes == 1:
        for job in jobs:
            yield _work(job, existing)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(jobs)), context, initializer=_start_worker) as executor:
        try:
            yield from executor.map(_work, jobs, [existing] * len(jobs), chunksize=4)
        except BrokenProcessPool as error:
            raise OSError("a process was killed (out of memory?); give fewer --jobs, and --resume to go on") from error
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Ctrl-C goes to the parent, which cancels what is left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(job: StillJob, existing: Existing) -> Exception | None:
    try:
        clip = job.load()
        there = clip.existing
        if there and existing is Existing.REFUSE:
            raise OutputError(f"{there[0]}: exists; give -y to replace, -n to keep it, or --resume to go on")
        if (there and existing is Existing.KEEP) or (existing is Existing.RESUME and clip.is_finished()):
            return None
        clip.make()
    except Exception as error:
        return error
    return None

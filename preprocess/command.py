"""The `preprocess` command: corpora made ready for compressed-domain segmentation."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click
from tqdm import tqdm

from ..codec.encoder import PRESETS, EncodeSettings
from ..codec.errors import CodecError, InvalidDataError, SourceError
from .batch import Existing, Outcome, jobs_to_do, run_jobs
from .encode import EncodeJob, OutputError
from .sources import find_sources

_P = ParamSpec("_P")
_BAD_INPUT = (SourceError, InvalidDataError)


class Bitrate(click.ParamType[int]):
    """Bits per second: 3000000, 750k, 2.5M."""

    name = "bitrate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """To an integer of bits per second."""
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([kKmMgG]?)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no bitrate; give bits per second as in 750k, 2.5M or 3000000", param, ctx)
        rate = round(Fraction(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[match[2].lower()])
        if rate < 1000:
            self.fail(f"{value!r} is less than 1k; give bits per second as in 750k, 2.5M or 3000000", param, ctx)
        return rate


class FrameRate(click.ParamType[Fraction]):
    """Frames per second: 25, 29.97, 30000/1001."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """To a fraction."""
        try:
            rate = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is no frame rate; give one as in 25, 29.97 or 30000/1001", param, ctx)
        if not Fraction(1, 1000) <= rate <= 1000:
            self.fail(f"{value!r} is out of range; give frames per second from 0.001 to 1000", param, ctx)
        return rate


def _reports_errors(command: Callable[_P, None]) -> Callable[_P, None]:
    """One line for an error that we know, exit status 2 for bad input and 1 for a failure; a traceback by --debug."""

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            click.echo("Interrupted: finished files are kept, the others left no trace; --resume goes on.", err=True)
            sys.exit(130)
        except (CodecError, OSError) as error:
            if kwargs.get("debug"):
                raise
            click.echo(f"Error: {_line(error)}", err=True)
            sys.exit(2 if isinstance(error, (*_BAD_INPUT, OutputError)) else 1)

    return wrapped


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gopseg")
def main() -> None:
    """Make videos and frames ready for segmentation in the compressed domain."""


@main.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to write to."
)
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True, help="Frames from keyframe to keyframe.")
@click.option("--bitrate", type=Bitrate(), default="3M", show_default=True, help="Bits per second, as in 750k or 2.5M.")
@click.option("--fps", type=FrameRate(), help="Frames per second: of frames (25 by default), or to resample videos to.")
@click.option("--preset", type=click.Choice(PRESETS), default="medium", show_default=True, help="x264's speed.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Sources to encode at a time.")
@click.option(
    "--engine",
    expose_value=False,
    type=click.Choice(["av"]),
    default="av",
    show_default=True,
    help="What encodes: PyAV's libx264.",
)
@click.option("-y", "existing", flag_value=Existing.REPLACE, help="Replace outputs that exist.")
@click.option("-n", "existing", flag_value=Existing.KEEP, help="Keep outputs that exist, encode the others.")
@click.option(
    "--resume", "existing", flag_value=Existing.RESUME, help="Keep outputs that are whole, encode the others."
)
@click.option("-v", "--verbose", is_flag=True, help="Print the equivalent ffmpeg commands.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@_reports_errors
def encode(
    sources: tuple[str, ...],
    output: Path,
    gop: int,
    bitrate: int,
    fps: Fraction | None,
    preset: str,
    jobs: int,
    existing: Existing | None,
    verbose: bool,
    debug: bool,
) -> None:
    """Encode each SOURCE to DIR/NAME.mp4, with an account in DIR/NAME.json.

    A SOURCE is a video file, a folder of frames, a folder of such folders, or a glob. The H.264 has closed GOPs of
    exactly --gop frames, no B-frames and one reference, so that every motion vector points to the frame before; the
    bitrate is held within 5 % over ten seconds. Sound is left out; timestamps stay exact.
    """
    settings = EncodeSettings(gop=gop, bitrate_bps=bitrate, preset=preset)
    planned = [EncodeJob(source, output, settings, fps) for source in find_sources(sources)]
    _make_folder(output)
    todo = jobs_to_do(planned, existing or Existing.REFUSE)
    if len(todo) < len(planned):
        click.echo(f"{len(planned) - len(todo)} of {len(planned)} outputs are there already and are kept.", err=True)
    failures: list[Outcome] = []

    def on_outcome(outcome: Outcome) -> None:
        if outcome.error is None:
            _echo(_summary(outcome, verbose))
            return
        failures.append(outcome)
        if debug:
            traceback.print_exception(outcome.error)
        _echo(f"Error: {_named(outcome)}")

    with _terminated_as_interrupted():
        run_jobs(todo, jobs, on_outcome)
    if failures:
        is_input = len(failures) == len(todo) and all(isinstance(failure.error, _BAD_INPUT) for failure in failures)
        if len(todo) > 1:
            click.echo(f"{len(failures)} of {len(todo)} sources failed, the others are done.", err=True)
        sys.exit(2 if is_input else 1)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = "is a file" if folder.is_file() else f"cannot be made ({error.strerror})"
        raise OutputError(f"{folder}: {cause}; give another folder by -o") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: no permission to write there; change its mode, or give another folder by -o")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM end the work as Ctrl-C does, with nothing half-written left."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _echo(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _named(outcome: Outcome) -> str:
    assert outcome.error is not None
    line, source = _line(outcome.error), str(outcome.job.source.path)
    if not isinstance(outcome.error, CodecError):
        line = f"{type(outcome.error).__name__}: {line}; --debug shows where"
    known = (source, str(outcome.job.folder))
    return line if any(name in line for name in known) else f"{source}: {line}"


def _summary(outcome: Outcome, verbose: bool) -> str:
    content = outcome.content
    assert content is not None
    height, width = content["size_hw"]
    lines = [content["ffmpeg_command"]] if verbose else []
    lines.append(
        f"{outcome.job.video}: {content['frame_count']} frames of {width}x{height}, "
        f"{content['bitrate_bps'] / 1e6:.3f} Mb/s, PSNR {content['psnr_db']['all']:.2f} dB, SSIM {content['ssim']:.4f}"
    )
    lines += [f"Warning: {outcome.job.source.path}: {text}" for text in _warnings(content)]
    return "\n".join(lines)


def _warnings(content: dict[str, Any]) -> list[str]:
    source, texts = content["source"], []
    if broken := source["refused_packets"] + source["damaged_frames"]:
        texts.append(f"{broken} damaged packets or frames; check the picture there")
    declared = source["declared_frames"]
    if declared is not None and content["frame_count"] < 0.99 * declared - 1:
        texts.append(f"ends after {content['frame_count']} of {declared} frames; the file is cut off")
    if source["repaired_timestamps"]:
        texts.append(f"{source['repaired_timestamps']} timestamps did not rise and were moved")
    if any(content["padding"].values()):
        texts.append("its odd size was padded by one replicated row or column, as 4:2:0 asks")
    asked = content["settings"]["bitrate_bps"]
    if content["duration_seconds"] >= 10 and abs(content["bitrate_bps"] / asked - 1) > 0.05:
        why = "its content needs no more" if content["bitrate_bps"] < asked else "its content needs more"
        texts.append(f"{content['bitrate_bps'] / 1e6:.3f} Mb/s instead of {asked / 1e6:g}: {why} at this size")
    return texts

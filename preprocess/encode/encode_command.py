"""`preprocess encode`: its options, and what it tells the user."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from ...codec import PRESETS, EncodeSettings
from ..jobs import (
    Bitrate,
    Execution,
    Existing,
    FrameRate,
    Outcome,
    Outcomes,
    execution_options,
    find_sources,
    jobs_to_do,
    make_folder,
    reports_errors,
    terminated_as_interrupted,
)
from .encode_job import EncodeJob
from .engine import AvEngine, Engine
from .engine_ffmpeg import ENCODERS, FfmpegEngine


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to write to."
)
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True, help="Frames from keyframe to keyframe.")
@click.option("--bitrate", type=Bitrate(), default="3M", show_default=True, help="Bits per second, as in 750k or 2.5M.")
@click.option("--fps", type=FrameRate(), help="Frames per second: of frames (25 by default), or to resample videos to.")
@click.option("--preset", type=click.Choice(PRESETS), default="medium", show_default=True, help="x264's speed.")
@execution_options
@click.option(
    "--engine",
    "engine_name",
    type=click.Choice(["av", "ffmpeg"]),
    default="av",
    show_default=True,
    help="What encodes: PyAV's libx264 in one pass, or your own ffmpeg (extra [ffmpeg]) in two.",
)
@click.option(
    "--encoder",
    type=click.Choice(ENCODERS),
    help="With --engine ffmpeg: libx264 (the default), or a hardware encoder, in one pass.",
)
@click.option("--ffmpeg", metavar="PATH", help="The binary of --engine ffmpeg. Default: FFMPEG, else ffmpeg on PATH.")
@click.option("-y", "existing", flag_value=Existing.REPLACE, help="Replace outputs that exist.")
@click.option("-n", "existing", flag_value=Existing.KEEP, help="Keep outputs that exist, encode the others.")
@click.option(
    "--resume", "existing", flag_value=Existing.RESUME, help="Keep outputs that are whole, encode the others."
)
@click.option("-v", "--verbose", is_flag=True, help="Print the equivalent ffmpeg commands.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@reports_errors("finished files are kept, the others left no trace; --resume goes on.")
def encode(
    sources: tuple[str, ...],
    output: Path,
    gop: int,
    bitrate: int,
    fps: Fraction | None,
    preset: str,
    engine_name: str,
    encoder: str | None,
    ffmpeg: str | None,
    jobs: int | None,
    ray: str | None,
    retries: int,
    manifest: Path | None,
    existing: Existing | None,
    verbose: bool,
    debug: bool,
) -> None:
    """Encode each SOURCE to DIR/NAME.mp4, with an account in DIR/NAME.json.

    A SOURCE is a video file, a folder of frames, a folder of such folders, or a glob. The H.264 has closed GOPs of
    exactly --gop frames, no B-frames and one reference, so that every motion vector points to the frame before; the
    bitrate is held within 5 % over ten seconds. Sound is left out; timestamps stay exact.
    """
    engine = _engine(engine_name, encoder, ffmpeg)
    settings = EncodeSettings(gop=gop, bitrate_bps=bitrate, preset=preset)
    planned = [EncodeJob(source, output, settings, fps, engine) for source in find_sources(sources)]
    make_folder(output)
    execution = Execution(jobs, ray, retries, manifest)
    account = execution.manifest_in(output)
    todo = jobs_to_do(planned, existing or Existing.REFUSE, account)
    if len(todo) < len(planned):
        click.echo(f"{len(planned) - len(todo)} of {len(planned)} outputs are there already and are kept.", err=True)
    outcomes = Outcomes(len(todo), lambda outcome: _summary(outcome, verbose), debug)
    with terminated_as_interrupted():
        execution.run(todo, account, outcomes)
    outcomes.finish()


def _engine(name: str, encoder: str | None, ffmpeg: str | None) -> Engine:
    if name == "ffmpeg":
        return FfmpegEngine.find(ffmpeg, encoder or ENCODERS[0])
    if encoder is not None or ffmpeg is not None:
        raise click.UsageError(f"{'--encoder' if encoder else '--ffmpeg'} is for --engine ffmpeg; give that too")
    return AvEngine()


def _summary(outcome: Outcome, verbose: bool) -> str:
    assert outcome.done is not None
    content = outcome.done.content
    height, width = content["size_hw"]
    lines = [content["ffmpeg_command"]] if verbose else []
    lines.append(
        f"{outcome.job.output}: {content['frame_count']} frames of {width}x{height}, "
        f"{content['bitrate_bps'] / 1e6:.3f} Mb/s, PSNR {content['psnr_db']['all']:.2f} dB, SSIM {content['ssim']:.4f}"
    )
    lines += [f"Warning: {outcome.job.source_path}: {text}" for text in _warnings(content)]
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

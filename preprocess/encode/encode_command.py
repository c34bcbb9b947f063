"""`preprocess encode`: its options, and what it tells the user."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import Existing, command, option
from ..jobs import encoding_options, execution_options, existing_outputs, output_option, stream_option
from .encoders import ENCODERS

if TYPE_CHECKING:
    from ..jobs import Outcome
    from .engine import Engine

ENGINE = "Engine"
_BAD_PSNR_DB = 20.0  # a picture of which little is left, whatever the others are like
_VISIBLE_PSNR_DB, _FAR_DB = 36.0, 10.0  # a loss that can be seen, and how far below the others it is worth a word


@command(interrupted="finished files are kept, the others left no trace; continue with --resume.")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@output_option
@encoding_options(
    frame_rate=None,
    fps="Frames per second of folders of frames (default: 25) and of raw streams, which store no times; other videos "
    "are resampled to it.",
)
@option(
    "--engine",
    "engine_name",
    type=click.Choice(["av", "ffmpeg"]),
    default="av",
    show_default=True,
    group=ENGINE,
    help="What encodes: PyAV's libx264 in one pass, or your own ffmpeg (extra [ffmpeg]) in two.",
)
@option(
    "--encoder",
    type=click.Choice(ENCODERS),
    group=ENGINE,
    help="With --engine ffmpeg: libx264 (the default), or a hardware encoder, in one pass.",
)
@option(
    "--ffmpeg",
    metavar="PATH",
    group=ENGINE,
    help="The binary of --engine ffmpeg. Default: FFMPEG, else ffmpeg on PATH.",
)
@stream_option
@execution_options
@existing_outputs
@option("-v", "--verbose", is_flag=True, help="Print which stream is read, and the equivalent ffmpeg commands.")
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
    stream: int | None,
    jobs: int | None,
    ray: str | None,
    retries: int,
    manifest: Path | None,
    existing: Existing,
    verbose: bool,
) -> None:
    """Encode each SOURCE to DIR/NAME.mp4, with a sidecar in DIR/NAME.json.

    A SOURCE is a video file, a folder of frames, a folder of such folders, or a glob. The H.264 has closed GOPs of
    exactly --gop frames, no B-frames and one reference, so that every motion vector points to the frame before; the
    bitrate is held within 5 % over ten seconds. Sound is dropped; timestamps stay exact.
    """
    from ...codec import EncodeSettings
    from ..jobs import Execution, check_can_be_read_again, find_sources, run_planned
    from .encode_job import EncodeJob

    engine = _engine(engine_name, encoder, ffmpeg)
    settings = EncodeSettings(gop=gop, bitrate_bps=bitrate, preset=preset)
    found = find_sources(sources)
    for source in found:
        check_can_be_read_again(source.path)
    planned = [EncodeJob(source, output, settings, fps, engine, stream) for source in found]
    execution = Execution(jobs, ray, retries, manifest)
    run_planned(planned, output, execution, existing, lambda outcome: _summary(outcome, verbose)).finish()


def _engine(name: str, encoder: str | None, ffmpeg: str | None) -> Engine:
    from .engine import AvEngine
    from .engine_ffmpeg import FfmpegEngine

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
    if verbose and content["source"]["stream"]:
        lines.insert(0, f"{outcome.job.source_path}: {content['source']['stream']}")
    lines.append(
        f"{outcome.job.output}: {content['frame_count']} frames of {width}x{height}, "
        f"{content['bitrate_bps'] / 1e6:.3f} Mb/s, PSNR {content['psnr_db']['all']:.2f} dB, SSIM {content['ssim']:.4f}"
    )
    lines += [f"Warning: {outcome.job.source_path}: {text}" for text in _warnings(content)]
    return "\n".join(lines)


def _warnings(content: dict[str, Any]) -> list[str]:
    from ...codec import TO_SDR, ColourTags

    source, texts = content["source"], []
    if broken := source["refused_packets"] + source["damaged_frames"]:
        texts.append(f"{broken} damaged packets or frames; check the picture there")
    if ColourTags(**content["colour"]).is_hdr:
        texts.append(f"is HDR (PQ or HLG) and stays so, in 8 bits, which segment-stream refuses; {TO_SDR}")
    declared = source["declared_frames"]
    if declared is not None and content["frame_count"] < 0.99 * declared - 1:
        texts.append(f"ends after {content['frame_count']} of {declared} frames; the file is cut off")
    if source["repaired_timestamps"]:
        texts.append(f"{source['repaired_timestamps']} timestamps did not increase and were moved")
    if jumps := source["time_jumps"]:
        first = f"by {jumps[0]['seconds']:+.2f} s before frame {jumps[0]['index']}"
        more = f" and {len(jumps) - 1} times more" if len(jumps) > 1 else ""
        texts.append(f"its clock jumps {first}{more}; times continue without the jump")
    worst, usual = content["worst_frame"], content["median_psnr_db"]
    if worst["psnr_db"] < max(_BAD_PSNR_DB, min(_VISIBLE_PSNR_DB, usual - _FAR_DB)):
        texts.append(
            f"frame {worst['index']} has {worst['psnr_db']:.1f} dB only, where the median is {usual:.1f}; look at it, "
            "or give more --bitrate"
        )
    if any(content["padding"].values()):
        texts.append("its odd size was padded by one replicated row or column, as 4:2:0 asks")
    asked, duration, gaps = content["settings"]["bitrate_bps"], content["duration_seconds"], content["gap_seconds"]
    if duration >= 10 and abs(content["bitrate_bps"] / asked - 1) > 0.05:
        why = f"its content needs {'no more' if content['bitrate_bps'] < asked else 'more'} at this size"
        if gaps > 0.05 * duration:
            why = f"in {gaps:.1f} of {duration:.1f} s it shows no new frame"
        texts.append(f"{content['bitrate_bps'] / 1e6:.3f} Mb/s instead of {asked / 1e6:g}: {why}")
    return texts

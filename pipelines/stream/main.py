"""`segment-stream`: the command line."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import click

from ... import __version__
from ...codec import EncodeError, InvalidDataError, SourceError
from ...data import DatasetError, PaletteError
from ...segnet import DEFAULT_MODEL, ModelError
from ..errors import StreamError, StreamUsageError
from ..modes import CARRIED, CHOICES, MODES
from .request import KINDS, StreamRequest, segment_stream

INTERRUPTED = 130
_INPUT_ERRORS = (StreamUsageError, ModelError, SourceError, InvalidDataError, DatasetError, PaletteError)


class CommandError(click.ClickException):
    """One line on standard error, exit status 1: something failed on the way."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(CommandError):
    """One line on standard error, exit status 2: bad usage or input."""

    exit_code = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: NAME_segmented.mp4, here.")
@click.option(
    "--mode",
    type=click.Choice([*MODES, "auto"]),
    default="auto",
    show_default=True,
    help="frame: the network on every frame. motion: on keyframes, carried along motion vectors between them. "
    "ar: between keyframes also a branch that sees shrunken frames. lr: that branch alone, on every frame. "
    "flow: as motion, along optical flow. guided: as motion, repaired by a small trained head. "
    "clip: an MRCFA network on every frame, with earlier ones. "
    "auto: motion wherever the stream or --reencode allows it, else frame.",
)
@click.option(
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    help="Shipped name, .safetensors file, or hf:NAME_OR_FOLDER of transformers.",
)
@click.option("--save", default="overlay", show_default=True, help=f"Of {', '.join(KINDS)}, comma-separated.")
@click.option("--palette", help="camvid, cityscapes, vspw or a file. Default: the one with the model's classes.")
@click.option("--opacity", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of the overlay's colour.")
@click.option(
    "--show-occlusion",
    is_flag=True,
    help="Hatch, in the overlay, what motion cannot explain: blocks without reference, in guided also other colours.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True)
@click.option(
    "--reencode",
    type=click.Choice(["auto", "never", "always"]),
    default="auto",
    show_default=True,
    help="Whether to encode anew, in memory, what gives no usable motion vectors.",
)
@click.option(
    "--gop-max",
    type=click.IntRange(1),
    help="Most frames from one keyframe to the next: the network sees a frame after so many, though the stream has no "
    "keyframe there. Default: the stream's own keyframes; 12 where it has none (periodic intra refresh).",
)
@click.option(
    "--lr-scale",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Modes ar and lr: what frames are shrunk to; one that the model has weights for.",
)
@click.option(
    "--interval",
    type=click.IntRange(1),
    help="Modes flow and guided: the network sees every so many frames. Default: the stream's keyframes.",
)
@click.option(
    "--flow-source",
    help="Modes flow and guided: dis (dense inverse search), none, motion (the codec's vectors), or light:FILE and the "
    "like, the flow network of a propagation model. Default: dis; of guided, what its head was trained with.",
)
@click.option(
    "--carry",
    type=click.Choice(CARRIED),
    help="Mode flow: the network's class scores, or the features that it classifies. Default: scores.",
)
@click.option(
    "--references",
    type=click.Choice(list(CHOICES)),
    help="Mode clip: which earlier frames it looks at. seconds: 0.6, 0.4 and 0.2 s before. fixed: 9, 6 and 3 frames. "
    "guided: by the codec's motion, frame types and quantisers, never across a cut. published: as MRCFA's code. "
    "Default: seconds.",
)
@click.option(
    "--guided-weights",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Mode guided: the propagation head. Default: NAME-guided.safetensors beside the model.",
)
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True, help="Frames a keyframe, re-encoding.")
@click.option(
    "--fps", type=click.FloatRange(0, min_open=True), default=25.0, show_default=True, help="Of still images."
)
@click.option("--start", type=click.FloatRange(0), help="Seconds from the first frame.")
@click.option("--end", type=click.FloatRange(0), help="Seconds from the first frame; that moment is left out.")
@click.option("--max-frames", type=click.IntRange(1))
@click.option("--stats", "stats_file", type=click.Path(path_type=Path, dir_okay=False), help="JSON file of timings.")
@click.option(
    "--live",
    type=click.Choice(["latest", "all"]),
    default="all",
    show_default=True,
    help="On an address, a camera or standard input: latest drops frames when the machine cannot keep up.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds without data after which an address or a camera counts as stalled.",
)
@click.option(
    "--reconnect",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="How often in a row to connect again to an address or a camera that stalls or drops; it goes on at the next "
    "keyframe, and gaps are reported.",
)
@click.option("-y", "overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("-n", "keep", is_flag=True, help="Leave outputs that exist alone, and call that a success.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where an interrupted run of the same options stopped: at the last keyframe that all outputs hold, with "
    "what they hold kept; frames before it are only decoded. A finished run is left alone. After Ctrl-C every output "
    "goes on; after a kill or a crash pictures and run lengths do, an overlay video begins anew.",
)
@click.option("-q", "--quiet", is_flag=True, help="No bar, no messages but errors.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__)
def main(debug: bool, save: str, **options: Any) -> None:
    """Label every frame of SOURCE and write it as a video with the labels over it.

    SOURCE is a video file, a folder or quoted glob of still images, an address (http://, rtsp://), the number of a
    camera, or - for a stream on standard input. With --save, NAME_labels/000000.png, NAME_color/000000.png and
    NAME.rle.jsonl are written beside the video NAME.mp4.
    """
    try:
        request = StreamRequest(save=tuple(kind.strip() for kind in save.split(",")), **options)
        outcome = segment_stream(request)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, _INPUT_ERRORS):
            raise InputError(str(error)) from error
        if isinstance(error, StreamError | EncodeError):
            raise CommandError(str(error)) from error
        where = "--debug shows where, please report it"
        raise CommandError(f"{options['source']}: {type(error).__name__}: {error}; {where}") from error
    if outcome.broken is not None:
        raise CommandError(f"{outcome.broken}; the outputs hold the frames before that")
    if outcome.interrupted:
        sys.exit(INTERRUPTED)

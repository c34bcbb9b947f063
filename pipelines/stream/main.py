"""`segment-stream`: the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from ... import console
from ...console import add_options, existing_options, option
from ...data import dataset_names
from ...segnet import RUNTIMES, default_runtime
from .. import openmp  # noqa: F401 - before anything imports torch
from ..modes import MODES
from ..precision import Precision
from .mode_options import mode_options
from .request import KINDS, LabelsFormat, Live, Reencode, StreamRequest

INPUT, NETWORK, MODE, OUTPUT, LIVE, MANY, RUNNING = (
    "Input",
    "Network",
    "Mode",
    "Output",
    "Live",
    "Many workers",
    "Running",
)
_RESUME = (
    "Continue an interrupted run that had the same options, from the last keyframe that all outputs contain; the "
    "frames before it are decoded only. A finished run is left alone. After Ctrl-C, or if the source broke off, every "
    "output is continued; after a kill or a crash, pictures and run lengths are, and an overlay video starts again."
)


def _options() -> list[Any]:
    default = {name: each.default for name, each in StreamRequest.__dataclass_fields__.items()}
    modes = " ".join(f"{mode.name}: {mode.help}." for mode in MODES.values())
    return [
        click.argument("sources", metavar="SOURCE...", nargs=-1, required=True),
        option(
            "--reencode",
            group=INPUT,
            type=click.Choice(get_args(Reencode)),
            default=default["reencode"],
            show_default=True,
            help="Whether to re-encode, in memory, a source that gives no usable motion vectors.",
        ),
        option(
            "--gop",
            group=INPUT,
            type=click.IntRange(1),
            default=default["gop"],
            show_default=True,
            help="Frames from one keyframe to the next when re-encoding.",
        ),
        option(
            "--gop-max",
            group=INPUT,
            type=click.IntRange(1),
            help="Longest distance between keyframes: after this many frames the network runs again, even if the "
            "stream has no keyframe there. Default: the stream's own keyframes, or 12 if it has none (periodic intra "
            "refresh).",
        ),
        option(
            "--fps",
            group=INPUT,
            type=click.FloatRange(0, min_open=True),
            help="Frame rate of still images, and of video that stores no times. Default: 25, or what the "
            "video stream says.",
        ),
        option(
            "--stream",
            group=INPUT,
            type=click.IntRange(0),
            help="Number of the video stream, as FFmpeg counts streams. Default: the one flagged as default, else the "
            "largest; never a cover picture. -v says which.",
        ),
        option("--start", group=INPUT, type=click.FloatRange(0), help="Start this many seconds after the first frame."),
        option(
            "--end",
            group=INPUT,
            type=click.FloatRange(0),
            help="Stop this many seconds after the first frame; a frame at exactly that time is left out.",
        ),
        option("--max-frames", group=INPUT, type=click.IntRange(1), help="Label at most this many frames."),
        option(
            "--model",
            group=NETWORK,
            default=default["model"],
            show_default=True,
            help="A shipped name, a .safetensors file, or hf:NAME_OR_FOLDER for a model of transformers.",
        ),
        option(
            "--device",
            group=NETWORK,
            default=default["device"],
            show_default=True,
            help="auto (CUDA if there is one), cpu, cuda, cuda:N, or another accelerator that torch knows, such as "
            "mps or xpu.",
        ),
        option(
            "--precision",
            group=NETWORK,
            type=click.Choice(get_args(Precision)),
            default=default["precision"],
            show_default=True,
            help="auto takes whichever is fastest on this machine. int8: on OpenVINO, from a graph that export-segnet "
            "quantised.",
        ),
        option(
            "--runtime",
            group=NETWORK,
            type=click.Choice(RUNTIMES),
            default=default_runtime,
            show_default="auto, or $GOPSEG_RUNTIME",
            help="What computes the network. auto: OpenVINO on a CPU, where it is installed (extra openvino), else "
            "torch. -v says which.",
        ),
        option(
            "--mode",
            group=MODE,
            type=click.Choice(list(MODES)),
            default=default["mode"],
            show_default=True,
            help=f"{modes} Where neither the stream nor --reencode allows motion, auto is frame.",
        ),
        *(lambda function, each=each: _add(function, each) for each in mode_options(MODE)),
        option(
            "-o", "--output", group=OUTPUT, type=click.Path(path_type=Path), help="Default: NAME_segmented.mp4, here."
        ),
        option(
            "--save",
            group=OUTPUT,
            default="overlay",
            show_default=True,
            help=f"What to write, comma-separated: {', '.join(KINDS)}.",
        ),
        option(
            "--labels-format",
            group=OUTPUT,
            type=click.Choice(get_args(LabelsFormat)),
            default=default["labels_format"],
            show_default=True,
            help="Kind of the labels' PNG files, 8 bits either way: with the classes' colours as a palette, or plain "
            "gray, for programs that would read the colours instead of the classes.",
        ),
        option(
            "--palette",
            group=OUTPUT,
            help=f"Colours of the classes: {', '.join(dataset_names())}, a .json or .csv file, or a folder with "
            "classes.json. Default: those of the model's classes.",
        ),
        option(
            "--opacity",
            group=OUTPUT,
            type=click.FloatRange(0, 1),
            default=default["opacity"],
            show_default=True,
            help="Opacity of the overlay's colours.",
        ),
        option(
            "--audio/--no-audio",
            group=OUTPUT,
            default=default["audio"],
            show_default=True,
            help="Whether to copy the sound of a file into the overlay video.",
        ),
        option(
            "--show-occlusion",
            group=OUTPUT,
            is_flag=True,
            help="In the overlay, hatch what motion cannot explain: blocks without a reference, and in mode guided "
            "also pixels whose colour has changed.",
        ),
        option(
            "--stats",
            "stats_file",
            group=OUTPUT,
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write timings to this JSON file.",
        ),
        option(
            "--live",
            group=LIVE,
            type=click.Choice(get_args(Live)),
            default=default["live"],
            show_default=True,
            help="For an address, a camera or standard input: latest drops frames when the machine cannot keep up, "
            "all never.",
        ),
        option(
            "--timeout",
            group=LIVE,
            type=click.FloatRange(0, min_open=True),
            default=default["timeout"],
            show_default=True,
            help="Seconds without data after which an address or a camera counts as stalled.",
        ),
        option(
            "--reconnect",
            group=LIVE,
            type=click.IntRange(0),
            default=default["reconnect"],
            show_default=True,
            help="How many times in a row to reconnect to an address or a camera that stalls or drops. Labelling "
            "continues at the next keyframe, and gaps are reported.",
        ),
        option(
            "--jobs",
            group=MANY,
            type=click.IntRange(1),
            metavar="N",
            help="Processes that share the work, at most: each has its share of the cores, and fewer are started where "
            "there is too little to do for so many. Long files are cut at keyframes and joined again, wherever that "
            "changes no label; docs/jobs.md says where not. Default: 1, and on a cluster one a GPU, or a core.",
        ),
        option(
            "--ray",
            group=MANY,
            metavar="ADDRESS",
            help="Share the work on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for this machine's "
            "processes. All machines must see the files under the same paths.",
        ),
        existing_options(resume=_RESUME),
        option("-v", "--verbose", group=RUNNING, is_flag=True, help="Say which stream of the source is read."),
        option("-q", "--quiet", group=RUNNING, is_flag=True, help="No progress bar, and no messages except errors."),
    ]


def _add(function: Any, parameter: click.Parameter) -> Any:
    function.__click_params__ = [*getattr(function, "__click_params__", []), parameter]
    return function


def build_command() -> console.Command:
    """The command, with the options of the modes that are registered now."""

    def run(
        sources: tuple[str, ...],
        save: str,
        existing: console.Existing,
        jobs: int | None,
        ray: str | None,
        output: Path | None,
        stats_file: Path | None,
        **options: Any,
    ) -> None:
        from .jobs import label

        own = {each.name: options.pop(str(each.name)) for each in mode_options(MODE)}
        given = {str(name): value for name, value in own.items() if value is not None}
        kinds = tuple(kind.strip() for kind in save.split(","))

        def request_for(source: str) -> StreamRequest:
            return StreamRequest(
                source=source,
                output=output,
                stats_file=stats_file,
                save=kinds,
                options=given,
                existing=existing,
                **options,
            )

        if label(sources, request_for, jobs, ray):
            click.get_current_context().exit(console.INTERRUPTED)

    run.__doc__ = """Label every frame of SOURCE and write it as a video with the labels over it.

    SOURCE is a video file, a folder or quoted glob of still images, an address (http://, rtsp://), the number of a
    camera, or - for a stream on standard input. With --save, NAME_labels/000000.png, NAME_color/000000.png and
    NAME.rle.jsonl are written beside the video NAME.mp4, with NAME.classes.json, the classes' names and colours.

    Of several sources, a folder of videos or a glob of them, -o is the folder for the outputs, NAME.mp4 of each.
    """
    return console.command("segment-stream", interrupted="stopped before the first frame; nothing is left.")(
        add_options(_options())(run)
    )


main = build_command()

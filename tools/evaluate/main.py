"""`evaluate-segnet`: accuracy on labelled frames, or agreement with the per-frame network on any video; its options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from ...console import Existing, add_options, command, existing_options, option
from ...data import known_datasets
from ...errors import InputError
from ...files import not_left_empty
from ...options import Bitrate
from ...pipelines import MODES, Precision
from ...segnet import DEFAULT_MODEL, RUNTIMES, default_runtime
from .variants import ALIASES

DATA, MODELS, STREAMS, STILLS, RUNNING, OUTPUT = "Data", "Models", "Streams", "Stills", "Running", "Output"

LABELLED_ONLY = (
    "dataset",
    "root",
    "split",
    "frames",
    "limit",
    "fps",
    "consistency",
    "by_interval",
    "stills",
    "flip",
    "scales",
    "encode",
)
"""Options that mean nothing without labels."""

OPTIONS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
    click.argument(
        "videos", metavar="[VIDEO]...", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False)
    ),
    option("--dataset", group=DATA, metavar="NAME|DIR", default="camvid", show_default=True, help=known_datasets()),
    option(
        "--root",
        group=DATA,
        type=click.Path(path_type=Path),
        help="If --dataset is a name: its folder, or one that AR-Seg's scripts processed (such as 3M-GOP12).",
    ),
    option("--split", group=DATA, help="Default: val, if there is one of this name."),
    option(
        "--frames",
        group=DATA,
        type=click.Path(path_type=Path),
        help="CamVid's extracted videos, SCENE/SCENE_000001.png, ...: every labelled frame at every distance (sparse).",
    ),
    option("--limit", group=DATA, type=click.IntRange(1), help="Score only this many labelled frames, the first ones."),
    option(
        "--max-frames",
        group=DATA,
        type=click.IntRange(1),
        help="Look at only this many frames of each VIDEO, the first ones.",
    ),
    option(
        "--absent",
        group=DATA,
        multiple=True,
        metavar="CLASS[:PIXELS]",
        help="A class that the VIDEO files do not show: in how many frames more than 50, or PIXELS, pixels have it all "
        "the same; repeatable.",
    ),
    option(
        "--model",
        group=MODELS,
        default=DEFAULT_MODEL,
        show_default=True,
        help="Shipped name, .safetensors file, or hf:NAME_OR_FOLDER (transformers), with the data set's classes.",
    ),
    option(
        "--modes",
        group=MODELS,
        default="frame,motion",
        show_default=True,
        help=f"Modes to score, comma-separated: {', '.join((*ALIASES, *MODES))} (hr is frame); MODE@MODEL runs one "
        "with another model.",
    ),
    option("--lr-scales", group=MODELS, help="LR scales, for modes with an LR branch: 0.3..0.9, or a list."),
    option(
        "--sweep",
        group=MODELS,
        multiple=True,
        metavar="KEY=VALUES",
        help="Several values of any mode option, as in refresh_above=0.29,0.6.",
    ),
    option(
        "--gop",
        group=STREAMS,
        default="12",
        show_default=True,
        help="GOP lengths: one or several, as in 4,8,12. A VIDEO is encoded anew only with this or --bitrate.",
    ),
    option(
        "--bitrate",
        group=STREAMS,
        type=Bitrate(),
        multiple=True,
        default=["3M"],
        show_default=True,
        help="Bits per second, as in 750k or 2.5M; repeatable.",
    ),
    option(
        "--encode",
        group=STREAMS,
        type=click.Choice(["gops", "x264"]),
        default="gops",
        show_default=True,
        help="How labelled video is encoded: in closed GOPs of --gop frames without B-frames, or each sequence once by "
        "libx264's own defaults (B-frames, several references, GOPs of up to 250), as most video is.",
    ),
    option(
        "--fps",
        group=STREAMS,
        type=click.FloatRange(0, min_open=True),
        help="Default: the data set's (CamVid: 15 dense, 30 sparse; Cityscapes 17).",
    ),
    option(
        "--consistency",
        group=STREAMS,
        type=click.Choice(["flow", "raft", "codec", "none"]),
        default="flow",
        show_default=True,
        help="The motion that temporal consistency is measured along: optical flow of the source frames (DIS, or "
        "torchvision's RAFT), or the stream's motion vectors.",
    ),
    option(
        "--by-interval",
        group=STREAMS,
        is_flag=True,
        help="Also give a table for every number of frames between keyframes.",
    ),
    option(
        "--stills", group=STILLS, is_flag=True, help="Score every labelled frame as a still image, without encoding it."
    ),
    option("--flip", group=STILLS, is_flag=True, help="Average with the mirrored picture."),
    option(
        "--scales", group=STILLS, default="1", show_default=True, help="Average over these sizes, as in 0.75,1,1.25."
    ),
    option("--device", group=RUNNING, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    option(
        "--precision",
        group=RUNNING,
        type=click.Choice(get_args(Precision)),
        default="auto",
        show_default=True,
        help="auto takes the fastest on this device. int8: OpenVINO, from a graph that export-segnet quantised.",
    ),
    option(
        "--runtime",
        group=RUNNING,
        type=click.Choice(RUNTIMES),
        default=default_runtime,
        show_default="auto, or $GOPSEG_RUNTIME",
        help="What computes the network. auto: OpenVINO on a CPU, where it is installed, else torch.",
    ),
    option(
        "--cache",
        group=RUNNING,
        type=click.Path(path_type=Path, file_okay=False),
        help="A folder of what the network said of each picture, which is added to, so that the network sees no "
        "picture twice, whenever it is measured again.",
    ),
    option(
        "-o",
        "--output",
        group=OUTPUT,
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for report.html, .json, .csv and the text files.",
    ),
    existing_options(),
]


@command("evaluate-segnet", interrupted="no report was written.")
@add_options(OPTIONS)
def main(output: Path | None, existing: Existing, videos: tuple[Path, ...], **options: Any) -> None:
    """Score modes on labelled frames: mIoU at every distance to the keyframe (mIoU_d).

    Densely labelled video (CamVid val) is encoded once for each distance, but each of VSPW's many videos only once; in
    sparsely labelled video (Cityscapes, CamVid with --frames), every labelled frame is encoded at each distance. All
    modes see the same decoded frames. If --gop, --bitrate, --lr-scales or --sweep have several values, every
    combination is evaluated.

    With VIDEO files no labels are needed: the modes' agreement with the per-frame network of --model on the same
    decoded frames is measured, beside that network's own flicker. It says what a mode loses, not how right it is.
    """
    given = {name for name in options if _is_given(name)}
    if videos and (foreign := [name for name in LABELLED_ONLY if name in given]):
        raise InputError(
            f"--{foreign[0].replace('_', '-')} is for labelled data, and VIDEO '{videos[0]}' has no labels; "
            "leave one of them out"
        )
    if not videos and "max_frames" in given:
        raise InputError("--max-frames is for VIDEO files; for labelled data take --limit")
    if not videos and "absent" in given:
        raise InputError("--absent is for VIDEO files; labelled data says itself where a class is absent")
    if options["encode"] != "gops" and (foreign := [name for name in ("gop", "bitrate", "stills") if name in given]):
        raise InputError(f"--{foreign[0]} does not go with --encode {options['encode']}; leave one of them out")
    report = None if output is None else output / "report.html"
    if report is not None and report.exists() and existing is not Existing.REPLACE:
        if existing is Existing.KEEP:
            click.echo(f"{report} is there already and is kept.", err=True)
            return
        raise InputError(f"'{report}' exists; give -y to replace it, or another folder by -o")
    with not_left_empty(output):
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)  # now, not after an hour's work
        if videos:
            from .agreeing import agree

            streams: dict[str, Any] = {name: options[name] if name in given else None for name in ("gop", "bitrate")}
            rest = {name: value for name, value in options.items() if name not in (*LABELLED_ONLY, *streams)}
            agree(videos=videos, output=output, **streams, **rest)
        else:
            from .evaluating import evaluate

            options = {name: value for name, value in options.items() if name not in ("max_frames", "absent")}
            evaluate(output=output, **options)
    if report is not None:
        click.echo(f"report: {report.resolve()}")


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not None and source is not ParameterSource.DEFAULT


if __name__ == "__main__":
    main()

"""Options that several subcommands of `preprocess` have; what they mean is imported when a command runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ...codec import PRESETS
from ...console import add_options, existing_options, option
from ...options import Bitrate, FrameRate

F = TypeVar("F", bound=Callable[..., Any])
_WORK, _ENCODING = "Many sources", "Encoding"
output_option = option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to write to."
)
"""`-o DIR`, as `output`."""
existing_outputs = existing_options(resume="Keep complete outputs, make the others.")
"""`-y`, `-n` and `--resume`, as `existing`."""


stream_option = option(
    "--stream",
    type=click.IntRange(0),
    metavar="N",
    help="The video stream to read, by FFmpeg's number. Default: the one flagged as default, else the largest; never a "
    "cover picture. -v says which.",
)
"""`--stream N`, as `stream`."""


def encoding_options(
    *,
    frame_rate: str | None,
    fps: str,
    gop: str = "Frames from keyframe to keyframe.",
    several: bool = False,
) -> Callable[[F], F]:
    """--gop (with help `gop`), --bitrate, --fps (default `frame_rate`, help `fps`) and --preset.

    With `several`, --bitrate may be given more than once, and comes as the tuple `bitrates`.
    """
    help_ = "Bits per second, as in 750k or 2.5M"
    rate: dict[str, Any] = {"type": Bitrate(), "show_default": True, "group": _ENCODING}
    options: list[Callable[[F], F]] = [
        option("--gop", type=click.IntRange(1), default=12, show_default=True, group=_ENCODING, help=gop),
        option(
            "--bitrate", "bitrates", multiple=True, default=["3M"], help=f"{help_}; several are used in turn.", **rate
        )
        if several
        else option("--bitrate", default="3M", help=f"{help_}.", **rate),
        option(
            "--fps",
            type=FrameRate(),
            default=frame_rate,
            show_default=frame_rate is not None,
            group=_ENCODING,
            help=fps,
        ),
        option(
            "--preset",
            type=click.Choice(PRESETS),
            default="medium",
            show_default=True,
            group=_ENCODING,
            help="x264's speed.",
        ),
    ]
    return add_options(options)


def execution_options(command: F) -> F:
    """Give a command the options --jobs, --ray, --retries and --manifest, named like Execution's fields."""
    options: list[Callable[[F], F]] = [
        option(
            "--jobs",
            type=click.IntRange(1),
            group=_WORK,
            help="Sources at a time. Default: 1; with --ray, one per CPU of the cluster.",
        ),
        option(
            "--ray",
            metavar="ADDRESS",
            group=_WORK,
            help="Use a Ray cluster: local, auto, HOST:PORT or ray://HOST:PORT.",
        ),
        option(
            "--retries",
            type=click.IntRange(0),
            default=2,
            show_default=True,
            group=_WORK,
            help="With --ray: how often to retry a source whose worker died.",
        ),
        option(
            "--manifest",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            group=_WORK,
            help="Append one JSON line per source: status, attempts, output, sha256, seconds, worker. --resume reads "
            "it. Default with --ray: manifest.jsonl beside the outputs.",
        ),
    ]
    return add_options(options)(command)


def reader_option(command: F) -> F:
    """Give a command the option --reader, one of READERS."""
    return option(
        "--reader",
        type=click.Choice(["av", "mvextractor"]),
        default="av",
        show_default=True,
        help="What reads vectors and frame types; mvextractor (extra of that name) serves to check ours.",
    )(command)

"""The commands of `gopseg benchmark`; what they measure with is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from ...codec import PRESETS
from ...console import command, option
from ...options import Numbers, Size
from ...pipelines import Precision
from ...segnet import DEFAULT_MODEL, RUNTIMES

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
SIZES = ((480, 360), (1280, 720), (1920, 1080))


@command("network")
@option(
    "--model",
    "models",
    multiple=True,
    default=[DEFAULT_MODEL],
    show_default=True,
    help="Shipped name, .safetensors file or hf:NAME; repeatable.",
)
@option("--size", type=Size("WxH", example="480x360"), default="480x360", show_default=True, help="Of the picture.")
@option("--repeats", type=click.IntRange(1), default=9, show_default=True, help="Rounds; each runs every row once.")
@option(
    "--rows",
    help="Some of the rows, comma-separated: torch fp32 eager, torch as loaded, openvino fp32, openvino int8, onnx "
    "fp32. Default: all.",
)
def network(models: tuple[str, ...], size: tuple[int, int], repeats: int, rows: str | None) -> None:
    """Time the network on one picture on every runtime: JSON on standard output, a table on standard error.

    Rows take turns in one process, on as many threads as OMP_NUM_THREADS says; medians are given, by the clock and of
    processor time, which other programs disturb less. "torch fp32 eager" is the network as it was trained, "torch as
    loaded" what segment-stream makes of it in torch. Rows that cannot be made here are left out, with the reason.
    """
    from ...errors import InputError
    from .networks import ROWS, compare_networks

    chosen = ROWS if rows is None else tuple(row.strip() for row in rows.split(","))
    unknown = [row for row in chosen if row not in ROWS]
    if unknown:
        raise InputError(f"--rows: unknown row '{unknown[0]}'; there are: {', '.join(ROWS)}")
    width, height = size
    compare_networks(models, (height, width), repeats, chosen)


@command("threads")
@click.argument("video", type=click.Path(path_type=Path, exists=True))
@option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name or .safetensors file.")
@option("--mode", default="frame", show_default=True, help="The mode to run.")
@option("--runtime", type=click.Choice(RUNTIMES), default="auto", show_default=True, help="What computes the network.")
@option("--threads", default="1,2", show_default=True, help="Threads of the network, comma-separated.")
@option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Rounds; each runs every number once.")
@option("--max-frames", type=click.IntRange(1), help="Most frames per run.")
def threads(
    video: Path, model: str, mode: str, runtime: str, threads: str, repeats: int, max_frames: int | None
) -> None:
    """How VIDEO is labelled fastest: by how many threads of the network, and how many pictures at a time, in fp32.

    Frames per second of `segment-stream` with each number of threads for the network, where the reader, the labels and
    the writer have threads of their own; and of the network alone with as many threads for a picture, and with as many
    pictures at a time on one thread each. Runs take turns; medians are given as JSON.
    """
    from ...errors import InputError
    from .threads import compare_threads

    counts = [int(part) for part in threads.split(",") if part.strip().isdecimal() and int(part)]
    if not counts or len(counts) != len(threads.split(",")):
        raise InputError(f"--threads: '{threads}' is no list of numbers of threads; give it as in 1,2")
    compare_threads(video, model, mode, runtime, counts, repeats, max_frames)


@command("speed")
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=FILE)
@option(
    "--size",
    "sizes",
    type=Size("WxH", example="1280x720"),
    multiple=True,
    help="Scale each VIDEO to this size and encode it anew; repeatable. Default: 480x360, 1280x720 and 1920x1080.",
)
@option("--as-is", is_flag=True, help="Measure each VIDEO as it is.")
@option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name or .safetensors file.")
@option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@option("--precision", type=click.Choice(get_args(Precision)), default="auto", show_default=True, help="Of networks.")
@option("--runtime", type=click.Choice(RUNTIMES), default="auto", show_default=True, help="What computes the network.")
@option("--rows", help="Some of the rows only, comma-separated, by how their names begin, as in decoding,mode auto.")
@option("--frames", type=click.IntRange(2), default=48, show_default=True, help="Most frames per run.")
@option("--gop", type=click.IntRange(1), default=48, show_default=True, help="Keyframe distance when encoding anew.")
@option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Rounds; each runs every row once.")
@option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="About how long a run is to take: slow rows do fewer frames, but some; very slow ones take part in one round.",
)
@option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures to this file.")
@option("--markdown", is_flag=True, help="Print tables for Markdown, with the stages.")
def speed(
    videos: tuple[Path, ...],
    sizes: tuple[tuple[int, int], ...],
    as_is: bool,
    rows: str | None,
    file: Path | None,
    markdown: bool,
    **options: Any,
) -> None:
    """Every way of reading VIDEO and every mode, beside decoding and transcoding, and peers, in one run.

    The peers are a plain loop around a network, in torch (fp32, eager) and OpenVINO, mvextractor, and AR-Seg written
    down plainly. What is not installed, or has no weights, is left out, and the reason given.

    Rows take turns; each round begins with another one, after one that warms up. Medians over the rounds are given, and
    ratios are of runs of the same round. Rows "between keyframes" leave out the network's time and frames. The last
    column says what bounds a row: its busiest thread, and that one's longest stage.
    """
    from ...errors import InputError
    from .speed import Choices, measure_speed

    if as_is and sizes:
        raise InputError("--as-is and --size contradict each other; leave one out")
    chosen = Choices(
        sizes_hw=() if as_is else tuple((height, width) for width, height in sizes or SIZES),
        rows=() if rows is None else tuple(row.strip() for row in rows.split(",")),
        **options,
    )
    measure_speed(videos, chosen, file, markdown=markdown)


@command("memory")
@option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name or .safetensors file.")
@option("--mode", default="motion", show_default=True, help="The mode to measure.")
@option("--short", type=click.IntRange(1), default=500, show_default=True, help="Frames of the short run.")
@option("--long", "long_", type=click.IntRange(1), default=10_000, show_default=True, help="Frames of the long run.")
def memory(model: str, mode: str, short: int, long_: int) -> None:
    """Compare the peak memory of a long and a short run of `segment-stream`, each fed through a pipe.

    The stream (160x120, a keyframe every 48 frames) is encoded on the fly. Exit status 1 if the long run needs over
    10 % more.
    """
    from .memory import measure_memory

    measure_memory(model, mode, short, long_)


@command("endurance")
@click.argument("video", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, help="Length of the run."
)
@option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name or .safetensors file.")
@option("--mode", default="motion", show_default=True, help="The mode to measure.")
@option("--save", default="overlay,rle", show_default=True, help="The outputs, as in segment-stream.")
def endurance(video: Path | None, minutes: float, model: str, mode: str, save: str) -> None:
    """Label a long file, and report rate, processor time and memory of each tenth of it.

    The file is VIDEO, or a small rendered pan (160x120, a keyframe every 48 frames), repeated without encoding. Exit
    status 1 if the last tenth needs over 10 % more memory than the second.
    """
    from .endurance import measure_endurance

    measure_endurance(video, minutes, model, mode, save)


@command("jobs")
@click.argument("video", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@option("--jobs", "counts", type=Numbers("numbers"), default="1,2", show_default=True, help="Workers, one run each.")
@option("--minutes", type=click.FloatRange(0, min_open=True), default=2.0, show_default=True, help="Length of the run.")
@option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Rounds; each runs every number once.")
@option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name or .safetensors file.")
@option("--mode", default="motion", show_default=True, help="The mode to measure.")
@option("--save", default="overlay,labels", show_default=True, help="The outputs, as in segment-stream.")
def jobs(video: Path, counts: tuple[int, ...], minutes: float, repeats: int, model: str, mode: str, save: str) -> None:
    """Frames per second of `segment-stream --jobs` on VIDEO, repeated without encoding to a file of `--minutes`.

    Whole runs are timed, with the start of the processes and the joining of the outputs. The numbers of workers take
    turns; medians are given. `cpu_ms_per_frame` is processor time of all workers, which other programs disturb less
    than the wall clock.
    """
    from .endurance import compare_jobs

    model = str(Path(model).resolve()) if Path(model).is_file() else model  # it runs in a folder of its own
    compare_jobs(video, minutes, counts, repeats, ["--model", model, "--mode", mode, "--save", save])


@command("encode")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Pairs of runs to time.")
@option("--seconds", type=float, default=10.0, show_default=True, help="Length over which bitrates are checked.")
@option(
    "--preset",
    "presets",
    multiple=True,
    type=click.Choice(PRESETS),
    default=("medium", "veryfast"),
    show_default=True,
    help="x264's speed; several are measured in turn.",
)
@option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def encode(source: Path, runs: int, seconds: float, presets: tuple[str, ...], as_json: bool) -> None:
    """Measure `preprocess encode` on the video SOURCE.

    Speed: a complete job (decoding, encoding, quality metrics, hashes, sidecar) compared with decoding and encoding by
    PyAV alone, with the same x264 options and x264's own choice of threads. The runs alternate, so that both see the
    same machine load.
    """
    from .encode import measure_encoding

    measure_encoding(source, runs, seconds, presets, as_json)


@command("attention")
@option(
    "--shape",
    type=Size("CxHxW", example="64x720x960"),
    default="64x720x960",
    show_default=True,
    help="Shape of query and key.",
)
@option("--values", type=click.IntRange(1), help="Channels of the value. [default: those of the key]")
@option(
    "--window", type=click.IntRange(1), default=7, show_default=True, help="Side of the neighbourhood, an odd number."
)
@option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Rounds.")
@option("--definition", is_flag=True, help="Also time the definition, which takes window^2 times the memory.")
@option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where the maps are.")
def attention(
    shape: tuple[int, int, int], values: int | None, window: int, repeat: int, definition: bool, device: str
) -> None:
    """Time local attention on maps of random numbers, float32, channels-last, forward only.

    Gives medians over the rounds after a warm-up; on the CPU also of processor time, which other programs disturb less.
    Results go to standard output as JSON.
    """
    from .attention import measure_attention

    measure_attention(shape, values, window, repeat, definition, device)

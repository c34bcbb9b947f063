"""`train-segnet router`: the predictor by which mode auto decides, fitted on any video with a network's own labels."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, get_args

import click

from ...console import Existing, command, existing_options, option
from ...errors import InputError
from ...pipelines import Precision
from ...segnet import RUNTIMES, default_runtime
from .options import RUN

DATA = "Data"
VIDEO = click.Path(path_type=Path, exists=True, dir_okay=False)


@command(interrupted="nothing was written.")
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=VIDEO)
@option("--check", type=VIDEO, multiple=True, group=DATA, help="A video to score, not to fit; repeatable.")
@option("--max-frames", type=click.IntRange(2), group=DATA, help="Frames of each video, the first ones.")
@option(
    "--interval",
    "intervals",
    type=click.IntRange(2),
    multiple=True,
    default=(3, 8, 20, 50),
    show_default=True,
    group=DATA,
    help="Frames between runs of the network, repeatable; each video is carried in each of these ways, and from the "
    "stream's own keyframes.",
)
@option("--model", default="swiftnet-lite0-camvid", show_default=True, group=RUN, help="The network to foresee.")
@option("--device", default="auto", show_default=True, group=RUN, help="auto, cpu, cuda or cuda:N.")
@option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    group=RUN,
    help="As of evaluate-segnet.",
)
@option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default=default_runtime,
    show_default="auto, or $GOPSEG_RUNTIME",
    group=RUN,
    help="As of evaluate-segnet.",
)
@option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    group=RUN,
    help="Folder of what the network said of each picture, which is added to; a network sees no picture twice.",
)
@option("-o", "--output", type=click.Path(path_type=Path), required=True, group=RUN, help="FILE.json to write.")
@existing_options()
def router(
    videos: tuple[Path, ...],
    check: tuple[Path, ...],
    max_frames: int | None,
    intervals: tuple[int, ...],
    model: str,
    device: str,
    precision: Any,
    runtime: Any,
    cache: Path | None,
    output: Path,
    existing: Existing,
) -> None:
    """Fit the router of mode auto on videos without labels.

    The network of --model labels every frame of each VIDEO; its labels are also carried from frames as far apart as
    --interval says, and what differs is foreseen by a logistic regression on what the codec and the decoder tell of
    each cell. NAME-router.json beside a network NAME.safetensors is that network's own router.
    """
    if output.suffix != ".json":
        raise InputError(f"-o '{output}': a router's file is NAME.json; give such a name")
    if output.exists() and existing is not Existing.REPLACE:
        if existing is Existing.KEEP:
            click.echo(f"{output} is there already and is kept.", err=True)
            return
        raise InputError(f"'{output}' exists; give -y to replace it, or another file by -o")
    if not output.absolute().parent.is_dir():
        raise InputError(f"-o '{output}': its folder is not there; make it, or choose another")
    from tqdm import tqdm

    from ...files import whole_file
    from ...segnet import load_network
    from ..known_logits import KnowingRunner
    from ..provenance import sha256
    from .routing import check_carried, fit_predictor, gather, score_predictor

    for video in (*videos, *check):  # before hours are spent on the others
        check_carried(video)
    gathered = []
    with tempfile.TemporaryDirectory() as folder, tqdm(unit="frame", disable=None) as bar:
        runner = KnowingRunner(
            load_network(model), device=device, precision=precision, runtime=runtime, cache=cache or Path(folder)
        )
        for video in (*videos, *check):
            bar.set_description(video.name)
            gathered.append(gather(video, runner, intervals, max_frames, bar.update))
    fitted = [each for each in gathered[: len(videos)] if len(each.wrong)]
    if not fitted:
        raise InputError(
            f"'{videos[0]}': has no frame between keyframes to which anything is carried; give other videos"
        )
    predictor = fit_predictor(fitted)
    scores = [score_predictor(predictor, each) for each in gathered]
    for score in scores:
        click.echo("  ".join(f"{name} {value}" for name, value in score.items()))
    record = predictor.record() | {
        "model": model,
        "fitted": scores[: len(videos)],
        "checked": scores[len(videos) :],
        "videos_sha256": {video.name: sha256(video.read_bytes()) for video in (*videos, *check)},
        "intervals": list(intervals),
        "max_frames": max_frames,
    }
    with whole_file(output) as part:
        part.write_text(json.dumps(record, indent=2) + "\n")
    click.echo(f"router: {output.resolve()}")

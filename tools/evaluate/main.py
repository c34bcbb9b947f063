"""`evaluate-segnet`: accuracy on labelled frames, by distance to the keyframe or on stills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ... import __version__
from ...console import command
from ...data import Dataset, known_datasets, open_dataset
from ...options import Bitrate
from ...pipelines import MODES, NetworkRunner, upsample_labels
from ...segnet import DEFAULT_MODEL, ConfusionMatrix, find_weights, load_network
from ..console import InputError, hardware, sha256
from ..report import Gallery, bitrate_tag, write_html, write_tables
from .averaging import Views, averaged_labels, separate_views
from .classes import Relabelling, match_classes
from .layouts import data_sha256, files_sha256, open_protocol
from .protocols import ClipProtocol, Protocol
from .scoring import Evaluation, ModeResult
from .shared_runner import SharedRunner
from .variants import ALIASES, Variant, backbone_name, branch_files, make_variants, parse_sweeps, parse_values


@command()
@click.option("--dataset", metavar="NAME|DIR", default="camvid", show_default=True, help=f"{known_datasets()}.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="If --dataset is a name: its folder, or one that AR-Seg's scripts processed (such as 3M-GOP12).",
)
@click.option("--split", help="The data set's split. Default: val, if there is one of this name.")
@click.option(
    "--frames",
    type=click.Path(path_type=Path),
    help="CamVid's extracted videos, SCENE/SCENE_000001.png, ...: every labelled frame at every distance (sparse).",
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name or .safetensors file.")
@click.option(
    "--modes",
    default="frame,motion",
    show_default=True,
    help=f"Of {', '.join((*ALIASES, *MODES))} (hr is frame), comma-separated; MODE@MODEL takes another model.",
)
@click.option("--lr-scales", help="LR scales of the modes that have one: 0.3..0.9, or a list.")
@click.option("--sweep", multiple=True, metavar="KEY=VALUES", help="Values of any option of the modes' pipelines.")
@click.option("--stills", is_flag=True, help="Score every labelled frame on its own, never encoded.")
@click.option("--flip", is_flag=True, help="With --stills: also with mirrored pictures averaged in.")
@click.option(
    "--scales", default="1", show_default=True, help="With --stills: also averaged over sizes, as 0.75,1,1.25."
)
@click.option("--gop", default="12", show_default=True, help="GOP lengths: one or several, as in 4,8,12.")
@click.option("--bitrate", type=Bitrate(), multiple=True, default=["3M"], show_default=True, help="Repeatable: 750k.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Default: 15 dense, 30 sparse, Cityscapes 17.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many labelled frames, for a quick look.")
@click.option(
    "--consistency",
    type=click.Choice(["flow", "raft", "codec", "none"]),
    default="flow",
    show_default=True,
    help="What temporal consistency follows: optical flow of the source frames (DIS, or torchvision's RAFT), or the "
    "stream's motion vectors.",
)
@click.option("--by-interval", is_flag=True, help="Also a table for every number of frames between keyframes.")
@click.option("--device", default="auto", show_default=True)
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for report.html, .json, .csv and texts.")
def main(**options: Any) -> None:
    """Score modes on labelled frames: mIoU at every distance to the keyframe (mIoU_d).

    Densely labelled video (CamVid val) is encoded once for each distance, each of VSPW's many videos once; of sparsely
    labelled video (Cityscapes, CamVid with --frames) every labelled frame is encoded at each distance. All modes see
    the same decoded frames.
    Several --gop, --bitrate, --lr-scales and --sweep values are all evaluated, in every combination.
    """
    dataset = open_dataset(options.pop("dataset"), options.pop("root"), frames=options.pop("frames"))
    split = options.pop("split") or dataset.default_split
    request = Request(dataset=dataset, split=split, **options)
    runners = request.load_runners()
    if request.stills:
        records, settings, gallery = evaluate_stills(request, runners[request.model])
    else:
        records, settings, gallery = evaluate_distances(request, runners)
    if request.output is not None:
        write_tables(request.output, records, settings)
        shown = [] if gallery is None else gallery.shown
        write_html(request.output / "report.html", records, settings, shown, request.dataset.palette)
        click.echo(f"report: {(request.output / 'report.html').resolve()}")


@dataclass(frozen=True)
class Request:
    """The options of the command, as given; the properties are what they mean."""

    dataset: Dataset
    split: str
    model: str
    modes: str
    lr_scales: str | None
    sweep: tuple[str, ...]
    stills: bool
    flip: bool
    scales: str
    gop: str
    bitrate: tuple[int, ...]
    fps: float | None
    limit: int | None
    consistency: Any
    by_interval: bool
    device: str
    precision: Any
    output: Path | None

    @property
    def variants(self) -> list[Variant]:
        """The modes with their options."""
        return make_variants(self.modes, self.model, parse_sweeps(self.lr_scales, self.sweep))

    @property
    def gops(self) -> list[int]:
        """The GOP lengths; InputError where one is none."""
        values = parse_values(self.gop)
        wrong = [value for value in values if not isinstance(value, int) or value < 1]
        if wrong:
            raise InputError(f"--gop: '{wrong[0]}' is no GOP length; give whole numbers as in 4,8,12")
        return values

    @property
    def views(self) -> list[Views]:
        """How stills are seen; InputError where a scale is none."""
        scales = parse_values(self.scales)
        wrong = [value for value in scales if not isinstance(value, int | float) or not 0 < value <= 4]
        if wrong:
            raise InputError(f"--scales: '{self.scales}' are no sizes above 0 and up to 4; give them as in 0.75,1,1.25")
        return separate_views([float(scale) for scale in scales], self.flip)

    def load_runners(self) -> dict[str, SharedRunner]:
        """A runner for each model; InputError where options do not fit."""
        if len(self.views) > 1 and not self.stills:
            raise InputError("--flip and --scales average over views of single frames; add --stills")
        models = [self.model] if self.stills else [variant.model for variant in self.variants]
        return {
            model: SharedRunner(load_network(model), device=self.device, precision=self.precision)
            for model in dict.fromkeys(models)
        }

    def relabellings(self, runners: Mapping[str, NetworkRunner]) -> dict[str, Relabelling | None]:
        """How each model's labels become the data set's; InputError where its classes are others."""
        return {model: match_classes(model, runner.classes, self.dataset) for model, runner in runners.items()}

    def settings(self, runners: dict[str, SharedRunner], **more: Any) -> dict[str, Any]:
        """What the figures depend on: choices, versions, hardware, hashes of weights."""
        branches = [] if self.stills else branch_files(self.variants)
        return {
            "dataset": self.dataset.name,
            "title": self.dataset.title,
            "split": self.split,
            "limit": self.limit,
            "precision": {model: runner.precision for model, runner in runners.items()},
            "weights_sha256": {
                **{model: sha256(find_weights(model).read_bytes()) for model in runners},
                **{file.stem: sha256(file.read_bytes()) for file in branches},
            },
            "versions": {"gopseg": __version__, "torch": torch.__version__, "av": av.__version__},
            "hardware": hardware(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            **more,
        }


Outcome = tuple[list[dict[str, Any]], dict[str, Any], Gallery | None]


def evaluate_distances(request: Request, runners: dict[str, SharedRunner]) -> Outcome:
    """Every variant at every GOP length and bitrate: records, settings, and pictures of the first of these."""
    names = request.dataset.classes
    relabel = request.relabellings(runners)
    protocol = open_protocol(
        request.dataset,
        request.split,
        frame_rate=request.fps,
        limit=request.limit,
        consistency=request.consistency,
    )
    gops, bitrates, tag = request.gops, request.bitrate, ""
    if not isinstance(protocol, ClipProtocol):  # encoded already
        gops, bitrates, tag = [protocol.data.gop], (0,), protocol.data.tag
    records: list[dict[str, Any]] = []
    gallery: Gallery | None = None
    with tqdm(
        total=len(bitrates) * sum(protocol.scored_frames(gop) for gop in gops), unit="frame", disable=None
    ) as bar:
        for gop in gops:
            for bitrate in bitrates:
                pictures = Gallery(protocol.subject(gop), gop)
                evaluation = Evaluation(request.variants, runners, names, gop, relabel=relabel, on_scored=pictures)
                protocol.run(evaluation, gop, bitrate, bar.update)
                bar.clear()
                made = make_records(evaluation.results, bitrate, tag)
                print_distances(made, f"GOP {gop}, {tag or bitrate_tag(bitrate)}")
                if request.by_interval:
                    print_intervals(made)
                records += made
                gallery = gallery or pictures
    settings = request.settings(
        runners,
        classes=list(names),
        protocol=protocol.name,
        gops=gops,
        bitrates_bps=list(bitrates),
        frames=protocol.labelled_frames,
        data_sha256=data_sha256(protocol),
        **clip_settings(protocol, tag),
    )
    return records, settings, gallery


def make_records(results: Sequence[ModeResult], bitrate_bps: int, tag: str) -> list[dict[str, Any]]:
    """The entries of `report.json` for one GOP length and bitrate."""
    return [
        result.record() | {"bitrate_bps": bitrate_bps, "tag": tag, "backbone": backbone_name(result.variant.model)}
        for result in results
    ]


def clip_settings(protocol: Protocol, tag: str) -> dict[str, Any]:
    """The settings that only clips encoded here have, or the tag of those that were not."""
    if not isinstance(protocol, ClipProtocol):
        return {"tag": tag}
    followed = protocol.consistency if protocol.is_dense else "none"
    return {"frame_rate": protocol.frame_rate, "consistency": followed}


def evaluate_stills(request: Request, runner: NetworkRunner) -> Outcome:
    """The network on frames that were never encoded."""
    classes = request.dataset.classes
    relabel = request.relabellings({request.model: runner})[request.model]
    stills = request.dataset.stills(request.split)
    stills = stills if request.limit is None else stills.first(request.limit)
    confusions = {views: ConfusionMatrix(len(classes)) for views in request.views}
    for sample in tqdm(stills, unit="frame", disable=None):
        for views, confusion in confusions.items():
            labels = still_labels(runner, sample.image, views)
            confusion.update(labels if relabel is None else relabel[labels], sample.labels)
    count = len(stills)
    for views, confusion in confusions.items():
        click.echo(f"{request.split}, {views.name}: mIoU {confusion.mean_iou:.4f} over {count} stills")
        for name, value in zip(classes, confusion.iou, strict=True):
            click.echo(f"  {name:<14}{value:.4f}")
    records = [
        {
            "mode": "still",
            "variant": views.name,
            "model": request.model,
            "options": {"flip": views.flip, "scales": list(views.scales)} if views != Views() else {},
            "miou_mean": confusion.mean_iou,
            "iou": confusion.iou.tolist(),
            "pixel_accuracy": confusion.pixel_accuracy,
            "confusion": confusion.counts.tolist(),
            "frames": count,
        }
        for views, confusion in confusions.items()
    ]
    settings = request.settings(
        {request.model: runner},  # type: ignore[dict-item]
        classes=list(classes),
        protocol="stills",
        frames=count,
        data_sha256=files_sha256(path for pair in stills.pairs for path in pair),
    )
    return records, settings, None


def still_labels(runner: NetworkRunner, image: NDArray[np.uint8], views: Views) -> NDArray[np.uint8]:
    """The labels (H, W) of one picture, the plain view's as in a stream."""
    if views == Views():
        return upsample_labels(runner.logits(image), runner.stride, (image.shape[0], image.shape[1]))
    return averaged_labels(runner, image, views)


def print_distances(records: Sequence[dict[str, Any]], title: str) -> None:
    """mIoU_d of every variant, as a table on standard output."""
    width = max(10, *(len(record["variant"]) + 2 for record in records))
    click.echo(title)
    click.echo("     d" + "".join(record["variant"].rjust(width) for record in records))
    for d in range(records[0]["gop"]):
        click.echo(f"{d:6d}" + "".join(f"{record['miou_d'][d]:{width}.4f}" for record in records))
    for name, key in (
        ("mean", "miou_mean"),
        ("pooled", "miou_pooled"),
        ("min", "miou_min"),
        ("wIoU", "weighted_iou"),
        ("TC", "temporal_consistency"),
        ("VC8", "vc8"),
        ("VC16", "vc16"),
        ("GFLOP", "gflops_per_frame"),
        ("fps", "fps"),
    ):
        click.echo(f"{name:>6}" + "".join(f"{record[key]:{width}.4g}" for record in records))


def print_intervals(records: Sequence[dict[str, Any]]) -> None:
    """Accuracy and cost by the number of frames between keyframes, a table for each variant."""
    for record in records:
        click.echo(f"{record['variant']}: frames between keyframes, accuracy and cost up to there")
        click.echo("interval" + "".join(name.rjust(13) for name in record["by_interval"][0]))
        for interval, row in enumerate(record["by_interval"]):
            click.echo(f"{interval:8d}" + "".join(f"{value:13.4f}" for value in row.values()))


if __name__ == "__main__":
    main()

"""`evaluate`: a request carried out, from the data set to the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ...pipelines import NetworkRunner, upsample_labels
from ...segnet import ConfusionMatrix
from ..report import Gallery, bitrate_tag, report_errors, write_html, write_tables
from .layouts import data_sha256, files_sha256, open_protocol
from .measuring import Evaluation, ModeResult, SharedRunner, Views, averaged_labels
from .models import backbone_name
from .printing import print_distances, print_intervals, print_stills
from .protocols import ClipProtocol, Protocol
from .request import Request, open_request


def evaluate(*, output: Path | None, **options: Any) -> None:
    """Do what the command's options ask for: figures on standard output, and the report in `output`."""
    request = open_request(**options)
    runners = request.load_runners()
    if request.stills:
        records, settings, gallery = evaluate_stills(request, runners[request.model])
    else:
        records, settings, gallery = evaluate_distances(request, runners)
    if output is not None:
        shown = [] if gallery is None else gallery.shown
        with report_errors(output):
            write_tables(output, records, settings)
            write_html(output / "report.html", records, settings, shown, request.dataset.palette)


def mean_iou(
    *,
    dataset: str,
    root: Path,
    model: str,
    mode: str | None,
    options: Mapping[str, Any],
    gop: int,
    bitrate_bps: int,
    precision: Any,
    runtime: Any,
) -> float:
    """mIoU on a data set's `val`, 0 to 1: of a mode with its options on the encoded sequences, the mean over distances;
    of the network on stills where `mode` is None. Also printed. Raises as `evaluate`."""
    request = open_request(
        dataset=dataset,
        root=root,
        split="val",
        frames=None,
        limit=None,
        model=model,
        modes=mode or "frame",
        lr_scales=None,
        sweep=tuple(f"{name}={value}" for name, value in options.items()),
        gop=str(gop),
        bitrate=(bitrate_bps,),
        fps=None,
        consistency="none",
        by_interval=False,
        stills=mode is None,
        flip=False,
        scales="1",
        device="cpu",
        precision=precision,
        runtime=runtime,
    )
    runners = request.load_runners()
    if request.stills:
        records, _, _ = evaluate_stills(request, runners[request.model])
    else:
        records, _, _ = evaluate_distances(request, runners)
    return float(records[0]["miou_mean"])


Outcome = tuple[list[dict[str, Any]], dict[str, Any], Gallery | None]


def evaluate_distances(request: Request, runners: dict[str, SharedRunner]) -> Outcome:
    """Every variant at every GOP length and bitrate: records, settings, and pictures of the first of these."""
    names = request.dataset.classes
    relabel = request.relabellings(runners)
    backbones = {model: backbone_name(model, runner.network) for model, runner in runners.items()}
    protocol = open_protocol(
        request.dataset,
        request.split,
        frame_rate=request.fps,
        limit=request.limit,
        consistency=request.consistency,
        encoding=request.encode,
    )
    gops, bitrates, tag = request.gops, request.bitrate, ""
    if not isinstance(protocol, ClipProtocol):  # encoded already
        gops, bitrates, tag = [protocol.data.gop], (0,), protocol.data.tag
    elif protocol.encoding != "gops":
        gops, bitrates, tag = [protocol.gop], (0,), protocol.encoding
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
                made = make_records(evaluation.results, backbones, bitrate, tag)
                print_distances(made, f"GOP {gop}, {tag or bitrate_tag(bitrate)}", by_distance=request.encode == "gops")
                if request.by_interval:
                    print_intervals(made)
                records += made
                gallery = gallery or pictures
    settings = request.settings(
        runners,
        protocol=protocol.name,
        gops=gops,
        bitrates_bps=list(bitrates),
        frames=protocol.labelled_frames,
        data_sha256=data_sha256(protocol),
        **clip_settings(protocol, tag),
    )
    return records, settings, gallery


def make_records(
    results: Sequence[ModeResult], backbones: Mapping[str, str], bitrate_bps: int, tag: str
) -> list[dict[str, Any]]:
    """The entries of `report.json` for one GOP length and bitrate."""
    return [
        result.record() | {"bitrate_bps": bitrate_bps, "tag": tag, "backbone": backbones[result.variant.model]}
        for result in results
    ]


def clip_settings(protocol: Protocol, tag: str) -> dict[str, Any]:
    """The settings that only clips encoded here have, or the tag of those that were not."""
    if not isinstance(protocol, ClipProtocol):
        return {"tag": tag}
    followed = protocol.consistency if protocol.is_dense else "none"
    return {
        "frame_rate": protocol.frame_rate,
        "consistency": followed,
        "encodings": protocol.starts,
        "encoding": protocol.encoding,
    } | ({"tag": tag} if tag else {})


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
    print_stills(records, request.split, classes)
    settings = request.settings(
        {request.model: runner},
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

"""`evaluate-segnet`: accuracy on labelled frames, by distance to the keyframe or on stills."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import torch
from tqdm import tqdm

from .. import __version__
from ..codec import CodecError
from ..data.camvid import CamVid
from ..data.sample import Sample
from ..pipelines import MODES, NetworkRunner, Pipeline, upsample_labels
from ..preprocess.cli import Bitrate
from ..segnet import ConfusionMatrix, SegmentationNetwork, find_weights, load_model
from .cli import InputError, hardware, sha256
from .evaluation import ModeResult, encode_samples, evaluate_dense, network_gflops


@click.command()
@click.version_option(__version__)
@click.option("--dataset", type=click.Choice(["camvid"]), default="camvid", show_default=True)
@click.option("--root", type=click.Path(path_type=Path), required=True, help="Folder of the data set.")
@click.option("--split", default="val", show_default=True)
@click.option("--model", default="swiftnet18-camvid", show_default=True, help="Shipped name or .safetensors file.")
@click.option("--modes", default="frame,motion", show_default=True, help=f"Of {', '.join(MODES)}, comma-separated.")
@click.option("--stills", is_flag=True, help="Score every labelled frame on its own, never encoded.")
@click.option("--gop", type=click.IntRange(1), default=12, show_default=True)
@click.option("--bitrate", type=Bitrate(), default="3M", show_default=True, help="As in 750k or 3M.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), default=15.0, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for report.json, report.csv, MODE.txt.")
def main(
    dataset: str,
    root: Path,
    split: str,
    model: str,
    modes: str,
    stills: bool,
    gop: int,
    bitrate: int,
    fps: float,
    device: str,
    precision: Any,
    output: Path | None,
) -> None:
    """Score modes on labelled frames: mIoU at every distance to the keyframe (mIoU_d).

    The labelled frames of SPLIT must be consecutive (densely labelled video), unless --stills is given.
    """
    chosen = [mode.strip() for mode in modes.split(",")]
    unknown = [mode for mode in chosen if mode not in MODES]
    if unknown:
        raise InputError(f"--modes: unknown mode '{unknown[0]}'; there are: {', '.join(MODES)}")
    try:
        samples = list(CamVid(root, split))
        network = load_model(model)
        runner = NetworkRunner(network, device=device, precision=precision)
    except (CodecError, ValueError) as error:
        raise InputError(str(error)) from error
    check_classes(network, samples)
    settings: dict[str, Any] = {"dataset": dataset, "split": split, "model": model, "precision": runner.precision}
    if stills:
        confusion = evaluate_stills(runner, samples)
        records = [
            {
                "mode": "still",
                "miou": confusion.mean_iou,
                "iou": dict(zip(network.classes, confusion.iou.tolist(), strict=True)),
                "pixel_accuracy": confusion.pixel_accuracy,
                "confusion": confusion.counts.tolist(),
                "frames": len(samples),
            }
        ]
        click.echo(f"{split}: mIoU {confusion.mean_iou:.4f} over {len(samples)} stills")
        for name, value in zip(network.classes, confusion.iou, strict=True):
            click.echo(f"  {name:<12}{value:.4f}")
    else:
        settings |= {"gop": gop, "bitrate_bps": bitrate, "frame_rate": fps}

        def encode(part: Sequence[Sample], file: Path) -> None:
            encode_samples(part, file, gop=gop, bitrate_bps=bitrate, frame_rate=fps)

        def building(mode: str) -> Callable[[], Pipeline]:
            return lambda: MODES[mode](runner)

        total = sum(len(samples) - offset for offset in range(min(gop, len(samples))))
        with tempfile.TemporaryDirectory() as folder, tqdm(total=total, unit="frame", disable=None) as bar:
            results = evaluate_dense(
                samples,
                {mode: building(mode) for mode in chosen},
                encode,
                network.classes,
                gop,
                Path(folder),
                bar.update,
            )
        gflops = network_gflops(network, (samples[0].labels.shape[0], samples[0].labels.shape[1]))
        records = [result.record(gflops) for result in results]
        print_distances(results, records)
    if output is not None:
        write_report(output, records, settings | provenance(model, samples))


def check_classes(network: SegmentationNetwork, samples: Sequence[Sample]) -> None:
    """InputError where the network's classes are not those of the labels."""
    if network.classes != CamVid.classes:
        raise InputError(f"the model has the classes {network.classes}, the labels {CamVid.classes}")
    if not samples:
        raise InputError("the split holds no labelled frames")


def evaluate_stills(runner: NetworkRunner, samples: Sequence[Sample]) -> ConfusionMatrix:
    """The confusion matrix over frames that were never encoded."""
    confusion = ConfusionMatrix(len(runner.classes))
    for sample in tqdm(samples, unit="frame", disable=None):
        size_hw = (sample.labels.shape[0], sample.labels.shape[1])
        confusion.update(upsample_labels(runner.logits(sample.image), runner.stride, size_hw), sample.labels)
    return confusion


def print_distances(results: Sequence[ModeResult], records: Sequence[dict[str, Any]]) -> None:
    """mIoU_d of every mode, as a table on standard output."""
    click.echo("d".rjust(6) + "".join(result.mode.rjust(10) for result in results))
    for d in range(results[0].gop):
        click.echo(f"{d:6d}" + "".join(f"{result.miou_d[d]:10.4f}" for result in results))
    for name, key in (("mean", "miou_mean"), ("min", "miou_min"), ("GFLOP", "gflops_per_frame"), ("fps", "fps")):
        click.echo(f"{name:>6}" + "".join(f"{record[key]:10.4g}" for record in records))


def provenance(model: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """Versions, hardware, and hashes of weights and labelled frames."""
    pixels = np.stack([sample.image for sample in samples]), np.stack([sample.labels for sample in samples])
    return {
        "weights_sha256": sha256(find_weights(model).read_bytes()),
        "data_sha256": sha256(pixels[0].tobytes() + pixels[1].tobytes()),
        "frames": len(samples),
        "versions": {"gopseg": __version__, "torch": torch.__version__, "av": av.__version__},
        "hardware": hardware(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def write_report(folder: Path, records: Sequence[dict[str, Any]], settings: dict[str, Any]) -> None:
    """`report.json`, `report.csv` (a row per mode and distance), and `MODE.txt` with the L values and their mean."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({"modes": list(records), "settings": settings}, indent=2) + "\n")
    with (folder / "report.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["mode", "d", "miou"])
        for record in records:
            rows.writerows((record["mode"], d, value) for d, value in enumerate(record.get("miou_d", [])))
            rows.writerow((record["mode"], "mean", record.get("miou_mean", record.get("miou"))))
    for record in records:
        values = [*record.get("miou_d", []), record.get("miou_mean", record.get("miou"))]
        (folder / f"{record['mode']}.txt").write_text("".join(f"{value:.6f}\n" for value in values))


if __name__ == "__main__":
    main()

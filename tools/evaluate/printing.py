"""What `evaluate-segnet` says on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

ROWS = (
    ("mean", "miou_mean"),
    ("pooled", "miou_pooled"),
    ("min", "miou_min"),
    ("wIoU", "weighted_iou"),
    ("TC", "temporal_consistency"),
    ("VC8", "vc8"),
    ("VC16", "vc16"),
    ("GFLOP", "gflops_per_frame"),
    ("fps", "fps"),
)
"""Below the distances: what a line is called, and its key in a record."""


def print_distances(records: Sequence[dict[str, Any]], title: str, *, by_distance: bool = True) -> None:
    """mIoU of every variant as a table, `by_distance` and on the whole."""
    width = max(10, *(len(record["variant"]) + 2 for record in records))
    click.echo(title)
    click.echo(("     d" if by_distance else "      ") + "".join(record["variant"].rjust(width) for record in records))
    for d in range(records[0]["gop"] if by_distance else 0):
        click.echo(f"{d:6d}" + "".join(f"{record['miou_d'][d]:{width}.4f}" for record in records))
    for name, key in ROWS:
        click.echo(f"{name:>6}" + "".join(f"{record[key]:{width}.4g}" for record in records))


def print_intervals(records: Sequence[dict[str, Any]]) -> None:
    """Accuracy and cost by the number of frames between keyframes, a table for each variant."""
    for record in records:
        click.echo(f"{record['variant']}: frames between keyframes, accuracy and cost up to there")
        click.echo("interval" + "".join(name.rjust(13) for name in record["by_interval"][0]))
        for interval, row in enumerate(record["by_interval"]):
            click.echo(f"{interval:8d}" + "".join(f"{value:13.4f}" for value in row.values()))


def print_stills(records: Sequence[dict[str, Any]], split: str, classes: Sequence[str]) -> None:
    """mIoU and the IoU of every class, for each way of looking at stills."""
    for record in records:
        click.echo(f"{split}, {record['variant']}: mIoU {record['miou_mean']:.4f} over {record['frames']} stills")
        for name, value in zip(classes, record["iou"], strict=True):
            click.echo(f"  {name:<14}{value:.4f}")

"""The files of `evaluate-segnet VIDEO`: agreement with the per-frame network, which is no accuracy."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...files import whole_file
from . import html
from .charts import Axes, Series, chart
from .files import without_nan, write_whole
from .html_report import percent, setting_facts

REFERENCE = "agreement with the per-frame network"
NOTE = (
    "The reference is the per-frame network's own labels of the same decoded frames, so this is no accuracy: it says "
    "what a mode loses of what the network would have said. The network's own flicker is the share of pixels whose "
    "label it changes from a frame to the next along the codec's motion; the ceiling is what a mode keeps that loses "
    "just this on every frame that the network does not see, and agreement beyond it means little."
)
_CSV = ("reference", "video", "stream", "mode", "variant", "distances", "frames", "pixel_agreement", "miou_agreement")
_COLUMNS = (
    ("pixels", "pixel_agreement"),
    ("mIoU", "miou_agreement"),
    ("mean d", "pixel_agreement_mean"),
    ("min d", "pixel_agreement_min"),
    ("worst", "pixel_agreement_worst_frame"),
    ("ceiling", "ceiling"),
    ("below", "below_ceiling"),
    ("ops", "operations_share"),
)
"""Of a table's columns, those in per cent: their headings and keys in a record."""
_MEANS = ("pixel_agreement", "miou_agreement", "below_ceiling", "operations_share", "gflops_per_frame")

Record = dict[str, Any]


def write_agreement(
    folder: Path, records: Sequence[Record], streams: Sequence[Record], model: str, settings: dict[str, Any]
) -> None:
    """report.json, .csv, .txt and .html of `ModeAgreement.record`s with `video` and `stream`, and of these streams.

    `model` is the network that is the reference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reference = f"{REFERENCE} {model}"
    means = mean_records(records)
    report = {
        "reference": reference,
        "modes": list(records),
        "mean_over_videos": means,
        "streams": list(streams),
        "settings": settings,
    }
    write_whole(folder / "report.json", json.dumps(without_nan(report), indent=2, allow_nan=False) + "\n")
    with whole_file(folder / "report.csv") as part, part.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_CSV)
        for record in records:
            what = [reference, *(record[key] for key in ("video", "stream", "mode", "variant"))]
            whole = {"distances": "all"} | {key: record[key] for key in ("frames", "pixel_agreement", "miou_agreement")}
            rows.writerows([*what, *(row[key] for key in _CSV[5:])] for row in [*record["by_distance"], whole])
    write_whole(folder / "report.txt", agreement_text(records, streams, model) + "\n")
    write_whole(folder / "report.html", _page(records, means, streams, reference, settings))


def mean_records(records: Sequence[Record]) -> list[Record]:
    """For each variant the mean over its streams, each counting the same, and the lowest `pixel_agreement` of one."""
    found = []
    for variant in dict.fromkeys(record["variant"] for record in records):
        own = [record for record in records if record["variant"] == variant]
        found.append(
            {"variant": variant, "streams": len(own)}
            | {key: sum(record[key] for record in own) / len(own) for key in _MEANS}
            | {"pixel_agreement_lowest_stream": min(record["pixel_agreement"] for record in own)}
        )
    return found


def agreement_text(records: Sequence[Record], streams: Sequence[Record], model: str) -> str:
    """A plain table for each stream, and one of the means where there are several."""
    parts = []
    width = max(10, *(len(record["variant"]) for record in records))
    for stream in streams:
        own = _of(records, stream)
        heads = [name.rjust(8) for name, _ in _COLUMNS] + ["   GFLOP", "     fps", "   network saw"]
        lines = [
            f"{_name(stream)}: {REFERENCE} {model}, %; its own flicker {_flicker(stream)}{_alarms(stream)}",
            " " * width + "".join(heads),
        ]
        for record in own:
            shares = "".join(percent(record[key]).rjust(8) for _, key in _COLUMNS)
            seen = f"{record['network_frames']} of {record['frames']}"
            cost = f"{record['gflops_per_frame']:8.2f}{record['fps']:8.3g}{seen:>14}"
            if "expected_agreement" in record:
                cost += f"  expected {percent(record['expected_agreement'])}"
            cost += "".join(f"  {name} {percent(share)}" for name, share in record.get("false_alarms", {}).items())
            lines.append(record["variant"].ljust(width) + shares + cost)
        parts.append("\n".join(lines))
    if len(streams) > 1:
        lines = [f"mean over {len(streams)} streams: {REFERENCE} {model}, %"]
        for mean in mean_records(records):
            pixels, miou, below, share = (percent(mean[key]) for key in _MEANS[:4])
            low = percent(mean["pixel_agreement_lowest_stream"])
            lines.append(
                f"{mean['variant'].ljust(width)} pixels {pixels} (lowest {low}), mIoU {miou}, below ceiling {below}, "
                f"operations {share}"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _page(
    records: Sequence[Record], means: Sequence[Record], streams: Sequence[Record], reference: str, settings: Record
) -> str:
    sections = []
    if len(streams) > 1:
        header = [
            "mode", "pixels, mean, %", "lowest stream, %", "mIoU, mean, %", "below the ceiling, %", "operations, %",
            "GFLOP a frame",
        ]  # fmt: skip
        rows = [
            [
                mean["variant"],
                percent(mean["pixel_agreement"]),
                percent(mean["pixel_agreement_lowest_stream"]),
                percent(mean["miou_agreement"]),
                percent(mean["below_ceiling"]),
                percent(mean["operations_share"]),
                f"{mean['gflops_per_frame']:.2f}",
            ]
            for mean in means
        ]
        sections.append((f"Mean over {len(streams)} streams", html.table(header, rows)))
    sections += [(_name(stream), _section(_of(records, stream), stream)) for stream in streams]
    sections.append(("Settings", setting_facts(settings)))
    title = "Agreement with the per-frame network"
    lead = f"{reference[0].upper()}{reference[1:]}. {NOTE} {settings['hardware']}, {settings['date']}."
    return html.page(title, lead, sections)


def _section(records: Sequence[Record], stream: Record) -> str:
    absent = list(stream.get("network_false_alarms", {}))
    header = [
        "mode",
        "pixels that agree, %",
        "mIoU, %",
        "pixels, mean over d, %",
        "at the worst d",
        "in the worst frame",
        "ceiling, %",
        "below it, %",
        "operations, %",
        "GFLOP a frame",
        "frames/s, decoding included",
        "the network saw",
        *(f"frames with {name}, %" for name in absent),
    ]
    rows = [
        [
            record["variant"],
            *(percent(record[key]) for _, key in _COLUMNS),
            f"{record['gflops_per_frame']:.2f}",
            f"{record['fps']:.3g}",
            f"{record['network_frames']} of {record['frames']} frames",
            *(percent(record["false_alarms"][name]) for name in absent),
        ]
        for record in records
    ]
    figures = html.table(
        ["mode", "d", "frames", "pixels, %", "mIoU, %"],
        [
            [
                record["variant"],
                row["distances"],
                str(row["frames"]),
                percent(row["pixel_agreement"]),
                percent(row["miou_agreement"]),
            ]
            for record in records
            for row in record["by_distance"]
        ],
    )
    flicker = html.paragraph(f"The network's own flicker: {_flicker(stream)}{_alarms(stream)}.")
    return html.table(header, rows) + flicker + _curves(records) + html.details("Figures", figures)


def _curves(records: Sequence[Record]) -> str:
    """Pixel agreement over distance, beyond 31 at the mean distance of the frames taken together."""
    series = [
        Series(
            record["variant"],
            [row["distance_mean"] for row in record["by_distance"]],
            [100 * row["pixel_agreement"] for row in record["by_distance"]],
            i,
        )
        for i, record in enumerate(records)
    ]
    axes = Axes("d, frames since the keyframe", f"{REFERENCE}, % of pixels", y_format=".1f", least_span=5.0)
    return chart(series, axes)


def _of(records: Sequence[Record], stream: Record) -> list[Record]:
    return [record for record in records if all(record[key] == stream[key] for key in ("video", "stream"))]


def _name(stream: Record) -> str:
    return f"{stream['video']}, {stream['stream']}"


def _flicker(stream: Record) -> str:
    flicker = stream["network_flicker"]
    if not math.isfinite(flicker["share"]):
        return "unknown (no motion to the frame before)"
    return f"{percent(flicker['share'])} % (of the {percent(flicker['coverage'])} % of pixels that motion follows)"


def _alarms(stream: Record) -> str:
    shares = stream.get("network_false_alarms", {})
    return "".join(f"; {name}, which is absent, in {percent(share)} % of its frames" for name, share in shares.items())

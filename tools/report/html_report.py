"""`report.html` of `evaluate-segnet`: what the figures in `report.json` look like, and frames side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data import Palette
from . import html
from .charts import Axes, Series, chart, line_chart
from .files import bitrate_tag, write_whole
from .gallery import Shown
from .strips import strips

MATRIX_CLASSES = 40
LEAST_SPAN = 5.0
"""Points of mIoU that charts show at least, so that differences that mean nothing look like nothing."""

SUMMARY_NOTE = html.paragraph(
    "GFLOP are 1e9 operations, two a multiply-accumulate (halve them for GMAC), of convolutions and matrix "
    "products, counted by torch as a mean over a GOP. Frames per second are those of labelling, frame by frame, on "
    "this machine. Temporal consistency is the IoU of labels with those of the frame before, carried along motion, "
    "occluded pixels left out."
)

Record = dict[str, Any]


def write_html(
    file: Path, records: Sequence[Record], settings: dict[str, Any], shown: Sequence[Shown], palette: Palette
) -> None:
    """Write the report on `records` (see `ModeResult.record`) with the pictures `shown`, in the palette's colours."""
    by_distance = "miou_d" in records[0]
    sections = distance_sections(records, shown, palette) if by_distance else []
    first = [record for record in records if same_run(record, records[0])]
    sections += [
        ("IoU by class, %", class_table(first, settings["classes"])),
        ("Confusion", confusions(first, settings["classes"])),
        ("Settings", setting_facts(settings)),
    ]
    title = f"{settings['title']} {settings['split']}: accuracy " + (
        "by distance to the keyframe" if by_distance else "on stills"
    )
    write_whole(file, html.page(title, lead(records, settings), sections))


def distance_sections(records: Sequence[Record], shown: Sequence[Shown], palette: Palette) -> list[tuple[str, str]]:
    """The sections that reports by distance have and those on stills have not."""
    first = [record for record in records if same_run(record, records[0])]
    everything = html.details("Every stream", summary(records)) if len(first) < len(records) else ""
    sections = [
        ("Modes", summary(first) + SUMMARY_NOTE + everything),
        (f"mIoU by distance, {run_name(first[0])}", curves(first)),
    ]
    rest = [run for run in runs(records) if run[0] is not first[0]]
    if rest:
        content = "".join(html.details(run_name(run[0]), curves(run)) for run in rest)
        sections.append(("mIoU by distance, other streams", content))
    sections.append((f"Accuracy and cost, {run_name(first[0])}", cost_bars(first) + cost_chart(first)))
    bitrates = sorted({record["bitrate_bps"] for record in records})
    if len(bitrates) > 1:
        tags = [bitrate_tag(rate) for rate in bitrates]
        axes = Axes(
            "bitrate, b/s",
            "mIoU, mean over d, %",
            log_x=True,
            ticks=bitrates,
            tick_names=tags,
            y_format=".1f",
            least_span=LEAST_SPAN,
        )
        sections.append(
            (f"Rate and accuracy, GOP {records[0]['gop']}", sweep_chart(records, "bitrate_bps", "gop", axes))
        )
    gops = sorted({record["gop"] for record in records})
    if len(gops) > 1:
        axes = Axes(
            "GOP, frames", "mIoU, mean over d, %", log_x=True, ticks=gops, y_format=".1f", least_span=LEAST_SPAN
        )
        sections.append(
            (
                f"GOP length and accuracy, {run_name(records[0]).split(' at ')[1]}",
                sweep_chart(records, "gop", "bitrate_bps", axes),
            )
        )
    if shown:
        sections.append(
            (
                f"One frame{' at several distances' if len(shown) > 1 else ''}: {shown[0].name}",
                strips(shown, palette),
            )
        )
    return sections


def lead(records: Sequence[Record], settings: dict[str, Any]) -> str:
    """What was done, in a sentence or two."""
    frames = settings["frames"]
    if settings["protocol"] == "stills":
        return f"{frames} labelled frames, never encoded. {settings['hardware']}, {settings['date']}."
    once = "consecutive labelled frames, each recording encoded once, so that together they are seen at every distance "
    how = {
        "dense": "consecutive labelled frames, encoded once for each distance, so that each is seen at every distance "
        "d from its keyframe",
        "sparse": "labelled frames, each encoded at every distance d from its keyframe",
        "ar-seg": "labelled frames as AR-Seg's scripts processed them, each at every distance d from its keyframe",
    }[settings["protocol"]]
    how = f"{once}d from its keyframe" if settings.get("encodings") else how
    streams = "; ".join(run_name(run[0]) for run in runs(records)[:4]) + ("; ..." if len(runs(records)) > 4 else "")
    return (
        f"{frames} {how}. H.264: {streams}. All modes saw the same decoded frames. "
        f"mIoU over {len(settings['classes'])} classes. {settings['hardware']}, {settings['date']}."
    )


def runs(records: Sequence[Record]) -> list[list[Record]]:
    """The records by the stream that they saw: GOP length and bitrate."""
    grouped: dict[tuple[int, int], list[Record]] = {}
    for record in records:
        grouped.setdefault((record["gop"], record["bitrate_bps"]), []).append(record)
    return list(grouped.values())


def same_run(record: Record, other: Record) -> bool:
    """Whether two records are of the same stream."""
    return all(record.get(key) == other.get(key) for key in ("gop", "bitrate_bps"))


def run_name(record: Record) -> str:
    """GOP length and bitrate in words."""
    tag = record["tag"] or bitrate_tag(record["bitrate_bps"])
    return f"GOP {record['gop']} at {tag[:-1]} {tag[-1]}b/s"


def summary(records: Sequence[Record]) -> str:
    """One row a variant and stream."""
    several = len(runs(records)) > 1
    header = [
        "mode",
        *(["stream"] if several else []),
        "mIoU, mean over d, %",
        "d\xa0=\xa00",
        f"d\xa0=\xa0{records[0]['gop'] - 1}" if not several else "last\xa0d",
        "lowest",
        "temporal consistency, %",
        "GFLOP a frame",
        "of the first",
        "frames/s, decoding included",
        "without",
    ]
    first = {(run[0]["gop"], run[0]["bitrate_bps"]): run[0]["gflops_per_frame"] for run in runs(records)}
    rows = []
    for record in records:
        rows.append(
            [
                record["variant"],
                *([run_name(record)] if several else []),
                percent(record["miou_mean"]),
                percent(record["miou_d"][0]),
                percent(record["miou_d"][-1]),
                percent(record["miou_min"]),
                percent(record["temporal_consistency"]),
                f"{record['gflops_per_frame']:.2f}",
                f"{record['gflops_per_frame'] / max(1e-9, first[record['gop'], record['bitrate_bps']]):.2f}",
                f"{record['fps']:.3g}",
                f"{record['fps_without_decoding']:.3g}",
            ]
        )
    return html.table(header, rows)


def curves(records: Sequence[Record]) -> str:
    """mIoU_d of every variant, as a chart and in figures."""
    values = {record["variant"]: [100 * value for value in record["miou_d"]] for record in records}
    header = ["d", *values]
    rows = [(str(d), [record["miou_d"][d] for record in records]) for d in range(records[0]["gop"])]
    figures = html.details("Figures", html.share_table(header, rows))
    return line_chart(values, "d, frames since the keyframe", "mIoU, %", least_span=LEAST_SPAN) + figures


def cost_bars(records: Sequence[Record]) -> str:
    """Mean and lowest mIoU, GFLOP and frames per second."""
    panels = [
        ("mIoU, mean over d, %", "miou_mean", 100.0, ".1f"),
        ("mIoU at the worst d, %", "miou_min", 100.0, ".1f"),
        ("GFLOP a frame", "gflops_per_frame", 1.0, ".2f"),
        ("Frames per second, decoding included", "fps", 1.0, ".3g"),
    ]
    return html.bars(
        [(name, {r["variant"]: factor * r[key] for r in records}, form) for name, key, factor, form in panels]
    )


def cost_chart(records: Sequence[Record]) -> str:
    """Accuracy over operations, the variants of one mode joined; nothing for a single variant."""
    if len(records) < 2:
        return ""
    by_mode: dict[str, list[Record]] = {}
    styles: dict[str, int] = {}
    for i, record in enumerate(records):
        mode = record["variant"].split(" ")[0]
        by_mode.setdefault(mode, []).append(record)
        styles.setdefault(mode, i)
    series = []
    for mode, members in by_mode.items():
        members = sorted(members, key=lambda record: record["gflops_per_frame"])
        series.append(
            Series(
                mode, [r["gflops_per_frame"] for r in members], [100 * r["miou_mean"] for r in members], styles[mode]
            )
        )
    highest = max(record["gflops_per_frame"] for record in records)
    step = 10 ** np.floor(np.log10(max(highest, 1e-9)))
    ticks = [tick for tick in np.arange(0, highest + step, step / 2) if tick <= highest]
    axes = Axes(
        "GFLOP a frame",
        "mIoU, mean over d, %",
        ticks=ticks,
        y_format=".1f",
        from_zero=True,
        names="beside",
        least_span=LEAST_SPAN,
    )
    return "<h3>Accuracy over operations</h3>" + chart(series, axes)


def sweep_chart(records: Sequence[Record], key: str, other: str, axes: Axes) -> str:
    """Mean mIoU over what a sweep varies, a curve a variant, at the first record's value of what else was varied."""
    grouped: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record[key]):
        if record[other] == records[0][other]:
            grouped.setdefault(record["variant"], []).append(record)
    series = [
        Series(name, [r[key] for r in run], [100 * r["miou_mean"] for r in run], i)
        for i, (name, run) in enumerate(grouped.items())
    ]
    return chart(series, axes)


def class_table(records: Sequence[Record], classes: Sequence[str]) -> str:
    """IoU of every class over all distances, and their mean; of many classes, those that occur or are predicted."""
    rows = [(name, [record["iou"][c] for record in records]) for c, name in enumerate(classes)]
    note = "Intersections and unions summed over all distances."
    if len(rows) > MATRIX_CLASSES:
        rows = [(name, values) for name, values in rows if np.isfinite(values).any()]
        note += f" {len(classes) - len(rows)} of {len(classes)} classes neither occur nor are predicted."
    finite = [[value for value in record["iou"] if np.isfinite(value)] for record in records]
    rows.append(("mean", [float(np.mean(values)) if values else np.nan for values in finite]))
    return html.share_table(["class", *(record["variant"] for record in records)], rows) + html.paragraph(note)


def confusions(records: Sequence[Record], classes: Sequence[str]) -> str:
    """A confusion matrix for every variant; the first is open."""
    if len(classes) > MATRIX_CLASSES:
        return html.paragraph(f"{len(classes)} classes are too many for a page; the counts are in report.json.")
    parts = []
    for i, record in enumerate(records):
        counts = np.array(record["confusion"], np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = counts / counts.sum(1, keepdims=True)
        parts.append(html.details(record["variant"], html.matrix(classes, shares), is_open=i == 0))
    return "".join(parts) + html.paragraph("Where the pixels of each true class went, in per cent of the class.")


def setting_facts(settings: dict[str, Any]) -> str:
    """Every setting and hash, nested ones joined by dots."""
    rows: list[tuple[str, str]] = []

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, entry in value.items():
                add(f"{prefix} {key}", entry)
        elif value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            rows.append((prefix.replace("_", " ").strip(), text))

    add("", settings)
    return html.facts(rows)


def percent(value: float) -> str:
    """A fraction of 1 in per cent, or a dash."""
    return f"{100 * value:.1f}" if np.isfinite(value) else html.DASH

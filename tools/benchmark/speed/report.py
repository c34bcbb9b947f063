"""What the rows come to: figures for JSON, text and Markdown."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from .modes import BETWEEN
from .peers import NETWORK, PRESENT, loop_name
from .reading import DECODING, METADATA, READING, TRANSCODING
from .rows import Row, Took, bound_by, stage_ms

Found = Mapping[str, Sequence[Took]]
_PACKAGES = ("gopseg", "torch", "av", "numpy", "opencv-python", "openvino", "onnxruntime", "motion-vector-extractor")
_SHOWN_MS = 0.05
BY_CPU = "ratio_by_processor_time"
MOST_COMPOSING_MS = 2.0


class Goal(NamedTuple):
    """A row that is to be at least so many times as fast as another; with `by_network`, the network in it."""

    row: str
    other: str
    least: float
    by_network: bool = False

    @property
    def name(self) -> str:
        """Both rows."""
        return f"{self.row} / {self.other}"


def wanted(model: str) -> tuple[Goal, ...]:
    """What is to be reached."""
    return (
        Goal(READING, DECODING, 0.9),
        Goal(METADATA, READING, 1.25),
        Goal(f"{BETWEEN}, overlay", TRANSCODING, 0.5),
        Goal(f"{BETWEEN}, labels", DECODING, 0.7),
        Goal("mode auto", "mode frame", 8),
        Goal(loop_name(model, "openvino"), loop_name(PRESENT, "torch"), 4, by_network=True),
        Goal(loop_name(model, "openvino", 1), loop_name(PRESENT, "torch", 1), 4, by_network=True),
    )


def packages() -> dict[str, str]:
    """The versions of what computes here."""
    import av

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "FFmpeg in av": av.ffmpeg_version_info}


def row_report(row: Row, found: Found, references: Sequence[str], cores: int) -> dict[str, Any]:
    """A row's figures: medians over rounds, ratios of runs of the same round."""
    runs = found[row.name]
    ratios = {
        f"of_{other}": {
            "by_clock": _ratio(runs, found[other], lambda took: took.rate),
            "by_processor_time": _ratio(runs, found[other], lambda took: took.cpu_rate),
        }
        for other in references
        if other in found
    }
    return {
        "frames": runs[0].frames,
        "network_frames": runs[0].network_frames,
        "frames_per_second": round(median(took.rate for took in runs), 2),
        "frames_per_second_of_runs": [round(took.rate, 2) for took in runs],
        "cpu_ms_per_frame": round(median(1e3 / took.cpu_rate for took in runs), 2),
        "busy_cores": round(median(took.busy for took in runs), 2),
        **ratios,
        "stages_ms": {name: round(value, 3) for name, value in stage_ms(runs).items()},
        "bound_by": bound_by(row, runs, cores),
    }


def goals(found: Found, composition: Mapping[int, float], model: str) -> dict[str, dict[str, Any]]:
    """What was reached of what is `wanted`, of the rows that are there."""
    reached: dict[str, dict[str, Any]] = {}
    for goal in wanted(model):
        if goal.row not in found or goal.other not in found:
            continue
        rate = _network_rate if goal.by_network else _rate
        value = _ratio(found[goal.row], found[goal.other], rate)
        name = f"{goal.name}, network" if goal.by_network else goal.name
        reached[name] = {"ratio": value, "least": goal.least, "met": value >= goal.least}
        if not goal.by_network:
            by_cpu = _ratio(found[goal.row], found[goal.other], lambda took: took.cpu_rate)
            reached[name][BY_CPU] = by_cpu
    if composition:
        worst = max(composition.values())
        reached["composition, ms"] = {"ratio": worst, "most": MOST_COMPOSING_MS, "met": worst <= MOST_COMPOSING_MS}
    return reached


def _rate(took: Took) -> float:
    return took.rate


def _network_rate(took: Took) -> float:
    return 1e3 * took.frames / took.stages[NETWORK]


def _ratio(runs: Sequence[Took], others: Sequence[Took], rate: Callable[[Took], float]) -> float:
    """Of runs of the same round; slow rows have the first only."""
    return round(median(rate(one) / rate(other) for one, other in zip(runs, others, strict=False)), 3)


_HEAD = (
    "row",
    "frames/s",
    "processor time, ms",
    "cores busy",
    f"of {DECODING}",
    f"of {TRANSCODING}",
    "network on",
    "stages, ms a frame",
    "bound by",
)


def _cells(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    seen = row["network_frames"]
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in row["stages_ms"].items() if value >= _SHOWN_MS)
    ratios = [f"{row[key]['by_clock']:.2f}" if key in row else "" for key in (f"of_{DECODING}", f"of_{TRANSCODING}")]
    return (
        name,
        f"{row['frames_per_second']:.4g}",
        f"{row['cpu_ms_per_frame']:.4g}",
        f"{row['busy_cores']:.1f}",
        *ratios,
        "" if seen is None else f"{seen} of {row['frames']}",
        stages,
        row["bound_by"],
    )


def _title(table: Mapping[str, Any]) -> str:
    height, width = table["size_hw"]
    encoded = f", encoded at GOP {table['gop']}" if table["is_encoded_anew"] else ""
    computed = f" by {table['computed_by']}" if table["computed_by"] else ""
    return f"{table['source']}, {width}x{height}{encoded}; {table['model']}{computed}; {table['hardware']}"


def _goal_lines(table: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, goal in table["goals"].items():
        bound = f"at least {goal['least']:g}" if "least" in goal else f"at most {goal['most']:g}"
        by_cpu = f" ({goal[BY_CPU]:.2f} by processor time)" if BY_CPU in goal else ""
        lines.append(f"{name}: {goal['ratio']:.2f}{by_cpu}, {bound}: {'met' if goal['met'] else 'missed'}")
    return lines


def as_text(table: Mapping[str, Any]) -> str:
    """A table for a terminal, without the stages."""
    cells = [_HEAD, *(_cells(name, row) for name, row in table["rows"].items())]
    kept = [row[:7] + row[8:] for row in cells]
    widths = [max(len(row[column]) for row in kept) for column in range(len(kept[0]))]
    lines = [_title(table), ""]
    for row in kept:
        first, *middle, last = (
            cell.ljust(width) if column in (0, len(widths) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *middle, last]).rstrip())
    return "\n".join([*lines, "", *_tail(table)])


def as_markdown(table: Mapping[str, Any]) -> str:
    """A table for docs/speed.md."""
    lines = [f"{_title(table)}:", "", _line(_HEAD), _line(["---"] * len(_HEAD))]
    lines += [_line(_cells(name, row)) for name, row in table["rows"].items()]
    return "\n".join([*lines, "", *(f"- {line}" for line in _tail(table))])


def _tail(table: Mapping[str, Any]) -> list[str]:
    composed = ", ".join(f"{value:.2f} at d = {d}" for d, value in table["composition_ms"].items())
    lines = _goal_lines(table)
    lines += [f"composition, ms of processor time: {composed}"] if composed else []
    return lines + [f"left out: {name}: {reason}" for name, reason in table["left_out"].items()]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

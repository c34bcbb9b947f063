"""Charts for HTML reports: curves as inline SVG, in a wide and a narrow drawing of which the style shows one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from .html_style import SERIES

_MARKS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.6L4.4 3.4H-4.4z",
    "M0-5L5 0L0 5L-5 0z",
    "M0 4.6L4.4-3.4H-4.4z",
    "M-5-1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
    "M0-5L4.8-1.5L2.9 4H-2.9L-4.8-1.5z",
    "M-5-2.5h10v5h-10z",
)
"""The marks of the series, about 9 units across: shapes tell series apart where colours do not."""


@dataclass(frozen=True)
class Series:
    """Points (x, y) of one curve; those whose y is not finite are left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @property
    def points(self) -> list[tuple[float, float]]:
        """The finite points."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(x) and math.isfinite(y)]


@dataclass(frozen=True)
class Axes:
    """What the axes say: labels, whether x is logarithmic, where its ticks are (None: chosen), how values are shown,
    and whether x starts at 0."""

    x_label: str
    y_label: str
    log_x: bool = False
    ticks: Sequence[float] | None = None
    tick_names: Sequence[str] | None = None
    y_format: str = ".2f"
    from_zero: bool = False


def line_chart(values: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> str:
    """Curves over 0, 1, 2, ... by name; every point tells its value."""
    longest = max(len(v) for v in values.values())
    ticks = list(range(0, longest, max(1, math.ceil(longest / 13))))
    series = [Series(name, range(len(v)), v) for name, v in values.items()]
    return chart(series, Axes(x_label, y_label, ticks=ticks))


def chart(series: Sequence[Series], axes: Axes) -> str:
    """Curves with marks at their points. Pointing at it shows the values at that x; without script each point has a
    title."""
    series = [one for one in series if one.points]
    if not series:
        return "<p>No finite values.</p>"
    xs = sorted({x for one in series for x, _ in one.points})
    rows = [
        {
            "x": _x_name(x, axes),
            "rows": [
                [f"{one.name}: {format(y, axes.y_format)}", f"var(--s{i % SERIES})"]
                for i, one in enumerate(series)
                for at, y in one.points
                if at == x
            ],
        }
        for x in xs
    ]
    data = escape(json.dumps({"x_label": axes.x_label.split(",")[0] + ":", "points": rows}))
    key = "".join(
        f'<span><svg viewBox="-6 -6 12 12"><path d="{_MARKS[i % SERIES]}" fill="var(--s{i % SERIES})"/></svg>'
        f"{escape(one.name)}</span>"
        for i, one in enumerate(series)
    )
    drawings = _draw(series, xs, axes, 740, 360, "wide") + _draw(series, xs, axes, 370, 280, "narrow")
    return f'<div class="chart" data-points="{data}"><div class="legend key">{key}</div>{drawings}</div>'


def _draw(series: Sequence[Series], xs: Sequence[float], axes: Axes, width: int, height: int, kind: str) -> str:
    longest_name = max(len(one.name) for one in series)
    left, right, top, bottom = 54, (min(230, 26 + 7.3 * longest_name) if kind == "wide" else 14), 12, 46
    low, high, step = _nice_range([y for one in series for _, y in one.points])
    first, last = 0.0 if axes.from_zero else _scale(xs[0], axes), _scale(xs[-1], axes)

    def x_of(x: float) -> float:
        share = 0.5 if first == last else (_scale(x, axes) - first) / (last - first)
        return left + 8 + (width - left - right - 16) * share

    def y_of(y: float) -> float:
        return top + (height - top - bottom) * (high - y) / (high - low)

    centres = json.dumps([round(x_of(x), 1) for x in xs])
    parts = [
        f'<svg class="plot {kind}" viewBox="0 0 {width} {height}" role="img" data-xs="{centres}" '
        f'aria-label="{escape(axes.y_label)} over {escape(axes.x_label)}">'
    ]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    for tick in np.arange(low, high + step / 2, step).tolist():
        y = y_of(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.{decimals}f}</text>')
    parts += _x_ticks(xs, axes, x_of, height - bottom + 20, 38 if kind == "wide" else 30)
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{height - 6}" text-anchor="middle">{escape(axes.x_label)}</text>')
    turned = f'transform="translate(13 {(top + height - bottom) / 2:.0f}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{escape(axes.y_label)}</text>')
    parts.append(f'<line class="cross" y1="{top}" y2="{height - bottom}"/>')
    ends = []
    for i, one in enumerate(series):
        colour = f"var(--s{i % SERIES})"
        points = [(x_of(x), y_of(y), x, y) for x, y in one.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        parts.append(f'<polyline class="curve" points="{path}" stroke="{colour}"/>')
        for px, py, x, y in points:
            title = f"{one.name}, {axes.x_label.split(',')[0]} {_x_name(x, axes)}: {format(y, axes.y_format)}"
            parts.append(
                f'<path d="{_MARKS[i % SERIES]}" transform="translate({px:.1f} {py:.1f})" fill="{colour}">'
                f"<title>{escape(title)}</title></path>"
            )
        ends.append((points[-1][1], one.name, colour))
    if kind == "wide":
        for y, name, colour in _spread(ends, top + 6, height - bottom):
            parts.append(
                f'<text x="{width - right + 8:.0f}" y="{y + 4:.1f}" style="fill:{colour}">{escape(name)}</text>'
            )
    return "".join([*parts, "</svg>"])


def _x_ticks(xs: Sequence[float], axes: Axes, x_of: object, y: float, room: float) -> list[str]:
    ticks = list(axes.ticks if axes.ticks is not None else xs)
    names = list(axes.tick_names) if axes.tick_names is not None else [f"{tick:g}" for tick in ticks]
    assert callable(x_of)
    parts, free = [], -math.inf
    for tick, name in zip(ticks, names, strict=True):
        x = x_of(tick)
        if x >= free:
            parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(name)}</text>')
            free = x + max(room * 0.6, 7.5 * len(name) + 8)
    return parts


def _spread(ends: Sequence[tuple[float, str, str]], low: float, high: float) -> list[tuple[float, str, str]]:
    """The ends' names moved apart, so that none is over another or outside `low` to `high`, as far as there is room."""
    gap = min(15.0, (high - low) / max(1, len(ends) - 1))
    ordered = sorted(ends)
    placed: list[float] = []
    for y, _, _ in ordered:
        placed.append(max(y, placed[-1] + gap) if placed else max(y, low))
    limit = high
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - gap
    return [(y, name, colour) for y, (_, name, colour) in zip(placed, ordered, strict=True)]


def _nice_range(values: Sequence[float]) -> tuple[float, float, float]:
    """Bounds around the values and a step of 1, 2 or 5 times a power of ten that makes four to eight parts of them."""
    low, high = min(values), max(values)
    span = max(high - low, 1e-3 * max(1.0, abs(high)))
    step = 10.0 ** math.floor(math.log10(span))
    for factor in (0.2, 0.5, 1.0, 2.0):
        if span / (step * factor) <= 6:
            step *= factor
            break
    return math.floor(low / step - 0.25) * step, math.ceil(high / step + 0.25) * step, step


def _scale(x: float, axes: Axes) -> float:
    return math.log(x) if axes.log_x else float(x)


def _x_name(x: float, axes: Axes) -> str:
    if axes.ticks is not None and axes.tick_names is not None and x in axes.ticks:
        return axes.tick_names[list(axes.ticks).index(x)]
    return f"{x:.4g}"

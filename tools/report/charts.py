"""Charts for HTML reports: curves as inline SVG, in a wide and a narrow drawing of which the style shows one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

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
    """Points (x, y) of one curve; those that are not finite are left out. `style` counts through colours and marks."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: int

    @property
    def colour(self) -> str:
        """The CSS colour."""
        return f"var(--s{self.style % SERIES})"

    @property
    def dashes(self) -> str:
        """The attribute that sets the curve apart from the one with the same colour."""
        return ' stroke-dasharray="7 4"' if self.style // SERIES % 2 else ""

    @property
    def mark(self) -> str:
        """The outline of the mark, as an SVG path."""
        return _MARKS[self.style % SERIES]

    @property
    def points(self) -> list[tuple[float, float]]:
        """The finite points."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(x) and math.isfinite(y)]


@dataclass(frozen=True)
class Axes:
    """How a chart is drawn: labels, whether x is logarithmic, where its ticks are (None: chosen), how values are shown,
    whether x starts at 0, and
    what the y axis spans at least, so that small differences look small;
    `names` of series stand at the right or beside their last points."""

    x_label: str
    y_label: str
    log_x: bool = False
    ticks: Sequence[float] | None = None
    tick_names: Sequence[str] | None = None
    y_format: str = ".2f"
    from_zero: bool = False
    least_span: float = 0.0
    names: Literal["right", "beside"] = "right"


def line_chart(values: Mapping[str, Sequence[float]], x_label: str, y_label: str, *, least_span: float = 0.0) -> str:
    """Curves over 0, 1, 2, ... by name; every point tells its value."""
    longest = max(len(v) for v in values.values())
    ticks = list(range(0, longest, max(1, math.ceil(longest / 13))))
    series = [Series(name, range(len(v)), v, i) for i, (name, v) in enumerate(values.items())]
    return chart(series, Axes(x_label, y_label, ticks=ticks, least_span=least_span))


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
                [f"{one.name}: {format(y, axes.y_format)}", one.colour]
                for one in series
                for at, y in one.points
                if at == x
            ],
        }
        for x in xs
    ]
    data = escape(json.dumps({"x_label": axes.x_label.split(",")[0] + ":", "points": rows}))
    key = "".join(
        f'<span><svg viewBox="-6 -6 12 12"><path d="{one.mark}" fill="{one.colour}"/></svg>{escape(one.name)}</span>'
        for one in series
    )
    drawings = _draw(series, xs, axes, 920, 380, "wide") + _draw(series, xs, axes, 370, 290, "narrow")
    legend = f'<div class="legend key">{key}</div>' if axes.names == "right" else ""
    return f'<div class="chart" data-points="{data}">{legend}{drawings}</div>'


def _draw(series: Sequence[Series], xs: Sequence[float], axes: Axes, width: int, height: int, kind: str) -> str:
    named = kind == "wide" or axes.names == "beside"
    longest = max(len(one.name) for one in series)
    right = min(230, 26 + 7.3 * longest) if named and axes.names == "right" else 14
    left, top, bottom = 60, 12, 46
    low, high, step = _nice_range([y for one in series for _, y in one.points], axes.least_span)
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
    turned = f'transform="translate(11 {(top + height - bottom) / 2:.0f}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{escape(axes.y_label)}</text>')
    parts.append(f'<line class="cross" y1="{top}" y2="{height - bottom}"/>')
    ends = []
    for one in series:
        points = [(x_of(x), y_of(y), x, y) for x, y in one.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        parts.append(f'<polyline class="curve" points="{path}" stroke="{one.colour}"{one.dashes}/>')
        for px, py, x, y in points:
            title = f"{one.name}, {axes.x_label.split(',')[0]} {_x_name(x, axes)}: {format(y, axes.y_format)}"
            parts.append(
                f'<path d="{one.mark}" transform="translate({px:.1f} {py:.1f})" fill="{one.colour}">'
                f"<title>{escape(title)}</title></path>"
            )
        x, y = points[-1][:2]
        ends.append((x if axes.names == "beside" else width - right - 2, y, one.name, one.colour))
    if named:
        parts += _names(ends, width, (top + 6, height - bottom))
    return "".join([*parts, "</svg>"])


def _x_ticks(xs: Sequence[float], axes: Axes, x_of: Callable[[float], float], y: float, room: float) -> list[str]:
    ticks = list(axes.ticks if axes.ticks is not None else xs)
    names = list(axes.tick_names) if axes.tick_names is not None else [f"{tick:g}" for tick in ticks]
    parts, free = [], -math.inf
    for tick, name in zip(ticks, names, strict=True):
        x = x_of(tick)
        if x >= free:
            parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(name)}</text>')
            free = x + max(room * 0.6, 7.5 * len(name) + 8)
    return parts


def _names(ends: Sequence[tuple[float, float, str, str]], width: float, bounds: tuple[float, float]) -> list[str]:
    """The series' names at the right of their ends (x, y, name, colour), or at the left where there is no room; moved
    down where they would lie over another, and then up again as far as they leave the bounds."""
    placed: list[list[float]] = []
    texts = []
    for x, y, name, colour in sorted(ends, key=lambda end: end[1]):
        room = 7.3 * len(name)
        at, anchor = (x + 10, "start") if x + 10 + room <= width else (x - 10, "end")
        span = [at, at + room] if anchor == "start" else [at - room, at]
        y = max([y, *(other[2] + 15 for other in placed if other[0] < span[1] and span[0] < other[1])])
        placed.append([*span, y])
        texts.append((at, anchor, name, colour))
    for i in range(len(placed) - 1, -1, -1):
        below = [o[2] - 15 for o in placed[i + 1 :] if o[0] < placed[i][1] and placed[i][0] < o[1]]
        placed[i][2] = max(bounds[0], min([placed[i][2], bounds[1], *below]))
    return [
        f'<text x="{at:.0f}" y="{spot[2] + 4:.1f}" text-anchor="{anchor}" style="fill:{colour}">{escape(name)}</text>'
        for (at, anchor, name, colour), spot in zip(texts, placed, strict=True)
    ]


def _nice_range(values: Sequence[float], least_span: float) -> tuple[float, float, float]:
    """Bounds around the values and a step of 1, 2 or 5 times a power of ten that makes four to eight parts of them.

    What is never negative has no axis below 0.
    """
    low, high = min(values), max(values)
    span = max(high - low, least_span, 1e-3 * max(1.0, abs(high)))
    low, high = min(low, (low + high - span) / 2), max(high, (low + high + span) / 2)
    step = 10.0 ** math.floor(math.log10(span))
    for factor in (0.2, 0.5, 1.0, 2.0):
        if span / (step * factor) <= 6:
            step *= factor
            break
    bottom = math.floor(low / step - 0.25) * step
    return bottom if min(values) < 0 else max(bottom, 0.0), math.ceil(high / step + 0.25) * step, step


def _scale(x: float, axes: Axes) -> float:
    return math.log(x) if axes.log_x else float(x)


def _x_name(x: float, axes: Axes) -> str:
    if axes.ticks is not None and axes.tick_names is not None and x in axes.ticks:
        return axes.tick_names[list(axes.ticks).index(x)]
    return f"{x:.4g}"

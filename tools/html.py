"""The few pieces of which self-contained HTML reports are made: a page, tables, pictures, and line charts in SVG."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

COLOURS = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c14c8a", "#64473a")

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2329; background: #fff; margin: 0 auto; max-width: 68rem;
       padding: 1.5rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p.lead { color: #56606b; margin-top: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; border-bottom: 1px solid #e4e7eb; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; border-bottom-color: #9aa5b1; }
.strip { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .6rem; margin-bottom: .6rem; }
figure { margin: 0; } img { width: 100%; display: block; border-radius: 3px; }
figcaption { font-size: .85rem; color: #56606b; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; font-size: .9rem; margin: .5rem 0; }
.legend span::before { content: ""; display: inline-block; width: .9em; height: .9em; margin-right: .35em;
  border-radius: 2px; vertical-align: -.08em; background: var(--c); }
.chart { max-width: 44rem; } .scroll { overflow-x: auto; } code { font-size: .9em; }
pre { background: #f5f7fa; padding: .8rem; overflow-x: auto; border-radius: 4px; font-size: .85rem; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } .strip, table { break-inside: avoid; } }
"""


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole document from (heading, HTML) sections; nothing in it is loaded from elsewhere."""
    body = "".join(f"<section><h2>{escape(heading)}</h2>{content}</section>" for heading, content in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f'<body><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{body}</body></html>\n'
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is left-aligned text, the others are numbers already formatted."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture(image: NDArray[np.uint8], caption: str) -> str:
    """A figure with the image (H, W, 3) uint8 RGB inside, as WebP at quality 90."""
    _, coded = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 90])
    data = base64.b64encode(coded.tobytes()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/webp;base64,{data}"><figcaption>{text}</figcaption></figure>'


def strip(figures: Sequence[str]) -> str:
    """Figures side by side, as many as fit."""
    return f'<div class="strip">{"".join(figures)}</div>'


def legend(names: Sequence[str], colours: NDArray[np.uint8]) -> str:
    """Class names with their colours (n, 3) uint8 RGB."""
    spans = (
        f'<span style="--c: rgb({r} {g} {b})">{escape(name)}</span>'
        for name, (r, g, b) in zip(names, colours.tolist(), strict=True)
    )
    return f'<div class="legend">{"".join(spans)}</div>'


def line_chart(series: Mapping[str, Sequence[float]], x_label: str, y_label: str, y_range: tuple[float, float]) -> str:
    """Curves over 0, 1, 2, ... as SVG, every point with its value as a tooltip."""
    width, height, left, right, top, bottom = 640, 320, 56, 130, 16, 44
    low, high = y_range
    count = max(len(values) for values in series.values())

    def x_of(i: float) -> float:
        return left + (width - left - right) * i / max(1, count - 1)

    def y_of(value: float) -> float:
        return top + (height - top - bottom) * (high - value) / (high - low)

    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" font-size="12" fill="#56606b">']
    for tick in np.linspace(low, high, 6):
        y = y_of(float(tick))
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e7eb"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    for i in range(0, count, max(1, count // 12)):
        parts.append(f'<text x="{x_of(i):.1f}" y="{height - bottom + 18}" text-anchor="middle">{i}</text>')
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle}" y="{height - 6}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text transform="translate(14 {height / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    ends: list[tuple[float, str, str]] = []
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        points = [(x_of(i), y_of(v), v) for i, v in enumerate(values) if np.isfinite(v)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for i, (x, y, value) in enumerate(points):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
                f"<title>{escape(name)}, {i}: {value:.4f}</title></circle>"
            )
        ends.append((points[-1][1], name, colour))
    lowest = -np.inf
    for y, name, colour in sorted(ends):  # the names beside the curves' ends, none over another
        lowest = max(y, lowest + 14)
        parts.append(f'<text x="{width - right + 10}" y="{lowest + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])

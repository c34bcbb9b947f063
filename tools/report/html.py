"""The pieces of which self-contained HTML reports are made: a page, tables, bars, pictures; charts are in `charts`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from .html_style import SCRIPT, SERIES, STYLE

DASH = "\N{EN DASH}"
"""What stands where there is no figure."""

MAX_WIDTH = 640
"""Pictures that are wider are shrunk to this many pixels."""


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole document from (heading, HTML) sections; nothing in it is loaded from elsewhere."""
    body = "".join(f"<section><h2>{escape(heading)}</h2>{content}</section>" for heading, content in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f'<body><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{body}'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def paragraph(text: str) -> str:
    """A note below a heading."""
    return f'<p class="note">{escape(text)}</p>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is left-aligned text, the others are numbers already formatted."""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return _table("", header, body)


def share_table(header: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]) -> str:
    """A table of fractions of 1, in per cent, each with a bar behind it; a dash where there is none."""

    def cell(value: float) -> str:
        return f'<td style="--v:{100 * value:.1f}">{100 * value:.1f}</td>' if np.isfinite(value) else f"<td>{DASH}</td>"

    body = "".join(f"<tr><td>{escape(name)}</td>{''.join(map(cell, values))}</tr>" for name, values in rows)
    return _table("cells", header, body)


def matrix(names: Sequence[str], shares: NDArray[np.float64]) -> str:
    """A confusion matrix: the share of each true class (rows) that is predicted as each class, in per cent.

    NaN rows are classes that do not occur. Shares below 0.05 % are left blank.
    """

    def cell(row: int, column: int) -> str:
        value = shares[row, column]
        mark = ' class="hit"' if row == column else ""
        if not np.isfinite(value) or value < 5e-4:
            return f"<td{mark}></td>"
        text = f"{100 * value:.1f}" if value < 0.0995 else f"{100 * value:.0f}"
        return f'<td{mark} style="--v:{0.75 * value**0.5:.2f}">{text}</td>'

    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(cell(i, j) for j in range(len(names)))}</tr>"
        for i, name in enumerate(names)
    )
    return _table("matrix", ["truth \\ predicted", *names], rows)


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and their values, as text that may break anywhere."""
    body = "".join(f"<tr><td>{escape(name)}</td><td><code>{escape(value)}</code></td></tr>" for name, value in rows)
    return f'<table class="facts"><tbody>{body}</tbody></table>'


def bars(panels: Sequence[tuple[str, Mapping[str, float], str]]) -> str:
    """Bars side by side, a panel each: (heading, values by name, format of a value); lengths are from 0."""
    parts = []
    for heading, values, form in panels:
        longest = max([value for value in values.values() if np.isfinite(value)], default=1.0) or 1.0
        rows = "".join(
            f'<dt>{escape(name)}</dt><dd><div style="--v:{100 * value / longest:.1f};'
            f'background:var(--s{i % SERIES})"></div></dd><dd>{format(value, form)}</dd>'
            for i, (name, value) in enumerate(values.items())
            if np.isfinite(value)
        )
        parts.append(f"<div><h3>{escape(heading)}</h3><dl>{rows}</dl></div>")
    return f'<div class="bars">{"".join(parts)}</div>'


def picture(image: NDArray[np.uint8], caption: str, *, flat: bool = False) -> str:
    """A figure with the image (H, W, 3) uint8 RGB inside; see `image_tag`."""
    return f"<figure>{image_tag(image, caption, flat=flat)}<figcaption>{escape(caption)}</figcaption></figure>"


def image_tag(image: NDArray[np.uint8], text: str, *, flat: bool = False) -> str:
    """An image (H, W, 3) uint8 RGB as WebP inside its tag; `flat` keeps drawings' few colours exactly."""
    height, width = image.shape[:2]
    if width > MAX_WIDTH:
        kind = cv2.INTER_NEAREST if flat else cv2.INTER_AREA
        image = np.asarray(cv2.resize(image, (MAX_WIDTH, round(height * MAX_WIDTH / width)), interpolation=kind))
    quality = 101 if flat else 85  # above 100 is lossless
    _, coded = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    data = base64.b64encode(coded.tobytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/webp;base64,{data}">'


def strip(figures: Sequence[str]) -> str:
    """Figures side by side, two in a row on a phone."""
    return f'<div class="strip" style="--n:{max(3, len(figures))}">{"".join(figures)}</div>'


def legend(names: Sequence[str], colours: NDArray[np.uint8]) -> str:
    """Class names with their colours (n, 3) uint8 RGB."""
    spans = (
        f'<span><i style="background:rgb({r} {g} {b})"></i>{escape(name)}</span>'
        for name, (r, g, b) in zip(names, colours.tolist(), strict=True)
    )
    return f'<div class="legend">{"".join(spans)}</div>'


def details(summary: str, content: str, *, is_open: bool = False) -> str:
    """Content that opens at a click."""
    return f"<details{' open' if is_open else ''}><summary><b>{escape(summary)}</b></summary>{content}</details>"


def _table(kind: str, header: Sequence[str], body: str) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    mark = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{mark}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

"""What the figures of the documentation share: panels, colours, arcs, and small WebP files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from ...files import whole_file

BLUE, ORANGE, GREY = "#0b6e99", "#d9730d", "#8a949e"
RED = (200, 40, 40)
"""As numbers from 0 to 255, for pixels."""
_WIDTH_INCHES, _DPI = 12.0, 100


def figure(rows: int, columns: int, height: float = 4.1, ratios: tuple[float, ...] | None = None) -> tuple[Any, Any]:
    """A figure of 1200 pixels' width with its axes; `height` in inches of 100 pixels, `ratios` of the rows."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained", dpi=_DPI)
    return drawing, drawing.subplots(rows, columns, height_ratios=ratios)


def panel(
    axis: Any,
    values: NDArray[Any],
    title: str,
    *,
    cell: float = 1,
    size_hw: tuple[int, int] | None = None,
    limits: tuple[float, float] | None = None,
    colours: str = "viridis",
) -> Any:
    """An image, or numbers as colours, with a title; masked entries are grey.

    Entries are cells of `cell` pixels of a picture of `size_hw`, at whose end they are cut off. Returns what `scale`
    takes.
    """
    rows, columns = values.shape[:2]
    low, high = limits if limits is not None else (None, None)
    shown = axis.imshow(
        values,
        cmap=colours,
        vmin=low,
        vmax=high,
        interpolation="nearest",
        extent=(0, columns * cell, rows * cell, 0),
    )
    if size_hw is not None:
        axis.set_xlim(0, size_hw[1])
        axis.set_ylim(size_hw[0], 0)
    axis.set_anchor("N")
    axis.set_facecolor("#b8bec4")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=10, loc="left")
    return shown


def scale(axis: Any, shown: Any, label: str) -> None:
    """A colour bar below a panel, which keeps its size."""
    bar = axis.figure.colorbar(shown, cax=axis.inset_axes((0.0, -0.07, 1.0, 0.035)), orientation="horizontal")
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def bare(axis: Any, title: str) -> None:
    """Take everything from an axis but what is drawn, and title it."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_title(title, fontsize=10, loc="left")


def arc(axis: Any, start: float, end: float, share: float) -> None:
    """An arrow from a frame to its reference: above to earlier ones, below to later ones, as wide as `share` of 1."""
    from matplotlib.patches import FancyArrowPatch

    axis.add_patch(
        FancyArrowPatch(
            (start, 0.42 if end < start else -0.42),
            (end, 0.42 if end < start else -0.42),
            connectionstyle="arc3,rad=0.4",
            clip_on=False,
            arrowstyle="-|>",
            mutation_scale=9,
            linewidth=0.4 + 4 * share,
            color=BLUE if end < start else ORANGE,
            alpha=0.65,
        )
    )


def save(drawing: Any, file: Path) -> None:
    """Write a figure as WebP; it appears when it is whole."""
    data = io.BytesIO()
    drawing.savefig(data, format="png", facecolor="white")
    with whole_file(file) as part:
        Image.open(data).convert("RGB").save(part, "WEBP", quality=82, method=6)

"""A stream's structure as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...codec import EncodeError, disk_errors
from ...errors import InputError
from ...files import whole_file
from .structure import GopStats

_MOST_BARS = 1000  # more would be thinner than a pixel, and slow
TYPE_COLOURS = {"I": "#d9730d", "P": "#0b6e99", "B": "#8fb8c9"}


class MatplotlibMissingError(EncodeError, InputError):
    """The extra that draws is not installed."""


def require_matplotlib() -> None:
    """Raise MatplotlibMissingError, which names the extra, where there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MatplotlibMissingError("--plot: needs matplotlib; install it by pip install 'gopseg[report]'") from error


def plot(file: Path, title: str, gops: Sequence[GopStats], motion_reason: str | None, *, replace: bool = True) -> None:
    """Draw sizes by type, QP, motion and intra share over the frames into a PNG, which appears when it is whole.

    `motion_reason` is why there is no motion, or None. Raises MatplotlibMissingError, EncodeError where the file cannot
    be written, and, with `replace` false, TargetExistsError where it is there by then.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    frames = [frame for gop in gops for frame in gop.frames]
    index = np.arange(len(frames))
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(2.2, 1, 1, 1))
    _sizes(axes[0], index, np.array([frame.packet_bytes for frame in frames]) / 1000, [f.pict_type for f in frames])
    no_motion = f"no motion: {motion_reason or 'every frame is intra-coded'}"
    rows: tuple[tuple[str, list[float | None], str], ...] = (
        ("mean QP", [frame.qp_mean for frame in frames], "the decoder exports no QP"),
        ("motion, px", [frame.motion_px_mean for frame in frames], no_motion),
        (
            "intra, % of area",
            [None if f.intra_share is None or f.pict_type == "I" else 100 * f.intra_share for f in frames],
            no_motion,
        ),
    )
    for axis, (name, values, why_not) in zip(axes[1:], rows, strict=True):
        _curve(axis, index, name, values, why_not)
    keys = [gop.first for gop in gops if gop.frames[0].is_keyframe]
    for axis in axes:
        if len(keys) <= 100:  # more would be a grey wall
            for key in keys:
                axis.axvline(key - 0.5, color="#c9d0d6", linewidth=0.7, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.005)
    figure.align_ylabels()
    axes[0].set_title(title, loc="left")
    axes[-1].set_xlabel("frame, in display order" + ("; grey lines: keyframes" if len(keys) <= 100 else ""))
    with disk_errors(file), whole_file(file, replace=replace) as part:
        figure.savefig(part, dpi=110, format="png")


def _sizes(axis: Any, index: Any, kilobytes: Any, types: Sequence[str]) -> None:
    kinds = np.array(types)
    for kind, colour in TYPE_COLOURS.items():
        if (chosen := kinds == kind).any():
            label = f"{kind} ({chosen.sum()})"
            if len(kinds) <= _MOST_BARS:
                axis.bar(index[chosen], kilobytes[chosen], width=0.9, color=colour, label=label)
            else:
                axis.vlines(index[chosen], 0, kilobytes[chosen], colors=colour, linewidth=0.5, label=label)
    axis.set_ylabel("size, kB")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _curve(axis: Any, index: Any, name: str, values: Sequence[float | None], why_not: str) -> None:
    numbers = np.array([np.nan if value is None else value for value in values])
    axis.set_ylabel(name)
    if np.isnan(numbers).all():
        axis.set_yticks([])
        axis.text(0.5, 0.5, why_not, transform=axis.transAxes, ha="center", va="center", color="#56606b")
        return
    axis.plot(index, numbers, color="#448361", linewidth=1.2, marker="." if len(numbers) <= 120 else None)

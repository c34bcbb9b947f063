"""The strips of frames in a report: picture, truth, and what each variant made of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data import Palette
from . import html
from .gallery import Shown

WRONG = (214, 24, 74)
STRIP_VARIANTS = 6
LEGEND_CLASSES = 40


def strips(shown: Sequence[Shown], palette: Palette) -> str:
    """For each distance: the decoded picture, the truth, and each variant's labels over its errors."""
    classes = legend_classes(shown, palette)
    names = (*(palette.names[c] for c in classes), "void", "wrong")
    parts = [html.legend(names, np.array([*palette.colours[classes].tolist(), palette.void, WRONG]))]
    for one in shown:
        pictures = html.image_tag(one.image, "decoded frame")
        pictures += html.image_tag(palette.color(one.truth), "truth", flat=True)
        figures = [f"<figure>{pictures}<figcaption>decoded frame, truth</figcaption></figure>"]
        for name, labels in list(one.labels.items())[:STRIP_VARIANTS]:
            figures.append(variant_figure(one, name, labels, palette))
        parts.append(f"<h3>d = {one.distance}</h3>{html.strip(figures)}")
    if len(shown[0].labels) > STRIP_VARIANTS:
        parts.append(html.paragraph(f"The first {STRIP_VARIANTS} of {len(shown[0].labels)} variants."))
    return "".join(parts)


def legend_classes(shown: Sequence[Shown], palette: Palette) -> list[int]:
    """The classes that a legend explains: all, or those in the pictures where there are more than LEGEND_CLASSES."""
    if len(palette) <= LEGEND_CLASSES:
        return list(range(len(palette)))
    maps = [labels for one in shown for labels in (one.truth, *list(one.labels.values())[:STRIP_VARIANTS])]
    return [int(c) for c in np.unique(np.concatenate([labels.ravel() for labels in maps])) if c < len(palette)]


def variant_figure(one: Shown, name: str, labels: NDArray[np.uint8], palette: Palette) -> str:
    """A variant's labels and, below, where they are wrong."""
    scored = one.truth < len(palette)
    wrong = scored & (labels != one.truth)
    share = wrong.sum() / max(1, scored.sum())
    pictures = html.image_tag(palette.color(labels), f"labels of {name}", flat=True)
    pictures += html.image_tag(error_map(one.image, wrong, scored, palette.void), f"errors of {name}")
    return f"<figure>{pictures}<figcaption>{escape(name)}, {100 * share:.1f} % wrong</figcaption></figure>"


def error_map(
    image: NDArray[np.uint8], wrong: NDArray[np.bool_], scored: NDArray[np.bool_], void: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """A pale grey picture with wrong pixels in WRONG and pixels that do not count in `void`."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    pale = np.repeat((150 + 0.4 * grey).clip(0, 255)[..., None], 3, 2).astype(np.uint8)
    pale[~scored] = void
    pale[wrong] = WRONG
    return pale

"""The palette that belongs to a network's classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...data import Palette, dataset_names, load_palette, voc_colours
from ...segnet import read_card


def palette_of(classes: tuple[str, ...], weights_file: Path | None = None) -> Palette:
    """The palette of a network with these class names.

    That of the data set it was trained on, from the card beside `weights_file` or by the names; else PASCAL VOC's
    colours.
    """
    card = {} if weights_file is None else read_card(weights_file)
    colours = np.array(card.get("palette", ()))
    if colours.shape == (len(classes), 3) and tuple(card.get("classes", ())) == tuple(classes):
        return Palette(classes, colours.astype(np.uint8))
    palettes = [load_palette(name) for name in dataset_names()]
    same = [palette for palette in palettes if tuple(palette.names) == tuple(classes)]
    return same[0] if same else Palette(classes, voc_colours(len(classes) + 1)[1:])

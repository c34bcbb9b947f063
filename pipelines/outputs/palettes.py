"""The palette that belongs to a network's classes."""

from __future__ import annotations

from ...data import Palette, dataset_names, load_palette, voc_colours


def palette_of(classes: tuple[str, ...]) -> Palette:
    """The palette with these class names, else PASCAL VOC's colours for them."""
    palettes = [load_palette(name) for name in dataset_names()]
    same = [palette for palette in palettes if tuple(palette.names) == tuple(classes)]
    return same[0] if same else Palette(classes, voc_colours(len(classes) + 1)[1:])

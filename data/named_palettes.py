"""`load_palette`: a data set's palette by its name, or that of a file."""

from __future__ import annotations

import os
from pathlib import Path

from .datasets import dataset_names, dataset_type
from .palettes import READERS, Palette, PaletteError, read_palette


def load_palette(name_or_file: str | os.PathLike[str]) -> Palette:
    """The palette of the data set with this name (`dataset_names`), or that of a JSON or CSV file (`read_palette`).

    Raises PaletteError where the name is unknown or the file is missing or wrong.
    """
    name = os.fspath(name_or_file)
    if name.lower() in dataset_names():
        return dataset_type(name.lower()).palette
    if Path(name).suffix.lower() not in READERS:
        known = ", ".join(dataset_names())
        raise PaletteError(f"palette '{name}': not one of {known}, nor the path of a .json or .csv file")
    return read_palette(Path(name))

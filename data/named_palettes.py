"""`load_palette`: the palette of a data set, by name or folder, or that of a file."""

from __future__ import annotations

import os
from pathlib import Path

from .datasets import CLASSES_FILE, dataset_names, dataset_type
from .palettes import READERS, Palette, PaletteError, read_palette


def load_palette(name_or_file: str | os.PathLike[str]) -> Palette:
    """The palette of the data set with this name (`dataset_names`) or folder (of `classes.json`, see `FolderDataset`),
    or that of a JSON or CSV file (`read_palette`).

    Raises PaletteError if the name is unknown, or the file is missing or wrong.
    """
    name = os.fspath(name_or_file)
    if name.lower() in dataset_names():
        return dataset_type(name.lower()).palette
    path = Path(name)
    if path.is_dir():
        path /= CLASSES_FILE
    if path.suffix.lower() not in READERS:
        known = ", ".join(dataset_names())
        raise PaletteError(
            f"palette '{name}': not one of {known}, nor a .json or .csv file or a folder with {CLASSES_FILE}"
        )
    return read_palette(path)

"""The data sets by their names. Nothing here imports more than it must: command lines ask for the names."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dataset import Dataset

DATASETS: dict[str, str] = {
    "camvid": f"{__package__}.camvid:CamVid",
    "camvid12": f"{__package__}.camvid:CamVid12",
    "cityscapes": f"{__package__}.cityscapes:Cityscapes",
    "vspw": f"{__package__}.vspw:VSPW",
}
"""Where the class of each data set is, `MODULE:CLASS`. A new data set is one module, and one line here."""

CLASSES_FILE = "classes.json"
"""What makes a folder of the user's own images and labels a data set: see `FolderDataset`."""


def dataset_names() -> tuple[str, ...]:
    """The names of the data sets, for command lines."""
    return tuple(DATASETS)


def known_datasets() -> str:
    """What `open_dataset` takes, in words for help and errors."""
    return f"{', '.join(DATASETS)}, or a folder with images, labels and {CLASSES_FILE}"


def dataset_type(name: str) -> type[Dataset]:
    """The class of the data set with this name, whose facts need no files; DatasetError where there is none."""
    if name not in DATASETS:
        raise _error(f"unknown data set '{name}'; there are: {known_datasets()}")
    module, _, attribute = DATASETS[name].partition(":")
    found: type[Dataset] = getattr(import_module(module), attribute)
    return found


def open_dataset(
    name_or_folder: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    frames: str | os.PathLike[str] | None = None,
) -> Dataset:
    """The data set with this name in the folder `root`, or a folder with `classes.json` as a data set of its own.

    `frames` is the folder of whole recordings that CamVid's sparse labels belong to. DatasetError where
    the name is unknown, `root` is missing, or given for nothing, or the folder's `classes.json` is wrong.
    """
    name = os.fspath(name_or_folder)
    beside = None if frames is None else Path(frames)
    if name in DATASETS or (name.lower() in DATASETS and (root is not None or not Path(name).is_dir())):
        name = name.lower()
        if root is None:
            raise _error(f"data set '{name}' needs --root FOLDER")
        return dataset_type(name)(Path(root), frames=beside)
    if not Path(name).is_dir():
        raise _error(f"unknown data set '{name}'; there are: {known_datasets()}")
    if root is not None:
        raise _error(f"data set '{name}' is a folder already; leave --root out")
    from .folder import FolderDataset

    return FolderDataset(Path(name), frames=beside)


def _error(text: str) -> Exception:
    from ..sample import DatasetError  # not above: it takes OpenCV with it

    return DatasetError(text)

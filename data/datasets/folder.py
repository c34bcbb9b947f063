"""A folder of the user's own images, labels and `classes.json` as a data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..palettes import Palette, PaletteError, class_facts, json_entries, make_palette
from ..sample import VOID, DatasetError, read_labels
from .dataset import Dataset
from .pairing import LabelledImages, LabelReader, list_files, pair_by_stem
from .registry import CLASSES_FILE
from .sequences import LabelledSequence

IMAGES, LABELS = "images", "labels"
ONLY_SPLIT = "all"
"""What the split of a folder without splits is called."""


class FolderDataset(Dataset):
    """A folder with `classes.json`, and `images` and `labels`, or such a pair of folders in a folder for each split.

        FOLDER/classes.json
        FOLDER/train/images/...   FOLDER/train/labels/...
        FOLDER/val/images/...     FOLDER/val/labels/...

    Labels are single-channel or paletted 8-bit images named as their images, whose values are class indices, 255 void.
    `images` and `labels` may hold equal sub-folders. `classes.json` is a palette's JSON (`read_palette`), or an object
    with these keys, of which only `classes` is needed:

    - `classes`: a palette's JSON; a class of the list may say the `value` that label files have for it, as in
      `{"name": "road", "color": [128, 64, 128], "value": 7}`, if that is not its place in the list;
    - `void`: the values, or the value, of label files that count for nothing; default 255;
    - `frame_rate`: where the images of a folder, in the natural order of their names, are the frames of one recording:
      how many make a second. Then frames may lack labels, and each sub-folder is a sequence;
    - `title`, and `licence`, a sentence for the cards of models.

    A label file with another value is refused, since it would count for nothing without a word. Raises DatasetError
    where `classes.json` or the folders are missing or wrong.
    """

    def __init__(self, root: str | Path, *, frames: str | Path | None = None) -> None:
        self.name = self.title = Path(root).resolve().name
        super().__init__(root, frames=frames)
        facts = _read_facts(self.root / CLASSES_FILE)
        self.title = facts.title or self.name
        self.palette, self.classes = facts.palette, facts.palette.names
        self._read_labels, self._rate = facts.read_labels, facts.frame_rate
        self.frame_rate = facts.frame_rate or Fraction(25)
        self.licence = facts.licence or f"Trained on {self.title}, a data set of the user's own."
        if (self.root / IMAGES).is_dir():
            self.splits: tuple[str, ...] = (ONLY_SPLIT,)
        else:
            self.splits = tuple(sorted(path.parent.name for path in self.root.glob(f"*/{IMAGES}") if path.is_dir()))
        if not self.splits:
            raise DatasetError(
                f"'{self.root}' has no folder '{IMAGES}', nor SPLIT/{IMAGES}; put images there and labels in '{LABELS}'"
            )

    def stills(self, split: str) -> LabelledImages:
        """Every labelled image of a split."""
        if self._rate is not None:
            pairs = [pair for sequence in self.sequences(split) for pair in sequence.stills().pairs]
        else:
            images, labels = self._folders(split)
            pairs = [pair for at in _with_images(images) for pair in pair_by_stem(at, labels / at.relative_to(images))]
        return LabelledImages(pairs, self._read_labels)

    def sequences(self, split: str) -> Sequence[LabelledSequence]:
        """One for each folder of images; DatasetError where `classes.json` has no frame rate."""
        if self._rate is None:
            raise DatasetError(
                f"'{self.root}' is no video; take its stills, or, if its images are the frames of recordings, add "
                f'"frame_rate" to {CLASSES_FILE}'
            )
        images, labels = self._folders(split)
        found = [
            self._sequence(at, labels / at.relative_to(images), "-".join(at.relative_to(images).parts) or split)
            for at in _with_images(images)
        ]
        if not any(sequence.label_files for sequence in found):
            raise DatasetError(f"'{labels}' holds no labels of these images; name label files as their images")
        return [sequence for sequence in found if sequence.label_files]

    def _folders(self, split: str) -> tuple[Path, Path]:
        if split not in self.splits:
            raise DatasetError(f"'{self.root}' has no split '{split}'; there are: {', '.join(self.splits)}")
        folder = self.root if (self.root / IMAGES).is_dir() else self.root / split
        if not (folder / LABELS).is_dir():
            raise DatasetError(f"'{folder}' has no folder '{LABELS}'; put the labels of '{IMAGES}' there")
        return folder / IMAGES, folder / LABELS

    def _sequence(self, images: Path, labels: Path, name: str) -> LabelledSequence:
        frames = list_files(images)
        by_stem = {path.stem: path for path in (list_files(labels) if labels.is_dir() else [])}
        found = {position: by_stem[path.stem] for position, path in enumerate(frames) if path.stem in by_stem}
        return LabelledSequence(name, frames, found, self._read_labels, {})


@dataclass(frozen=True)
class _Facts:
    palette: Palette
    read_labels: LabelReader
    frame_rate: Fraction | None
    title: str | None
    licence: str | None


@dataclass(frozen=True)
class _ValueReader:
    """Reads label files whose values are listed in `table`, (256,) int16: the class, VOID, or -1 for neither."""

    table: NDArray[np.int16]

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        labels = self.table[read_labels(path)]
        if (labels < 0).any():
            value = int(read_labels(path)[labels < 0][0])
            raise DatasetError(
                f"'{path}' has the value {value}, which is no class in {CLASSES_FILE} and not void; add it to either"
            )
        return labels.astype(np.uint8)


def _read_facts(file: Path) -> _Facts:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(
            f"'{file}' cannot be read ({error.strerror}); a data set of your own needs it, with names and colours"
        ) from error
    except ValueError as error:
        raise DatasetError(f"'{file}' is no JSON ({error}); correct it") from error
    facts = class_facts(content)
    try:
        palette = make_palette(lambda: json_entries(facts["classes"]), f"'{file}'")
        rate = facts.get("frame_rate")
        return _Facts(
            palette,
            _ValueReader(_table(facts["classes"], facts.get("void", VOID))),
            None if rate is None else _frame_rate(rate),
            facts.get("title"),
            facts.get("licence"),
        )
    except PaletteError as error:
        raise DatasetError(str(error)) from error
    except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        raise DatasetError(f"'{file}': {error}; correct it") from error


def _frame_rate(value: Any) -> Fraction:
    rate = Fraction(str(value)).limit_denominator(1001)
    if rate <= 0:
        raise ValueError(f"frame_rate {value} is no number of frames a second")
    return rate


def _table(classes: Any, void: Any) -> NDArray[np.int16]:
    """(256,): from the value of a label file to the class, VOID, or -1."""
    table = np.full(256, -1, np.int16)
    values = [
        int(entry.get("value", index)) if isinstance(entry, dict) else index for index, entry in enumerate(classes)
    ]
    for label, value in [*enumerate(values), *((VOID, int(value)) for value in np.atleast_1d(void))]:
        if not 0 <= value <= VOID:
            raise ValueError(f"the value {value} is not from 0 to 255, as 8-bit labels are")
        if table[value] not in (-1, label):
            raise ValueError(f"the value {value} is there twice, or of a class and void")
        table[value] = label
    return table


def _with_images(folder: Path) -> list[Path]:
    """The folder and those in it that hold images, by name; DatasetError where there are none."""
    found = [path for path in (folder, *sorted(folder.rglob("*"))) if path.is_dir() and list_files(path)]
    if not found:
        raise DatasetError(f"'{folder}' holds no images; check the path")
    return found

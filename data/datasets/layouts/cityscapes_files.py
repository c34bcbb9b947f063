"""The files of Cityscapes: the labelled stills, and the snippets of video around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...image import natural_key
from ...sample import VOID, DatasetError, read_labels
from ..sequences import LabelledSequence

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label id of each of the 19 training classes; every other id is void (the data set's `labels.py`)."""

_TRAIN_IDS = np.full(256, VOID, np.uint8)
_TRAIN_IDS[list(LABEL_IDS)] = np.arange(len(LABEL_IDS))
_NAME = re.compile(r"(?P<snippet>[^_]+_\d{6})_(?P<number>\d{6})_(?:gtFine_)?leftImg8bit")


def cityscapes_sequences(root: str | Path, split: str) -> list[LabelledSequence]:
    """The snippets of `leftImg8bit_sequence/SPLIT/CITY/CITY_SEQ_%06d_leftImg8bit.png` with the labels in `gtFine`.

    Each snippet is a run of consecutive frame numbers; usually 30 frames, of which the 20th is labelled. Snippets
    without labels are left out. Raises DatasetError where folders are missing or a labelled frame is in no snippet.
    """
    root = Path(root)
    frames = _images(root / "leftImg8bit_sequence" / split)
    by_key = {frame_key(path): path for path in frames}
    labels = {frame_key(path): path for path in _label_files(root / "gtFine" / split)}
    lost = [path.name for key, path in labels.items() if key not in by_key]
    if lost:
        raise DatasetError(
            f"'{root / 'leftImg8bit_sequence' / split}' lacks the frames of {len(lost)} labels, first '{lost[0]}'; "
            "unpack the whole split of leftImg8bit_sequence"
        )
    sequences = []
    for keys in _runs(sorted(by_key)):
        positions = {position: labels[key] for position, key in enumerate(keys) if key in labels}
        if positions:
            (snippet, number), images = keys[0], tuple(by_key[key] for key in keys)
            names = {position: f"{keys[position][0]}_{keys[position][1]:06d}" for position in positions}
            sequences.append(LabelledSequence(f"{snippet}_{number:06d}", images, positions, read_train_ids, names))
    if not sequences:
        raise DatasetError(f"'{root / 'gtFine' / split}' holds no labels; check the path and the split")
    return sequences


def labelled_pairs(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Images CITY/*_leftImg8bit.png (also *_gtFine_leftImg8bit.png, as AR-Seg writes them) with their label files.

    DatasetError where a folder is missing or empty, or an image has no labels.
    """
    files = _images(images)
    by_key = {frame_key(path): path for path in _label_files(labels)}
    without = [path.name for path in files if frame_key(path) not in by_key]
    if without:
        raise DatasetError(f"'{labels}' has no *_gtFine_labelIds.png for {len(without)} images, first '{without[0]}'")
    return [(path, by_key[frame_key(path)]) for path in files]


def read_train_ids(path: Path) -> NDArray[np.uint8]:
    """A `*_gtFine_labelIds.png` as training indices 0 to 18, 255 for void."""
    return np.asarray(_TRAIN_IDS[read_labels(path)], np.uint8)


def frame_key(path: Path) -> tuple[str, int]:
    """("CITY_SEQ", frame number) of an image's or a label's file name; DatasetError where it is not Cityscapes'."""
    stem = path.stem.removesuffix("_gtFine_labelIds")
    found = _NAME.fullmatch(stem if stem.endswith("leftImg8bit") else f"{stem}_leftImg8bit")
    if found is None:
        raise DatasetError(f"'{path}': its name is not CITY_000000_000019_..., as Cityscapes' files are; check it")
    return found["snippet"], int(found["number"])


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"'{folder}' is no folder; check the root and the split of Cityscapes")
    files = sorted(folder.glob("*/*_leftImg8bit.*"), key=natural_key)
    if not files:
        raise DatasetError(f"'{folder}' holds no CITY/*_leftImg8bit.png; check the path")
    return files


def _label_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"'{folder}' is no folder; put Cityscapes' gtFine there")
    return sorted(folder.glob("*/*_gtFine_labelIds.png"), key=natural_key)


def _runs(keys: Sequence[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Sorted keys, cut where the frame numbers are not consecutive."""
    run: list[tuple[str, int]] = []
    for key in keys:
        if run and key != (run[-1][0], run[-1][1] + 1):
            yield run
            run = []
        run.append(key)
    if run:
        yield run

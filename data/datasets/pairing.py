"""Images and the label files that belong to them, paired by stem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..image import is_image, natural_key, read_image
from ..sample import DatasetError, Sample

LabelReader = Callable[[Path], NDArray[np.uint8]]
"""From a label file to (H, W) uint8 class indices, 255 for void."""


class LabelledImages(Sequence[Sample]):
    """Images with the labels of each, read when they are asked for.

    `pairs` are the (image, label) files in order; `read_labels` gives the class indices of a label file. DatasetError
    where the sizes of a pair differ.
    """

    def __init__(self, pairs: Sequence[tuple[Path, Path]], read_labels: LabelReader) -> None:
        self.pairs, self.read_labels = list(pairs), read_labels

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} labelled images)"

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        image, label = self.pairs[index]
        return load_pair(image, label, self.read_labels)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def first(self, count: int) -> LabelledImages:
        """The first `count` of them, or all where there are fewer."""
        return LabelledImages(self.pairs[:count], self.read_labels)


def list_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural order, hidden ones passed over."""
    return sorted(filter(is_image, folder.iterdir()), key=natural_key)


def pair_by_stem(images: Path, labels: Path, *, suffix: str = "") -> list[tuple[Path, Path]]:
    """Every image of a folder with the label file that has its stem, or its stem and `suffix`, in natural order.

    Raises DatasetError where there are no images, where one has no labels, or where two share a stem.
    """
    files = list_files(images)
    if not files:
        raise DatasetError(f"'{images}' holds no images; check the path")
    _refuse_twins(files)
    found = list_files(labels)
    _refuse_twins(found)
    by_stem = {p.stem: p for p in found}
    pairs = [(p, by_stem.get(p.stem) or by_stem.get(p.stem + suffix)) for p in files]
    without = [p.name for p, label in pairs if label is None]
    if without:
        raise DatasetError(
            f"'{labels}' has no labels for {len(without)} of {len(files)} images, first '{without[0]}'; "
            "name label files as their images"
        )
    return [(p, label) for p, label in pairs if label is not None]


def load_pair(image_path: Path, label_path: Path, read: LabelReader) -> Sample:
    """The sample of one pair of files; DatasetError where they differ in size."""
    image, labels = read_image(image_path), read(label_path)
    if image.shape[:2] != labels.shape:
        raise DatasetError(
            f"'{label_path}' is {labels.shape[1]}x{labels.shape[0]} pixels, its image '{image_path}' "
            f"{image.shape[1]}x{image.shape[0]}; make them equal"
        )
    return Sample(image_path.stem, image, labels)


def _refuse_twins(files: Sequence[Path]) -> None:
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise DatasetError(f"'{file.parent}' holds '{stems[file.stem].name}' and '{file.name}'; remove one of them")
        stems[file.stem] = file

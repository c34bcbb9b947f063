"""A folder of frames as a data set, with or without labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..image import read_image
from ..sample import VOID, DatasetError, Sample, read_labels
from .pairing import list_files, load_pair, pair_by_stem


class FolderDataset(Sequence[Sample]):
    """The images of `images` in natural order, with the labels of equal stem in `labels`, or all void without it.

    Labels are single-channel or paletted 8-bit images whose values are class indices, 255 void; values of `classes`
    (a number) and more become void if it is given, so that other numbers for void need no conversion.

    Raises DatasetError where a folder is missing or empty, where an image has no labels, or where sizes differ.
    """

    def __init__(self, images: str | Path, labels: str | Path | None = None, *, classes: int | None = None) -> None:
        self.images, self.labels = Path(images), None if labels is None else Path(labels)
        self._classes = classes
        for folder in (self.images, self.labels):
            if folder is not None and not folder.is_dir():
                raise DatasetError(f"'{folder}' is no folder; check the path")
        self._pairs: list[tuple[Path, Path | None]]
        if self.labels is not None:
            self._pairs = list(pair_by_stem(self.images, self.labels))
        else:
            self._pairs = [(path, None) for path in list_files(self.images)]
        if not self._pairs:
            raise DatasetError(f"'{self.images}' holds no images; check the path")

    @property
    def has_labels(self) -> bool:
        """Whether the samples have labels of their own."""
        return self.labels is not None

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        image_path, label_path = self._pairs[index]
        if label_path is None:
            image = read_image(image_path)
            return Sample(image_path.stem, image, np.full(image.shape[:2], VOID, np.uint8))
        return load_pair(image_path, label_path, self._read)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def _read(self, path: Path) -> NDArray[np.uint8]:
        labels = read_labels(path)
        if self._classes is not None:
            labels = np.where(labels < self._classes, labels, VOID).astype(np.uint8)
        return labels

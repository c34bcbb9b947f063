"""CamVid (Brostow et al., 2009) in the layout of the SegNet release: `train/ trainannot/ val/ valannot/ ...`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .sample import IMAGE_SUFFIXES, VOID, DatasetError, Sample, read_image, read_labels

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)


class CamVid(Sequence[Sample]):
    """The labelled frames of one split, in the order of their names.

    `root` holds `SPLIT/` with images of any format and `SPLITannot/` with single-channel PNG labels, 0 to 10 and 11 for
    void (read as 255), paired by stem. Raises DatasetError where folders or partners are missing.
    """

    classes = CLASSES

    def __init__(self, root: str | Path, split: str) -> None:
        self.root, self.split = Path(root), split
        folder, annotations = self.root / split, self.root / f"{split}annot"
        for needed in (folder, annotations):
            if not needed.is_dir():
                raise DatasetError(f"'{self.root}' is no CamVid in the SegNet layout: it has no folder '{needed.name}'")
        labels = {p.stem: p for p in annotations.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES}
        images = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise DatasetError(f"'{folder}' holds no images")
        without = [p.name for p in images if p.stem not in labels]
        if without:
            raise DatasetError(f"'{annotations}' has no labels for {len(without)} images, first '{without[0]}'")
        self.pairs = [(p, labels[p.stem]) for p in images]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        image_path, label_path = self.pairs[index]
        labels = read_labels(label_path)
        return Sample(
            image_path.stem,
            read_image(image_path),
            np.where(labels < len(CLASSES), labels, VOID).astype(np.uint8),
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

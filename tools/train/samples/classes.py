"""Whether labels that come from elsewhere are of a data set's classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....data import VOID, Dataset, LabelledVideo, Sample, dataset_names, dataset_type
from ....errors import InputError
from ....segnet import SegmentationNetwork


def fits_classes(network: SegmentationNetwork, classes: Sequence[str]) -> bool:
    """Whether a network has these classes; one that knows only how many it has, any so many."""
    nameless = all(name == f"class {index}" for index, name in enumerate(network.classes))
    same = [name.lower() for name in network.classes] == [name.lower() for name in classes]
    return same or (nameless and len(network.classes) == len(classes))


def check_network(network: SegmentationNetwork, given: str, data: Dataset, what: str = "the network") -> None:
    """InputError where the network that was `given`, or `what` it is, has other classes than the data set."""
    if not fits_classes(network, data.classes):
        raise InputError(
            f"{what} '{given}' has the {len(network.classes)} classes {in_words(network.classes)}, but data set "
            f"'{data.name}' has the {len(data.classes)} classes {in_words(data.classes)}; give another, or the "
            "--dataset that it was trained on"
        )


def in_words(classes: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")


def check_labels(labels: NDArray[np.uint8], name: str, classes: int) -> None:
    """InputError where labels (H, W) hold something that is neither a class nor void."""
    wrong = labels[(labels >= classes) & (labels != VOID)]
    if wrong.size:
        raise InputError(
            f"'{name}' has the label {wrong[0]}, but the data set has {classes} classes; "
            "give the --dataset that it was made from"
        )


class CheckedSamples(Sequence[Sample]):
    """Samples whose labels are checked when they are read."""

    def __init__(self, samples: Sequence[Sample], classes: int) -> None:
        self._samples, self._classes = samples, classes

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        sample = self._samples[index]
        check_labels(sample.labels, sample.name, self._classes)
        return sample


def check_videos(videos: Sequence[LabelledVideo], data: Dataset) -> None:
    """InputError where the first label file of `videos` is drawn in the colours of another data set that is known."""
    file = next((file for video in videos for file in video.label_files if file is not None), None)
    colours = None if file is None else palette_of(file)
    if colours is None or drawn_with(colours, data.palette.colours):
        return
    for name in dataset_names():
        if drawn_with(colours, dataset_type(name).palette.colours):
            raise InputError(
                f"'{file}' has the classes of data set '{name}', not of '{data.name}'; "
                f"give --dataset {name}, or other clips"
            )


def palette_of(file: Path) -> NDArray[np.uint8] | None:
    """The colours (n, 3) of a paletted image; None where it has none."""
    with Image.open(file) as image:
        values = image.getpalette() if image.mode == "P" else None
    return None if not values else np.array(values, np.uint8).reshape(-1, 3)


def drawn_with(colours: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bool:
    """Whether an image's colours begin with those of a palette."""
    return len(colours) >= len(palette) and np.array_equal(colours[: len(palette)], palette)

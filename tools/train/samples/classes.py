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
from ...class_matching import match_classes


def check_network(network: SegmentationNetwork, given: str, data: Dataset, option: str = "--hr") -> None:
    """InputError unless the network that `option` gave has the data set's classes, by `match_classes`, in their order.

    In another order its logits could not be compared with the labels, nor a branch share its classifier.
    """
    try:
        table = match_classes(given, network.classes, data)
    except InputError as error:
        raise InputError(f"{option}: {error}") from error
    if table is not None:
        raise InputError(
            f"{option}: '{given}' has the classes of {data.title} in another order, which cannot be trained on; "
            f"give a network whose first class is {data.classes[0]}, or a --dataset with the network's order"
        )


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

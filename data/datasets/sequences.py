"""Recordings with labels for some or all frames, and the clips of them on which accuracy by distance is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..image import read_image
from ..sample import DatasetError, Sample
from .pairing import LabelledImages, LabelReader


@dataclass(frozen=True, eq=False)
class LabelledSequence:
    """The consecutive frames of one recording, of which some or all are labelled.

    `images` are its frames in order; `label_files` the label file of each labelled position; `names` the names that the
    labelled frames go by (the image's stem where there is none); `read_labels` gives the (H, W) uint8 class indices of
    a label file, 255 for void.
    """

    name: str
    images: Sequence[Path]
    label_files: Mapping[int, Path]
    read_labels: LabelReader
    names: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"LabelledSequence({self.name}: {len(self)} frames, {len(self.label_files)} labelled)"

    @property
    def is_dense(self) -> bool:
        """Whether every frame is labelled."""
        return len(self.label_files) == len(self.images)

    def image(self, position: int) -> NDArray[np.uint8]:
        """Frame `position`, (H, W, 3) uint8 RGB."""
        return read_image(self.images[position])

    def labels(self, position: int) -> NDArray[np.uint8]:
        """The labels of a labelled frame, (H, W) uint8; KeyError for another."""
        return self.read_labels(self.label_files[position])

    def samples(self, positions: Sequence[int]) -> list[Sample]:
        """Labelled frames, in the order asked for; KeyError where one is not labelled."""
        return [Sample(self.frame_name(place), self.image(place), self.labels(place)) for place in positions]

    def frame_name(self, position: int) -> str:
        """The name of frame `position`."""
        return self.names.get(position, self.images[position].stem)

    def stills(self) -> LabelledImages:
        """The labelled frames on their own."""
        pairs = [(self.images[position], label) for position, label in sorted(self.label_files.items())]
        return LabelledImages(pairs, self.read_labels)


@dataclass(frozen=True, eq=False)
class Clip:
    """The frames `start` to `stop` - 1 of a sequence, to be encoded as a stream of their own with GOPs of `gop` frames.

    `scored` are the positions in the clip (from 0) whose accuracy counts; frame i is seen at distance i mod `gop`.
    """

    sequence: LabelledSequence
    start: int
    stop: int
    gop: int
    scored: tuple[int, ...]

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """The sequence's name and the clip's first frame."""
        return f"{self.sequence.name}-{self.start:06d}"

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """The clip's frames, (H, W, 3) uint8 RGB."""
        return (self.sequence.image(position) for position in range(self.start, self.stop))

    def labels(self, index: int) -> NDArray[np.uint8]:
        """The labels of scored frame `index` of the clip."""
        return self.sequence.labels(self.start + index)


def dense_clips(sequence: LabelledSequence, gop: int, *, starts: int | None = None) -> Iterator[Clip]:
    """Clips that show each frame of a densely labelled sequence at each distance: it begins at its frame 0 .. gop - 1.

    Whole sequences, so that rate control is realistic. The first gop - 1 frames are seen at
    fewer distances. With `starts` it begins at fewer frames, and each is seen at as many distances. DatasetError where
    frames lack labels.
    """
    if not sequence.is_dense:
        raise DatasetError(
            f"'{sequence.name}' has labels for {len(sequence.label_files)} of {len(sequence)} frames; "
            "the dense protocol needs them all, take the sparse one"
        )
    for start in range(min(gop, starts or gop, len(sequence))):
        count = len(sequence) - start
        yield Clip(sequence, start, len(sequence), gop, tuple(range(count)))


def sparse_clips(sequence: LabelledSequence, gop: int, *, cut_after_last: bool = False) -> Iterator[Clip]:
    """Clips of one GOP that show each labelled frame at each distance d, beginning d frames before it.

    AR-Seg's protocol (CVPR 2023): a clip of `gop` frames, fewer at the recording's end, begins anew with a keyframe.
    Labelled frames that share a clip share it here too. With `cut_after_last` a clip ends with its last labelled frame,
    as the authors' Cityscapes clips do. Distances that reach before the first frame are left out.
    """
    starts: dict[int, list[int]] = {}
    for position in sequence.label_files:
        for d in range(min(gop, position + 1)):
            starts.setdefault(position - d, []).append(d)
    for start, scored in sorted(starts.items()):
        stop = start + max(scored) + 1 if cut_after_last else min(start + gop, len(sequence))
        yield Clip(sequence, start, stop, gop, tuple(sorted(scored)))


def limited(sequences: Sequence[LabelledSequence], labelled_frames: int) -> list[LabelledSequence]:
    """The first sequences up to so many labelled frames in all; a dense sequence is cut short after its last one."""
    kept: list[LabelledSequence] = []
    for sequence in sequences:
        if labelled_frames <= 0:
            break
        labels = dict(islice(sorted(sequence.label_files.items()), labelled_frames))
        images = sequence.images[: len(labels)] if sequence.is_dense else sequence.images
        kept.append(LabelledSequence(sequence.name, images, labels, sequence.read_labels, sequence.names))
        labelled_frames -= len(labels)
    return kept

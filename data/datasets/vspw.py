"""VSPW (Miao et al., "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild", CVPR 2021): labelled videos."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..class_lists import VSPW_NAMES
from ..palettes import Palette, voc_colours
from ..sample import VOID, DatasetError, read_labels
from .dataset import Dataset
from .pairing import LabelledImages, pair_by_stem
from .sequences import LabelledSequence

CLIP_OFFSETS = (9, 6, 3)
"""Frames from a clip's references to its target (Sun et al., ECCV 2022)."""

_INDICES = np.full(256, VOID, np.uint8)
_INDICES[1 : len(VSPW_NAMES) + 1] = np.arange(len(VSPW_NAMES))


class VSPW(Dataset):
    """VSPW: videos with 124 classes, every frame labelled; `root` is its folder `VSPW_480p`.

    Its files hold class + 1, 0 being void, and are drawn with PASCAL VOC's colours.
    """

    name = "vspw"
    title = "VSPW"
    palette = Palette(VSPW_NAMES, voc_colours(len(VSPW_NAMES) + 1)[1:])
    frame_rate = Fraction(15)
    licence = (
        "Trained on VSPW (Miao et al., CVPR 2021), whose images are for non-commercial research; the weights contain "
        "none of them."
    )
    encodings = 1

    def stills(self, split: str) -> LabelledImages:
        """Every frame of every video of a split."""
        pairs = [pair for video in self.sequences(split) for pair in video.stills().pairs]
        return LabelledImages(pairs, read_class_labels)

    def sequences(self, split: str) -> Sequence[LabelledSequence]:
        """The videos of a split; see `vspw_sequences`."""
        return vspw_sequences(self.root, split)


def vspw_sequences(root: str | Path, split: str) -> list[LabelledSequence]:
    """The videos of a split, every frame labelled: `SPLIT.txt` with a name a line, `data/NAME/origin/*.jpg` and
    `data/NAME/mask/*.png` with equal stems in `root` (`VSPW_480p`).

    Raises DatasetError where a list or a folder is missing, a frame has no labels, or a file is empty, as some are in
    the first release.
    """
    root = Path(root)
    listed = root / f"{split}.txt"
    if not listed.is_file():
        raise DatasetError(f"'{listed}' does not exist; VSPW's root holds train.txt, val.txt, test.txt and data")
    names = listed.read_text().split()
    if not names:
        raise DatasetError(f"'{listed}' names no video; copy it again")
    return [_sequence(root / "data" / name) for name in names]


def read_class_labels(path: Path) -> NDArray[np.uint8]:
    """A mask as class indices 0 to 123, (H, W) uint8: files hold the index plus one; 0 and 255 are void (255 here)."""
    return np.asarray(_INDICES[read_labels(path)], np.uint8)


def draw_clip(length: int, generator: Generator, offsets: Sequence[int] = CLIP_OFFSETS) -> tuple[int, ...]:
    """The positions of a training clip in a video of `length` frames, the target last.

    The target is drawn uniformly from the frames that have all references; half of the clips run backwards in time
    (Sun et al., ECCV 2022). Raises ValueError where the video is too short for any.
    """
    first = max(offsets)
    if length <= first:
        raise ValueError(f"a video of {length} frames is too short for references {offsets} frames back; leave it out")
    target = int(generator.integers(first, length))
    positions = (*(target - offset for offset in offsets), target)
    return tuple(length - 1 - p for p in positions) if generator.random() < 0.5 else positions


def _sequence(folder: Path) -> LabelledSequence:
    images, masks = folder / "origin", folder / "mask"
    for needed in (images, masks):
        if not needed.is_dir():
            raise DatasetError(f"'{needed}' is no folder; unpack all of VSPW_480p/data")
    pairs = pair_by_stem(images, masks)
    empty = [path for pair in pairs for path in pair if not path.stat().st_size]
    if empty:
        raise DatasetError(f"'{empty[0]}' is empty, and {len(empty) - 1} more files are; take the corrected release")
    labels = dict(enumerate(mask for _, mask in pairs))
    return LabelledSequence(folder.name, tuple(image for image, _ in pairs), labels, read_class_labels, {})

"""Cityscapes (Cordts et al., CVPR 2016) with its 19 training classes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ..class_lists import CITYSCAPES
from ..palettes import Palette
from ..sample import DatasetError
from .dataset import Dataset
from .layouts import ProcessedFrames, cityscapes_sequences, labelled_pairs, processed_gop, read_train_ids
from .pairing import LabelledImages
from .sequences import LabelledSequence


class Cityscapes(Dataset):
    """The labelled frames of `leftImg8bit` and `gtFine`, and the snippets of `leftImg8bit_sequence` around them.

    `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and `gtFine/SPLIT/CITY/*_gtFine_labelIds.png` in `root`; labels are
    turned from label ids into training indices.
    """

    name = "cityscapes"
    title = "Cityscapes"
    palette = Palette.of(CITYSCAPES)
    frame_rate = Fraction(17)
    licence = (
        "Trained on Cityscapes (Cordts et al., CVPR 2016), whose images are for non-commercial research; the weights "
        "contain none of them."
    )

    def stills(self, split: str) -> LabelledImages:
        """The labelled frames of a split, city by city."""
        pairs = labelled_pairs(self.root / "leftImg8bit" / split, self.root / "gtFine" / split)
        return LabelledImages(pairs, read_train_ids)

    def sequences(self, split: str) -> Sequence[LabelledSequence]:
        """The snippets around the labelled frames of a split, of 30 frames each."""
        return cityscapes_sequences(self.root, split)

    def processed(self, split: str) -> ProcessedFrames | None:
        """The frames of an AR-Seg folder; DatasetError where they are of CamVid."""
        if processed_gop(self.root) is None:
            return None
        found = ProcessedFrames(self.root, split)
        if not found.is_cityscapes:
            raise DatasetError(f"'{self.root}' holds processed frames of CamVid; give --dataset camvid or camvid12")
        return found

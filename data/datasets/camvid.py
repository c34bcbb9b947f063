"""CamVid (Brostow et al., Pattern Recognition Letters 2009): with the usual 11 classes, or with AR-Seg's 12."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from ..class_lists import CAMVID
from ..palettes import Palette
from ..sample import DatasetError
from .dataset import Dataset
from .layouts import CamVidStills, ProcessedFrames, camvid_dense, camvid_sparse, processed_gop
from .sequences import LabelledSequence


class CamVid(Dataset):
    """CamVid with its usual 11 classes, all else being void; for the layouts of `root` see `CamVidStills`.

    With `frames`, or a folder `frames` in `root`, sequences are the authors' whole videos at 30 Hz, sparsely labelled;
    without, stretches of a split that are densely labelled at 15 Hz, as `val` is in SegNet's release.
    """

    name = "camvid"
    title = "CamVid"
    palette = Palette.of(CAMVID)
    frame_rate = Fraction(15)
    licence = (
        "Trained on CamVid (Brostow, Fauqueur and Cipolla, Pattern Recognition Letters 2009), whose images are for "
        "research; the weights contain none of them."
    )
    void_class = False

    def __init__(self, root: str | Path, *, frames: str | Path | None = None) -> None:
        super().__init__(root)
        beside = self.root / "frames"
        self.frames = Path(frames) if frames is not None else beside if beside.is_dir() else None
        if self.frames is not None:
            self.frame_rate = Fraction(30)

    def stills(self, split: str) -> CamVidStills:
        """The labelled frames of a split in the natural order of their names."""
        return CamVidStills(self.root, split, void_class=self.void_class)

    def sequences(self, split: str) -> Sequence[LabelledSequence]:
        """The whole videos where there are `frames`, else the densely labelled stretches of a split."""
        stills = self.stills(split)
        return camvid_dense(stills) if self.frames is None else camvid_sparse(stills, self.frames)

    def processed(self, split: str) -> ProcessedFrames | None:
        """The frames of an AR-Seg folder; DatasetError where they are of Cityscapes."""
        if processed_gop(self.root) is None:
            return None
        found = ProcessedFrames(self.root, split, void_class=self.void_class)
        if found.is_cityscapes:
            raise DatasetError(f"'{self.root}' holds processed frames of Cityscapes; give --dataset cityscapes")
        return found


class CamVid12(CamVid):
    """CamVid with the 12 classes that AR-Seg trains and scores (Hu et al., CVPR 2023): void is one of them."""

    name = "camvid12"
    title = "CamVid, 12 classes"
    palette = Palette.of({**CAMVID, "void": (0, 0, 0)})
    void_class = True

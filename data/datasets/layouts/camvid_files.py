"""The files of CamVid: the layouts of SegNet's release, of its authors, and of AR-Seg; their labels as classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...class_lists import CAMVID, CAMVID_AUTHORS
from ...image import read_image
from ...label_files import read_class_indices
from ...palettes import Palette, PaletteError, read_palette
from ...sample import VOID, DatasetError
from ..pairing import LabelledImages, LabelReader, pair_by_stem

CAMVID_CLASSES = tuple(CAMVID)

Layout = Literal["segnet", "authors", "ar-seg"]


class CamVidStills(LabelledImages):
    """The labelled frames of one split, in the natural order of their names, with the 11 classes and 255 for void.

    `layout` "segnet": `SPLIT/` holds images and `SPLITannot/` single-channel labels, 0 to 10, all else void.
    "authors": `SPLIT/` holds images and `SPLIT_labels/` colour labels, whose stems may end in `_L`; the colours of the
    32 classes are those of `class_dict.csv` (name, r, g, b) in the root, or the authors' where it is missing, and are
    grouped into the 11. "ar-seg": `SPLIT_labels_with_ignored/` holds single-channel labels, 0 to 11 as AR-Seg's script
    writes them. "auto" takes the layout whose label folder is there, in this order. Images and labels are paired by
    stem, in any image format.

    `void_class` gives AR-Seg's 12 classes: void is class 11, and of colour labels only the twelve exact colours count,
    the other 20 of the authors' classes being ignored (255) instead of grouped. Of SegNet's labels 11 is void; they
    hold AR-Seg's ignored pixels in other classes, so that figures on them are not comparable with the authors'.

    Raises DatasetError where folders or partners are missing, where a label's size is not its image's, or where most
    of a colour label is in colours that `class_dict.csv` does not know.
    """

    def __init__(
        self, root: str | Path, split: str, layout: Layout | Literal["auto"] = "auto", *, void_class: bool = False
    ) -> None:
        self.root, self.split = Path(root), split
        self.layout: Layout = find_layout(self.root, split) if layout == "auto" else layout
        folder, annotations = self.root / split, self.root / label_folder(self.layout, split)
        for needed in (folder, annotations):
            if not needed.is_dir():
                raise DatasetError(
                    f"'{self.root}' is no CamVid in the {self.layout} layout: it has no folder '{needed.name}'; "
                    f"check the path and the split"
                )
        pairs = pair_by_stem(folder, annotations, suffix="" if self.layout == "segnet" else "_L")
        super().__init__(pairs, label_reader(self.root, self.layout, void_class=void_class))


def label_reader(root: Path, layout: Layout, *, void_class: bool = False) -> LabelReader:
    """What reads one label file of a CamVid in `layout` as (H, W) uint8 class indices; see `CamVidStills`."""
    if layout == "authors":
        return _ColourReader(root / "class_dict.csv", void_class=void_class)
    return partial(read_class_indices, classes=len(CAMVID_CLASSES) + void_class)


def find_layout(root: Path, split: str) -> Layout:
    """The layout whose label folder is in `root`; DatasetError where there is none."""
    layouts: tuple[Layout, ...] = ("segnet", "authors", "ar-seg")
    for layout in layouts:
        if (root / label_folder(layout, split)).is_dir():
            return layout
    if not root.is_dir():
        raise DatasetError(f"'{root}' is no folder; check the path")
    wanted = " nor ".join(f"'{label_folder(layout, split)}'" for layout in layouts)
    raise DatasetError(f"'{root}' is no CamVid: it has no folder {wanted} with labels; check the path and the split")


def label_folder(layout: Layout, split: str) -> str:
    """The name of the folder with a split's labels."""
    return split + {"segnet": "annot", "authors": "_labels", "ar-seg": "_labels_with_ignored"}[layout]


class _ColourReader:
    """Reads colour labels as indices of the 11 classes, or of the 12 with void."""

    def __init__(self, class_dict: Path, *, void_class: bool) -> None:
        self._source = str(class_dict)
        if class_dict.exists():
            try:
                palette = read_palette(class_dict)
            except PaletteError as error:
                raise DatasetError(str(error)) from error
        else:
            self._source = "the authors' list of colours"
            palette = Palette.of({name: colour for name, (colour, _) in CAMVID_AUTHORS.items()})
        groups = {name.lower(): group for name, (_, group) in CAMVID_AUTHORS.items()}
        unknown = [name for name in palette.names if name.lower() not in groups]
        if unknown:
            raise DatasetError(f"'{class_dict}': '{unknown[0]}' is none of CamVid's 32 classes; use the authors' names")
        codes = _codes(palette.colours)
        order = np.argsort(codes)
        self._codes = codes[order]
        if void_class:
            own = {tuple(colour): index for index, colour in enumerate((*CAMVID.values(), (0, 0, 0)))}
            indices = [own.get(tuple(colour), VOID) for colour in palette.colours.tolist()]
        else:
            merged = [groups[name.lower()] for name in palette.names]
            indices = [VOID if group is None else CAMVID_CLASSES.index(group) for group in merged]
        self._indices = np.array(indices, np.uint8)[order]

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        codes = _codes(read_image(path))
        at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        known = self._codes[at] == codes
        if known.mean() < 0.5:
            share = 100 * (1 - float(known.mean()))
            raise DatasetError(
                f"'{path}': {share:.0f} % of it is in colours that {self._source} does not list; check it"
            )
        return np.where(known, self._indices[at], VOID).astype(np.uint8)


def _codes(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    wide = rgb.astype(np.int32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.int32)

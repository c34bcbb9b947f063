"""What AR-Seg's pre-processing leaves on disk (Hu et al., CVPR 2023): decoded frames and composed motion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...sample import DatasetError
from ..pairing import LabelReader, pair_by_stem
from .camvid_files import Layout, label_folder, label_reader
from .camvid_video import extracted_frame
from .cityscapes_files import frame_key, labelled_pairs, read_train_ids

QUARTER_PIXELS = np.float32(4)


@dataclass(frozen=True)
class ProcessedFrame:
    """One labelled frame seen at `distance` from its keyframe: the files of both, of its motion and of its labels.

    `motion` is None on a keyframe (distance 0).
    """

    name: str
    distance: int
    keyframe: Path
    image: Path
    motion: Path | None
    label: Path


class ProcessedFrames:
    """A folder such as `3M-GOP12`, of CamVid or Cityscapes, as the authors' scripts write it.

    `decoded_GOP12_dist_D/` holds the decoded frames of a split, `frames/` the decoded keyframes of every distance,
    `MVmap_GOP12_dist_D/` the composed motion. CamVid's labels are `SPLIT_labels_with_ignored/` (or `SPLIT_labels/`
    in colour) beside the decoded frames, Cityscapes' are in `gtFine/`. `gop` is the number of distances there, `tag`
    the bitrate as the folder's name tells it ("3M", or "" where it does not). Raises DatasetError where files are
    missing.
    """

    def __init__(self, root: str | Path, split: str, *, void_class: bool = True) -> None:
        self.root, self.split = Path(root), split
        gop = processed_gop(self.root)
        if gop is None:
            raise DatasetError(f"'{self.root}' holds no decoded_GOP12_dist_0 or the like; give AR-Seg's tag folder")
        self.gop = gop
        tag = re.fullmatch(r"(\d+(?:\.\d+)?[kM])-GOP\d+", self.root.name)
        self.tag = tag[1] if tag else ""
        self.is_cityscapes = (self._decoded(0) / "leftImg8bit").is_dir()
        self.read_labels: LabelReader = read_train_ids
        self._layout: Callable[[int], Iterator[ProcessedFrame]] = self._cityscapes
        if not self.is_cityscapes:
            self._indexed = (self._decoded(0) / label_folder("ar-seg", split)).is_dir()
            kind: Layout = "ar-seg" if self._indexed else "authors"
            self.read_labels = label_reader(self.root, kind, void_class=void_class)
            self._layout = self._camvid

    def at(self, distance: int) -> list[ProcessedFrame]:
        """The labelled frames at one distance, their files all there."""
        frames = list(self._layout(distance))
        needed = [path for f in frames for path in (f.keyframe, f.image, f.motion) if path is not None]
        missing = [path for path in needed if not path.is_file()]
        if missing:
            raise DatasetError(f"'{missing[0]}' and {len(missing) - 1} more files are missing; process the split again")
        return frames

    def _decoded(self, distance: int) -> Path:
        return self.root / f"decoded_GOP{self.gop}_dist_{distance}"

    def _motion(self, distance: int) -> Path:
        return self.root / f"MVmap_GOP{self.gop}_dist_{distance}"

    def _camvid(self, distance: int) -> Iterator[ProcessedFrame]:
        folder = self._decoded(distance)
        labels = folder / label_folder("ar-seg" if self._indexed else "authors", self.split)
        for needed in (folder / self.split, labels):
            if not needed.is_dir():
                raise DatasetError(f"'{needed}' is no folder; check the split, or process it for distance {distance}")
        for image, label in pair_by_stem(folder / self.split, labels, suffix="_L"):
            scene, number = extracted_frame(image.stem)
            keyframe = self.root / "frames" / scene / f"{scene}_{number - distance:06d}{image.suffix}"
            motion = self._motion(distance) / scene / f"{image.stem}.bin" if distance else None
            yield ProcessedFrame(image.stem, distance, keyframe, image, motion, label)

    def _cityscapes(self, distance: int) -> Iterator[ProcessedFrame]:
        folder = self._decoded(distance)
        pairs = labelled_pairs(folder / "leftImg8bit" / self.split, folder / "gtFine" / self.split)
        for image, label in pairs:
            snippet, number = frame_key(image)
            city = image.parent.name
            name = f"{snippet}_{number - distance:06d}_leftImg8bit{image.suffix}"
            keyframe = self.root / "frames" / self.split / city / name
            motion = self._motion(distance) / self.split / city / f"{image.stem}.bin" if distance else None
            yield ProcessedFrame(f"{snippet}_{number:06d}", distance, keyframe, image, motion, label)


def processed_gop(root: Path) -> int | None:
    """The GOP length in the names of AR-Seg's folders in `root`, or None where there are none."""
    gops = [re.fullmatch(r"decoded_GOP(\d+)_dist_0", path.name) for path in sorted(root.glob("decoded_GOP*_dist_0"))]
    return next((int(found[1]) for found in gops if found), None)


def read_motion_map(path: Path, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """A composed map `.bin` as (H, W, 2) float32, the backward displacement to the keyframe in pixels, x before y.

    The file is int16, H x W x 2, quarter pixels, without header. DatasetError where its size is another.
    """
    height, width = size_hw
    data = np.fromfile(path, "<i2")
    if data.size != height * width * 2:
        raise DatasetError(
            f"'{path}' holds {2 * data.size} bytes, a {width}x{height} frame needs {4 * height * width}; "
            "process it again"
        )
    return data.reshape(height, width, 2).astype(np.float32) / QUARTER_PIXELS

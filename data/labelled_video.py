"""Labelled videos: `NAME.mp4` beside `NAME_labels/000000.png`, ..., as `preprocess stills` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..codec import MotionChain, MotionField, filled, open_video
from .sample import VOID, DatasetError, Sample, read_labels


@dataclass(frozen=True)
class KeyedSample:
    """A labelled frame with the keyframe it refers to: what fusion and propagation are trained on.

    `image` and `key_image` are (H, W, 3) uint8 RGB, decoded; `labels` (H, W) uint8, 255 void. `displacement` (h, w, 2)
    float32 is the composed backward motion to the keyframe in pixels, x first, holes filled, and `unreferenced` (h, w)
    bool where it was lost, on the grid of cells that was asked for. `distance` is the number of frames between them.
    """

    name: str
    image: NDArray[np.uint8]
    key_image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    displacement: NDArray[np.float32]
    unreferenced: NDArray[np.bool_]
    distance: int


@dataclass(frozen=True)
class LabelledVideo:
    """One video and the label images of its frames, in order. DatasetError where a file is missing or does not fit.

    A frame whose file is None has no labels: all void. `still_frame` is the frame whose picture and labels were not
    warped, where `preprocess stills` made the video; `gop` the frames from one keyframe to the next, 0 if unknown.
    """

    video: Path
    label_files: tuple[Path | None, ...] = field(repr=False)
    still_frame: int | None = None
    gop: int = 0

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.label_files)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.video.stem

    def sample(self, index: int) -> Sample:
        """Frame `index`, decoded, with its labels."""
        return self.samples([index])[0]

    def samples(self, positions: Sequence[int]) -> list[Sample]:
        """Several frames, decoded in one go, with their labels; in the order asked for."""
        found: dict[int, Sample] = {}
        with open_video(self.video, motion=False, qp=False) as frames:
            for frame in frames:
                if frame.index in positions:
                    labels = self.sample_labels(frame.index, frame.size_hw)
                    found[frame.index] = Sample(f"{self.name}:{frame.index}", frame.image, labels)
                if len(found) == len(set(positions)):
                    return [found[index] for index in positions]
        missing = next(index for index in positions if index not in found)
        raise DatasetError(f"'{self.video}' ends before frame {missing}, which has labels; make it again")

    def labels(self, index: int) -> NDArray[np.uint8]:
        """The labels of frame `index`, (H, W); DatasetError where it has none."""
        file = self.label_files[index]
        if file is None:
            raise DatasetError(f"frame {index} of '{self.video}' has no labels; leave it out")
        return read_labels(file)

    def keyed(self, indices: Iterable[int], cell: int) -> Iterator[KeyedSample]:
        """The frames of `indices`, in display order, with their keyframes; motion on cells of `cell` pixels."""
        wanted = set(indices)
        last = max(wanted)
        with open_video(self.video, qp=False) as frames:
            chain, key_image = MotionChain(frames.size_hw), None
            for frame in frames:
                if frame.is_keyframe:
                    chain.reset()
                    key_image = frame.image
                elif frame.motion is not None:
                    chain.push(filled(MotionField.from_vectors(frame.motion)))
                else:
                    chain.push(None)
                if frame.index in wanted and key_image is not None:
                    motion = chain.compose(cell)
                    yield KeyedSample(
                        f"{self.video.stem}:{frame.index}",
                        frame.image,
                        key_image,
                        self.sample_labels(frame.index, frame.size_hw),
                        motion.displacement,
                        motion.unreferenced,
                        frame.distance,
                    )
                if frame.index == last:
                    return

    def sample_labels(self, index: int, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """The labels of frame `index`, void where it has none; DatasetError where they are not `size_hw`."""
        file = self.label_files[index]
        if file is None:
            return np.full(size_hw, VOID, np.uint8)
        labels = read_labels(file)
        if labels.shape != size_hw:
            raise DatasetError(f"'{file}' is {labels.shape}, but its video is {size_hw}")
        return labels


def find_labelled_videos(folder: str | Path) -> list[LabelledVideo]:
    """The labelled videos of a folder, by name. DatasetError where there is none."""
    found = [_read(video, labels) for video in sorted(Path(folder).glob("*.mp4")) if (labels := _label_files(video))]
    if not found:
        raise DatasetError(
            f"'{folder}' holds no labelled videos (NAME.mp4 beside NAME_labels/); make some with `preprocess stills`"
        )
    return found


def find_videos(folder: str | Path) -> list[LabelledVideo]:
    """The videos of a folder, by name, with labels or without. DatasetError where there is none."""
    found = [_read(video, _label_files(video) or _no_labels(video)) for video in sorted(Path(folder).glob("*.mp4"))]
    if not found:
        raise DatasetError(f"'{folder}' holds no videos NAME.mp4; make some with `preprocess encode`")
    return found


def _label_files(video: Path) -> tuple[Path | None, ...]:
    return tuple(sorted((video.parent / f"{video.stem}_labels").glob("*.png")))


def _no_labels(video: Path) -> tuple[Path | None, ...]:
    with open_video(video, pixels=False, qp=False) as frames:
        return (None,) * sum(1 for _ in frames)


def _read(video: Path, labels: tuple[Path | None, ...]) -> LabelledVideo:
    card = video.with_suffix(".json")
    facts = json.loads(card.read_text()) if card.is_file() else {}
    return LabelledVideo(video, labels, facts.get("still_frame"), facts.get("settings", {}).get("gop", 0))


class LabelledVideoFrames(Sequence[Sample]):
    """Labelled frames of several videos as one data set of single frames, decoded when asked for.

    All of them, or with `stills` only those that were not warped, whose labels are as exact as the still's.
    """

    def __init__(self, videos: Sequence[LabelledVideo], *, stills: bool = False) -> None:
        self._frames = [
            (video, index) for video in videos for index in ([video.still_frame or 0] if stills else range(len(video)))
        ]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        video, frame = self._frames[index]
        return video.sample(frame)

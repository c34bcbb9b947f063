"""What fusions are trained on: frames with the keyframes they refer to, from the layouts that video comes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ....codec import open_video
from ....data import (
    Dataset,
    KeyedSample,
    LabelledVideo,
    ProcessedFrame,
    ProcessedFrames,
    dataset_names,
    find_labelled_videos,
    open_dataset,
    read_image,
    read_motion_map,
)
from ....errors import InputError
from ....preprocess import INDEX, read_index
from .classes import check_videos


class KeyedSource(Protocol):
    """One video: its frames between keyframes."""

    @property
    def still_frame(self) -> int | None:
        """A frame that every drawing should hold, where there is one."""

    def __len__(self) -> int:
        """The number of frames."""

    def keyed(self, indices: Iterable[int], cell: int) -> Iterator[KeyedSample]:
        """The frames of `indices` with their keyframes; see `LabelledVideo`."""


@dataclass(frozen=True)
class ChosenFrames:
    """Those frames of a video that are worth drawing, counted from 0."""

    video: LabelledVideo
    frames: tuple[int, ...]
    still_frame: int | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.frames)

    def keyed(self, indices: Iterable[int], cell: int) -> Iterator[KeyedSample]:
        """See `LabelledVideo.keyed`."""
        return self.video.keyed([self.frames[index] for index in indices], cell)


@dataclass(frozen=True)
class ProcessedSource:
    """One labelled frame of AR-Seg's processed folders, at each of its distances."""

    data: ProcessedFrames
    frames: tuple[ProcessedFrame, ...]
    still_frame: int | None = None

    def __len__(self) -> int:
        """The number of distances."""
        return len(self.frames)

    def keyed(self, indices: Iterable[int], cell: int) -> Iterator[KeyedSample]:
        """The frame at the distances of these numbers."""
        for frame in (self.frames[index] for index in indices):
            assert frame.motion is not None
            image = read_image(frame.image)
            size_hw = image.shape[0], image.shape[1]
            grid = -(-size_hw[1] // cell), -(-size_hw[0] // cell)
            motion = cv2.resize(read_motion_map(frame.motion, size_hw), grid, interpolation=cv2.INTER_AREA)
            yield KeyedSample(
                frame.name,
                image,
                read_image(frame.keyframe),
                self.data.read_labels(frame.label),
                np.asarray(motion, np.float32),
                np.zeros(grid[::-1], np.bool_),
                frame.distance,
            )


def find_sources(folder: Path, data: Dataset, split: str = "train") -> Sequence[KeyedSource]:
    """The videos of a folder: labelled GOPs (`preprocess stills`, `street`), clips (`preprocess clips`), AR-Seg's
    processed frames, or videos without labels. InputError where it holds none of them, or labels of other classes than
    the data set's."""
    if (folder / INDEX).is_file():
        return [source for source in map(_labelled_only, labelled_videos(folder, data)) if len(source)]
    processed = processed_frames(folder, data, split)
    if processed is not None:
        distances = [processed.at(distance) for distance in range(1, processed.gop)]
        return [ProcessedSource(processed, frames) for frames in zip(*distances, strict=True)]
    if any(folder.glob("*_labels")):
        return [_between_keyframes(video) for video in labelled_videos(folder, data)]
    found = [_unlabelled(file) for file in sorted(folder.glob("*.mp4"))]
    if not found:
        raise InputError(f"'{folder}' holds no videos; make some with `preprocess stills`, `street` or `encode`")
    return found


def processed_frames(folder: Path, data: Dataset, split: str) -> ProcessedFrames | None:
    """AR-Seg's processed frames of a folder, labelled as the data set has it; None where it holds none."""
    return open_dataset(data.name, folder).processed(split) if data.name in dataset_names() else None


def has_labels(source: KeyedSource) -> bool:
    """Whether any of a source's frames has labels."""
    return not isinstance(source, ChosenFrames) or any(file is not None for file in source.video.label_files)


def labelled_videos(folder: Path, data: Dataset) -> list[LabelledVideo]:
    """The labelled videos of a folder: GOPs (`preprocess stills`, `street`) or clips (`preprocess clips`).

    DatasetError or InvalidDataError where it holds neither, InputError where they have other classes than `data`.
    """
    if not (folder / INDEX).is_file():
        videos = find_labelled_videos(folder)
        check_videos(videos, data)
        return videos
    index = read_index(folder)
    if tuple(index.classes) != data.classes[: len(index.classes)]:
        raise InputError(f"'{folder}' has clips of other classes than data set '{data.name}'; give other --clips")
    videos = []
    for clip in index.clips:
        files: list[Path | None] = [None] * clip.frame_count
        for frame in clip.scored:
            files[frame.frame] = frame.label
        videos.append(LabelledVideo(clip.video, tuple(files), gop=index.gop))
    return videos


def _labelled_only(video: LabelledVideo) -> ChosenFrames:
    """The frames between keyframes that have labels."""
    labelled = (index for index, file in enumerate(video.label_files) if file is not None)
    return ChosenFrames(video, tuple(index for index in labelled if index % video.gop))


def _between_keyframes(video: LabelledVideo) -> ChosenFrames:
    """All but the first frame; a still that is the first is no frame between keyframes."""
    frames = tuple(range(1, len(video)))
    return ChosenFrames(video, frames, video.still_frame - 1 if video.still_frame else None)


def _unlabelled(file: Path) -> ChosenFrames:
    with open_video(file, pixels=False) as frames:
        between = tuple(frame.index for frame in frames if frame.distance and frame.motion is not None)
        count = frames.frame_count or 0
    if not between:
        raise InputError(f"'{file}' has no motion vectors between keyframes; encode it with `preprocess encode`")
    return ChosenFrames(LabelledVideo(file, (None,) * max(count, between[-1] + 1)), between)

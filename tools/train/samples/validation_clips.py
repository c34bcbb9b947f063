"""A data set's validation recordings as encoded, labelled videos, for trainers of what works between keyframes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from ....codec import EncodeSettings, pictures_of_images, transcode
from ....data import Clip, Dataset, LabelledSequence, LabelledVideo, Palette, limited, write_labels
from ....errors import InputError
from ..loop import is_main_process, wait_for_all

VAL_GOP = 12
"""GOP length that they are encoded at."""

VAL_OFFSETS = (0, 6)
"""Frames that a recording of which all are labelled begins with: each is then seen at two distances to its keyframe."""

VAL_DISTANCES = (3, 9)
"""Distances to the keyframe that the labelled frames of other recordings are seen at."""


def validation_videos(
    data: Dataset, folder: Path, bitrate_bps: int, labelled_frames: int | None = None
) -> list[LabelledVideo]:
    """The recordings of `val`, up to so many labelled frames, encoded in `folder` by the main process.

    InputError where no labelled frame lies between keyframes.
    """
    sequences = data.sequences("val")
    if labelled_frames is not None:
        sequences = limited(sequences, labelled_frames)
    clips = list(validation_clips(sequences))
    if not clips:
        raise InputError(
            f"'{data.root}': val has no labelled frame between keyframes, on which this training is validated; "
            "give recordings of two frames or more"
        )
    if is_main_process():
        for clip in clips:
            encode_clip(clip, folder, data.frame_rate, bitrate_bps, data.palette)
    wait_for_all()
    return [labelled_clip(clip, folder) for clip in clips]


def validation_clips(sequences: Sequence[LabelledSequence]) -> Iterator[Clip]:
    """What is encoded of recordings: all that is labelled at VAL_OFFSETS, else single frames at VAL_DISTANCES."""
    for sequence in sequences:
        if sequence.is_dense:
            for offset in VAL_OFFSETS:
                if len(sequence) - offset > 1:
                    scored = tuple(range(len(sequence) - offset))
                    yield Clip(sequence, offset, len(sequence), VAL_GOP, scored)
        else:
            for position in sorted(sequence.label_files):
                for distance in VAL_DISTANCES:
                    if position >= distance:
                        yield Clip(sequence, position - distance, position + 1, VAL_GOP, (distance,))


def encode_clip(clip: Clip, folder: Path, frame_rate: Fraction, bitrate_bps: int, palette: Palette) -> None:
    """The files of `labelled_clip`."""
    video = labelled_clip(clip, folder)
    (folder / f"{clip.name}_labels").mkdir(parents=True, exist_ok=True)
    pictures = pictures_of_images(clip.images(), video.video.name, frame_rate, len(clip))
    transcode(pictures, video.video, EncodeSettings(gop=VAL_GOP, bitrate_bps=bitrate_bps))
    for index in clip.scored:
        file = video.label_files[index]
        assert file is not None
        write_labels(file, clip.labels(index), palette)


def labelled_clip(clip: Clip, folder: Path) -> LabelledVideo:
    """A clip as the labelled video that it becomes in `folder`."""
    labels = folder / f"{clip.name}_labels"
    files = tuple(labels / f"{index:06d}.png" if index in clip.scored else None for index in range(len(clip)))
    return LabelledVideo(folder / f"{clip.name}.mp4", files, gop=VAL_GOP)

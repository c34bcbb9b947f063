"""The densely labelled validation sequence as labelled videos, for trainers of what works between keyframes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2

from ....codec import EncodeSettings, pictures_of_images, transcode
from ....data import LabelledVideo, Sample

VAL_GOP = 12
"""GOP length that it is encoded at."""

VAL_OFFSETS = (0, 6)
"""Frames that it begins with: each is then seen at two distances to its keyframe."""


def encoded_val(samples: list[Sample], folder: Path, offset: int, bitrate_bps: int) -> LabelledVideo:
    """The validation sequence from `offset` on, encoded, as a labelled video in `folder`."""
    labels = folder / f"offset{offset}_labels"
    labels.mkdir(parents=True, exist_ok=True)
    file = folder / f"offset{offset}.mp4"
    images = (sample.image for sample in samples[offset:])
    pictures = pictures_of_images(images, file.name, Fraction(15), len(samples) - offset)
    transcode(pictures, file, EncodeSettings(gop=VAL_GOP, bitrate_bps=bitrate_bps))
    names = []
    for number, sample in enumerate(samples[offset:]):
        names.append(labels / f"{number:06d}.png")
        cv2.imwrite(str(names[-1]), sample.labels)
    return LabelledVideo(file, tuple(names))

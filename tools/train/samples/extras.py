"""What is mixed into the labelled frames of a per-frame training: decoded frames and synthetic streets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ....data import Dataset, LabelledVideoFrames, Sample, SyntheticStreet, dataset_type, find_labelled_videos
from ....errors import InputError
from ....files import whole_file
from ..loop import is_main_process, wait_for_all
from .classes import CheckedSamples, check_videos

STREET_CLASSES = "camvid"
"""The data set whose classes synthetic streets have."""


@dataclass(frozen=True, kw_only=True)
class ExtraSettings:
    """`synthetic` is the share of synthetic streets, of which `synthetic_frames` are rendered; `clips` a folder of
    labelled videos, `clips_share` their share of the samples, `clips_frames` which of them: "still" or "all"."""

    synthetic: float = 0.0
    synthetic_frames: int = 480
    clips: Path | None = None
    clips_share: float = 0.5
    clips_frames: str = "still"


def extra_samples(
    settings: ExtraSettings, data: Dataset, output: Path, like: Sample, seed: int
) -> tuple[list[tuple[float, Sequence[Sample]]], str]:
    """(share, samples) each, and a line about them for the card; InputError where their classes are not the data's."""
    found: list[tuple[float, Sequence[Sample]]] = []
    words = ""
    if settings.clips is not None and settings.clips_share:
        videos = find_labelled_videos(settings.clips)
        check_videos(videos, data)
        frames = LabelledVideoFrames(videos, stills=settings.clips_frames == "still")
        found.append((settings.clips_share, CheckedSamples(frames, len(data.classes))))
        words += f"; decoded frames ({settings.clips_frames}) of {len(videos)} labelled videos of {settings.clips.name}"
    if settings.synthetic:
        streets = dataset_type(STREET_CLASSES).classes
        if data.classes[: len(streets)] != streets:
            raise InputError(
                f"--synthetic draws streets with {STREET_CLASSES}'s classes, not {data.name}'s; leave it out"
            )
        count = settings.synthetic_frames
        found.append((settings.synthetic, synthetic_samples(output / "synthetic.npz", count, seed, like)))
        words += f"; {count} frames of gopseg's synthetic street"
    return found, words


def synthetic_samples(cache: Path, count: int, seed: int, like: Sample) -> list[Sample]:
    """`count` frames of synthetic streets, four of each, as large as `like`; rendered once, kept in `cache`."""
    if is_main_process() and not cache.exists():
        height, width = like.labels.shape
        images, labels = np.empty((count, height, width, 3), np.uint8), np.empty((count, height, width), np.uint8)
        for first in tqdm(range(0, count, 4), desc="synthetic street", disable=None):
            street = SyntheticStreet(seed=1000 * (seed + 1) + first // 4, size_hw=(height, width))
            for number in range(first, min(first + 4, count)):
                images[number], labels[number] = street.frame(40 * (number - first))
        with whole_file(cache) as part:
            np.savez(part, images=images, labels=labels)
    wait_for_all()
    with np.load(cache) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if len(images) != count:
        raise InputError(f"'{cache}' holds {len(images)} frames, not {count}; delete it to render them again")
    return [Sample(f"street {i}", image, label) for i, (image, label) in enumerate(zip(images, labels, strict=True))]

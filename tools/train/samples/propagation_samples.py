"""Clips that propagation heads are trained on: random views of labelled GOPs, their keyframes seen by the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....data import KeyedSample, LabelledVideo
from ....files import whole_file
from ....pipelines import FINEST_CELL, HeadMotion, head_motion
from ....segnet import CODEC_MOTION, PropagationSettings, SegmentationNetwork
from ...provenance import sha256
from ..loop import Precision
from .classes import check_labels
from .keyed_views import vary


@dataclass(frozen=True)
class PropagationClip:
    """A labelled frame and where its scores are carried from.

    `images` (T, H, W, 3) uint8 RGB, the reference first and the labelled frame last; `key_logits` (C, h, w) float16 of
    the first, `teacher` the same of the last, or None; `labels` (H, W) uint8. `displacement` (H / cell, W / cell, 2) in
    pixels and `unreferenced` are the codec's motion from the last picture to the first.
    """

    images: NDArray[np.uint8]
    key_logits: NDArray[np.float16]
    labels: NDArray[np.uint8]
    displacement: NDArray[np.float32]
    unreferenced: NDArray[np.bool_]
    teacher: NDArray[np.float16] | None = None


class SeenPictures:
    """Logits of the frozen keyframe network, kept in a folder so that each picture of each view is seen once."""

    def __init__(self, network: SegmentationNetwork, folder: Path, precision: Precision) -> None:
        self.network, self.folder, self.precision = network, folder, precision
        folder.mkdir(parents=True, exist_ok=True)

    def logits(self, name: str, image: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Logits (C, h, w) of a picture (H, W, 3), from the file `name` if it was seen before."""
        file = self.folder / f"{name}.npy"
        if file.is_file():
            known: NDArray[np.float16] = np.load(file)
            return known
        logits: NDArray[np.float16] = self.look(image).numpy()
        with whole_file(file) as part:
            np.save(part, logits)
        return logits

    def look(self, image: NDArray[np.uint8]) -> Tensor:
        """Logits (C, h, w), float16, of a picture that is not kept."""
        with torch.inference_mode(), self.precision.autocast(self.network.mean.device):
            found: Tensor = self.network(self.network.normalise(torch.from_numpy(image)[None]))[0]
        return found.half().cpu()


class ClipSource:
    """Random clips of labelled videos, of each corpus as many.

    A clip of distance d is a frame of a GOP and its keyframe for heads that carry from the keyframe, or d + 1
    neighbouring frames for those that carry from frame to frame. Each video has `views` fixed views (`vary`).
    """

    def __init__(
        self,
        corpora: Sequence[Sequence[LabelledVideo]],
        seen: SeenPictures,
        settings: PropagationSettings,
        classes: int,
        *,
        seed: int = 0,
        views: int = 2,
        distil: bool = False,
    ) -> None:
        self.corpora, self.seen, self.settings, self.classes = corpora, seen, settings, classes
        self.seed, self.views, self.distil = seed, views, distil

    def draw(self, rng: np.random.Generator, distances: Sequence[int]) -> list[PropagationClip]:
        """Clips of one random video: one of each distance, as far as the video has it."""
        videos = self.corpora[int(rng.integers(len(self.corpora)))]
        number, view = int(rng.integers(len(videos))), int(rng.integers(self.views))
        video = videos[number]
        step = 1 if self.settings.recursive else video.gop or len(video)
        starts = {d: step * int(rng.integers(max(0, len(video) - d - 1) // step + 1)) for d in distances}
        if self.settings.recursive:
            wanted = {start + i for d, start in starts.items() for i in range(d + 1)}
        else:
            wanted = {start + d for d, start in starts.items()}
        samples = {
            index: vary(sample, self.seen.network.feature_stride, np.random.default_rng([self.seed, number, view]))
            for index, sample in zip(
                sorted(i for i in wanted if i < len(video)),
                video.keyed((i for i in wanted if i < len(video)), FINEST_CELL),
                strict=True,
            )
        }
        for sample in samples.values():
            check_labels(sample.labels, sample.name, self.classes)
        folder = sha256(str(video.video.parent.resolve()).encode())[:8]
        name = f"{video.name}-{folder}-{self.seed}-{number}-{view}"
        clips = (self._clip(samples, start, start + d, name) for d, start in starts.items() if start + d < len(video))
        return [clip for clip in clips if clip is not None]

    def _clip(self, samples: dict[int, KeyedSample], first: int, last: int, name: str) -> PropagationClip | None:
        sample = samples[last]
        if self.settings.recursive:
            images = [samples[index].image for index in range(first, last + 1)]
            reference = first
        else:
            images = [sample.key_image, sample.image]
            reference = last - sample.distance
        if reference == last:
            return None
        return PropagationClip(
            np.stack(images),
            self.seen.logits(f"{name}-{reference}", images[0]),
            sample.labels,
            sample.displacement,
            sample.unreferenced,
            self.seen.logits(f"{name}-{last}", images[-1]) if self.distil else None,
        )


def codec_motion(samples: Sequence[PropagationClip | KeyedSample], settings: PropagationSettings) -> HeadMotion:
    """The codec's motion of samples of one size on a head's grid."""
    displacement = np.stack([sample.displacement for sample in samples])
    unreferenced = np.stack([sample.unreferenced for sample in samples])
    height, width = samples[0].labels.shape
    return head_motion(displacement, unreferenced, (height, width), settings)


def stack_clips(clips: Sequence[PropagationClip], settings: PropagationSettings) -> dict[str, Tensor]:
    """Clips of one length as the arguments of `ClipPropagation`, with `labels` and, if they have it, `teacher`."""
    tensors = {
        "key_logits": torch.from_numpy(np.stack([clip.key_logits for clip in clips])),
        "images": torch.from_numpy(np.stack([clip.images for clip in clips])),
        "labels": torch.from_numpy(np.stack([clip.labels for clip in clips])),
    }
    if settings.flow == CODEC_MOTION:
        motion = codec_motion(clips, settings)
        tensors |= zip(("displacements", "validities", "nearests"), (value[:, None] for value in motion), strict=True)
    teachers = [clip.teacher for clip in clips if clip.teacher is not None]
    if teachers:
        tensors["teacher"] = torch.from_numpy(np.stack(teachers))
    return tensors

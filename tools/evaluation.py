"""Accuracy by distance to the keyframe: the dense protocol of `evaluate-segnet`, and what it measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..codec import EncodeSettings, open_video
from ..codec.pictures import pictures_of_images
from ..codec.transcode import transcode
from ..data.sample import Sample
from ..pipelines import Pipeline
from ..segnet import ConfusionMatrix, SegmentationNetwork


@dataclass
class ModeResult:
    """What one mode scored: a confusion matrix per distance 0..L-1, and the seconds its steps took."""

    mode: str
    classes: tuple[str, ...]
    gop: int
    confusions: list[ConfusionMatrix] = field(default_factory=list)
    seconds: float = 0.0
    decode_seconds: float = 0.0
    frames: int = 0
    network_frames: int = 0

    def __post_init__(self) -> None:
        self.confusions = [ConfusionMatrix(len(self.classes)) for _ in range(self.gop)]

    @property
    def miou_d(self) -> list[float]:
        """mIoU at each distance, pooled over all frames seen at it."""
        return [confusion.mean_iou for confusion in self.confusions]

    def record(self, gflops: float) -> dict[str, Any]:
        """The mode's entry in `report.json`; `gflops` is the network's cost for one frame, in 1e9 operations."""
        pooled = ConfusionMatrix(len(self.classes))
        pooled.counts += sum(confusion.counts for confusion in self.confusions)
        return {
            "mode": self.mode,
            "miou_d": self.miou_d,
            "miou_mean": float(np.mean(self.miou_d)),
            "miou_min": float(np.min(self.miou_d)),
            "miou_pooled": pooled.mean_iou,
            "iou_d": [confusion.iou.tolist() for confusion in self.confusions],
            "confusion": pooled.counts.tolist(),
            "gflops_per_frame": gflops * self.network_frames / max(1, self.frames),
            "fps": self.frames / (self.seconds + self.decode_seconds),
            "fps_without_decoding": self.frames / self.seconds,
            "frames": self.frames,
        }


def evaluate_dense(
    samples: Sequence[Sample],
    pipelines: Mapping[str, Callable[[], Pipeline]],
    encode: Callable[[Sequence[Sample], Path], None],
    classes: tuple[str, ...],
    gop: int,
    folder: Path,
    progress: Callable[[int], object],
) -> list[ModeResult]:
    """Score every mode on one densely labelled sequence, at every distance (design.md, section 4; AR-Seg, section 4.1).

    The whole sequence is encoded `gop` times, dropping its first 0 .. gop - 1 frames, so that each labelled frame is
    seen at each distance. All modes see the same decoded frames. `encode` writes samples to a video file in `folder`;
    `progress` is told of every frame done.
    """
    results = {mode: ModeResult(mode, classes, gop) for mode in pipelines}
    for offset in range(min(gop, len(samples))):
        file = folder / f"offset{offset:02d}.mp4"
        encode(samples[offset:], file)
        running = {mode: build() for mode, build in pipelines.items()}
        with open_video(file) as video:
            began = time.perf_counter()
            for frame in video:
                _ = frame.image
                decode_seconds = time.perf_counter() - began
                truth = samples[offset + frame.index].labels
                for mode, pipeline in running.items():
                    result, start = results[mode], time.perf_counter()
                    prediction = pipeline.step(frame)
                    result.seconds += time.perf_counter() - start
                    result.decode_seconds += decode_seconds
                    result.frames += 1
                    result.network_frames += prediction.from_network
                    result.confusions[frame.distance].update(prediction.labels, truth)
                progress(1)
                began = time.perf_counter()
        file.unlink()
    return list(results.values())


def encode_samples(samples: Sequence[Sample], file: Path, *, gop: int, bitrate_bps: int, frame_rate: float) -> None:
    """The samples' images as an H.264 file, the way `preprocess encode` writes it."""
    rate = Fraction(frame_rate).limit_denominator(1001)
    pictures = pictures_of_images((sample.image for sample in samples), file.name, rate, len(samples))
    transcode(pictures, file, EncodeSettings(gop=gop, bitrate_bps=bitrate_bps))


def network_gflops(network: SegmentationNetwork, size_hw: tuple[int, int]) -> float:
    """1e9 floating-point operations (2 per multiply-accumulate) of one forward pass, counted by torch."""
    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, *size_hw, device=device))
    return int(counter.get_total_flops()) / 1e9

"""What a quantised graph loses against fp32: mIoU on labelled frames, labels on videos; written into its card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, open_video
from ...errors import InputError
from ...files import whole_file
from ...pipelines import MODES, NetworkRunner, Precision
from ...segnet import ExportCard, load_network
from ..evaluate import mean_iou

GOP, BITRATE = 12, 750_000
"""Of labelled sequences for what runs between keyframes."""

LOOKS, STEP = 3, 12
"""Frames of a video that a network is compared on, and how far they lie apart; modes are compared on all of these."""


@dataclass(frozen=True)
class Measured:
    """What is measured: a keyframe network by the weights `hr`, in mode "frame", or "ar" or "guided" with `options`."""

    hr: Path
    mode: str
    options: dict[str, Any]

    @property
    def is_network(self) -> bool:
        """Whether the keyframe network alone is measured."""
        return self.mode == "frame"


def write_measured(graph: Path, what: Measured, dataset: str, root: Path | None, clips: Path | None) -> dict[str, Any]:
    """Measure a quantised graph as `--precision int8` finds it, and write the result, which is returned, into its card.

    On the `val` split of a data set, if there is its `root`, and on the videos of a folder. InputError where there are
    no videos.
    """
    found: dict[str, Any] = {}
    if root is not None:
        found |= on_val(what, dataset, root)
    if clips is not None:
        found |= on_clips(what, clips)
    card = ExportCard.read(graph)
    card = replace(card, calibration={**card.calibration, "measured": found})
    with whole_file(graph.with_suffix(".json")) as part:
        part.write_text(card.to_json())
    return found


def on_val(what: Measured, dataset: str, root: Path) -> dict[str, Any]:
    """mIoU on `val` in fp32 and in int8: a network's on stills, a mode's on the encoded sequence."""

    def miou(precision: Precision) -> float:
        return round(
            mean_iou(
                dataset=dataset,
                root=root,
                model=str(what.hr),
                mode=None if what.is_network else what.mode,
                options=what.options,
                gop=GOP,
                bitrate_bps=BITRATE,
                precision=precision,
                runtime="openvino",
            ),
            5,
        )

    protocol = (
        "val, stills" if what.is_network else f"val, GOP {GOP}, {BITRATE} b/s, mode {what.mode}, mean over distances"
    )
    return {"miou_val_fp32": miou("fp32"), "miou_val_int8": miou("int8"), "miou_of": f"{dataset} {protocol}"}


def on_clips(what: Measured, folder: Path) -> dict[str, Any]:
    """The share of pixels with fp32's label, on each video: in int8, and in fp32 with a grey level of noise."""
    videos = sorted(file for file in folder.iterdir() if file.suffix in (".mp4", ".mkv", ".mov", ".avi", ".webm"))
    if not videos:
        raise InputError(f"--clips '{folder}' holds no videos (.mp4, .mkv, ...); give a folder that does")
    runners = {
        precision: NetworkRunner(load_network(what.hr), device="cpu", precision=precision, runtime="openvino")
        for precision in ("fp32", "int8")
    }
    int8, noise = {}, {}
    for video in videos:
        expected = labels_of(what, runners["fp32"], video)
        int8[video.stem] = agreement(labels_of(what, runners["int8"], video), expected)
        noise[video.stem] = agreement(labels_of(what, runners["fp32"], video, noisy=True), expected)
    count = f"{LOOKS} frames, {STEP} apart" if what.is_network else f"the first {1 + (LOOKS - 1) * STEP} frames"
    return {
        "label_agreement_on_street_clips": int8,
        "of_fp32_with_a_grey_level_of_noise": noise,
        "about": f"share of the pixels of {count} of each clip with the label of fp32, mode {what.mode}; noise: -1, 0 "
        "or 1 in each channel of each pixel, drawn evenly",
    }


def labels_of(what: Measured, runner: NetworkRunner, video: Path, *, noisy: bool = False) -> list[NDArray[np.uint8]]:
    """The labels of a video's frames, with or without noise in its pictures."""
    pipeline = MODES[what.mode].pipeline(runner, **what.options)
    with open_video(video, motion=not what.is_network, references=not what.is_network) as opened:
        frames = islice(opened, 0, 1 + (LOOKS - 1) * STEP, STEP if what.is_network else 1)
        return [prediction.labels for prediction in pipeline.run(with_noise(frames) if noisy else frames)]


def with_noise(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Frames whose pictures are up to a grey level off."""

    def image_of(frame: Frame) -> NDArray[np.uint8]:
        noise = np.random.default_rng(frame.index).integers(-1, 2, (*frame.size_hw, 3))
        noisy: NDArray[np.uint8] = np.clip(frame.image + noise, 0, 255).astype(np.uint8)
        return noisy

    for frame in frames:
        yield replace(frame, load_image=lambda frame=frame: image_of(frame), has_plain_planes=False)  # type: ignore[misc]


def agreement(found: list[NDArray[np.uint8]], expected: list[NDArray[np.uint8]]) -> float:
    """The share of pixels with the same label."""
    return round(float(np.mean([(one == other).mean() for one, other in zip(found, expected, strict=True)])), 4)

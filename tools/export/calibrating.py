"""What graphs are calibrated on: pictures for networks; for what runs between keyframes, frames of short drives past
them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...codec import EncodeSettings, open_video, pictures_of_images, transcode
from ...data import Augmentation, Sample, StillMotion, list_images, random_view, read_image
from ...pipelines import MODES, AlteringBranch, AlteringRunner, HeadModel, NetworkRunner, Pipeline, upsample_labels
from ...segnet import (
    AdaptedNetwork,
    AlteringResolution,
    Carried,
    Graph,
    Motion,
    PropagationModel,
    SegmentationNetwork,
    frame_inputs,
    step_inputs,
)
from ..provenance import sha256

VIEWS = Augmentation(crop_hw=(0, 0), focus=0.0, mix=0.0, codec=0.5, light=0.6)
"""What makes calibration pictures more varied than one dataset's."""

FRAME_RATE, LONGEST = Fraction(15), 11
"""Of drives: frames a second, and the longest distance from their keyframe."""

BITRATES = (350_000, 750_000, 1_500_000, 3_000_000)
"""Bits a second of drives, in turns, for pictures of USUAL_PIXELS; in proportion for others."""

USUAL_PIXELS = 480 * 360

Inputs = dict[str, NDArray[Any]]
Calibration = tuple[list[Inputs], dict[str, Any]]
"""What a graph is given, by the inputs' names, and what the card says of it."""


def on_pictures(network: SegmentationNetwork, folder: Path, most: int) -> Calibration:
    """Up to `most` pictures of a folder, as a network's graph takes them."""
    files = chosen(folder, most)
    shown = []
    for image in views(files):
        normalised = network.normalise(torch.from_numpy(image)[None])
        seen = network.prepare(normalised) if isinstance(network, AdaptedNetwork) else normalised
        shown.append({"images": seen.contiguous().numpy()})
    return shown, record(folder, files)


def of_branch(
    branch: AlteringResolution, graph: Graph, hr: SegmentationNetwork, folder: Path, most: int
) -> Calibration:
    """What an AR branch is given for the last frames of drives past the pictures of a folder."""
    runner = NetworkRunner(hr, device="cpu", precision="fp32", runtime="torch")
    recording = RecordedBranch(branch)
    key = AlteringBranch(branch.low.scale)
    runner.adopt(key, AlteringRunner(runner, recording))
    pipeline = MODES["ar"].pipeline(runner, lr_scale=branch.low.scale, refresh_above=1.0)
    return on_drives(runner, pipeline, recording.last, graph, folder, most)


def of_head(model: PropagationModel, graph: Graph, hr: SegmentationNetwork, folder: Path, most: int) -> Calibration:
    """What a propagation head is given for the last frames of drives past the pictures of a folder."""
    runner = NetworkRunner(hr, device="cpu", precision="fp32", runtime="torch")
    recording = RecordedHead(model)
    runner.adopt(HeadModel(None, None), recording)
    return on_drives(runner, MODES["guided"].pipeline(runner, refresh_above=1.0), recording.last, graph, folder, most)


def on_drives(
    runner: NetworkRunner,
    pipeline: Pipeline,
    last: Callable[[], dict[str, Tensor]],
    graph: Graph,
    folder: Path,
    most: int,
) -> Calibration:
    """Segment drives past up to `most` pictures by `pipeline`, and collect the `last` inputs of each for a graph."""
    files = chosen(folder, most)
    shown = []
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "drive.mp4"
        for i, image in enumerate(views(files)):
            encode_drive(runner, image, i, file)
            with open_video(file, motion=True) as video:
                for _ in pipeline.run(video):
                    pass
            given = last()
            shown.append({name: np.ascontiguousarray(given[name].numpy()) for name in graph.inputs})
    return shown, record(
        folder,
        files,
        f"; the last frame of a drive past each, 1 to {LONGEST} frames from its keyframe, rendered as by `preprocess "
        f"stills`, after the network's own labels, at {', '.join(map(str, BITRATES))} b/s in turns (for 480x360)",
    )


def encode_drive(runner: NetworkRunner, image: NDArray[np.uint8], number: int, file: Path) -> None:
    """Write a GOP of a drive past a picture: 1 to LONGEST frames after the keyframe, as the number says."""
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    size_hw = (image.shape[0], image.shape[1])
    labels = upsample_labels(runner.logits(image), runner.stride, size_hw)
    count = 2 + number % LONGEST
    rng = np.random.default_rng(number)
    drive = StillMotion(Sample(str(number), image, labels), runner.classes, count=count, fps=float(FRAME_RATE), rng=rng)
    rate = BITRATES[number % len(BITRATES)] * size_hw[0] * size_hw[1] // USUAL_PIXELS
    pictures = pictures_of_images((sample.image for sample in drive), str(number), FRAME_RATE, count)
    transcode(pictures, file, EncodeSettings(gop=count, bitrate_bps=max(rate, 10_000), slots=1))


class RecordedBranch(AlteringResolution):
    """An AR branch that remembers the last frame that it was given."""

    def __init__(self, branch: AlteringResolution) -> None:
        super().__init__(branch.low, branch.fusion, compat=branch.compat)
        self._given: dict[str, Tensor] = {}

    def fuse(
        self, small: Tensor, low_p: Tensor, carried: Carried, motion: Motion, picture_hw: tuple[int, int]
    ) -> Tensor:
        """See `AlteringResolution`."""
        self._given = frame_inputs(self, small, carried, motion, picture_hw)
        return super().fuse(small, low_p, carried, motion, picture_hw)

    def last(self) -> dict[str, Tensor]:
        """By the names of its graph's inputs."""
        return {name: values[-1:].float() for name, values in self._given.items()}


class RecordedHead(PropagationModel):
    """A propagation model that remembers its last step."""

    def __init__(self, model: PropagationModel) -> None:
        super().__init__(model.settings)
        self.load_state_dict(model.state_dict())
        self.eval()
        self._given: dict[str, Tensor] = {}

    def step(self, scores: Tensor, frame: Any, **told: Any) -> Any:
        """See `PropagationModel`."""
        self._given = step_inputs(
            scores, frame, told["reference"], told["displacement"], told.get("validity"), told.get("nearest")
        )
        return super().step(scores, frame, **told)

    def last(self) -> dict[str, Tensor]:
        """By the names of its graph's inputs."""
        return self._given


def chosen(folder: Path, most: int) -> list[Path]:
    """Up to `most` pictures of a folder, spread over it evenly."""
    found = list_images(folder)
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))]


def views(files: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """Pictures (H, W, 3), every other one as a random view."""
    for i, file in enumerate(files):
        image = read_image(file)
        yield varied(image, i) if i % 2 else image


def varied(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as another camera, at another time of day, might have taken it, of the same size."""
    height, width = image.shape[:2]
    settings = replace(VIEWS, crop_hw=(height, width))
    sample = Sample(str(seed), image, np.zeros((height, width), np.uint8))
    return random_view(sample, settings, np.random.default_rng(seed)).image


def record(folder: Path, files: Sequence[Path], more: str = "") -> dict[str, Any]:
    """What the card says of calibration pictures."""
    return {
        "method": "NNCF post-training quantisation, mixed preset; every other picture as a random view: scale, light, "
        f"colour, blur, noise, H.264{more}",
        "folder": folder.name,
        "pictures": [file.name for file in files],
        "pictures_sha256": sha256(b"".join(file.read_bytes() for file in files)),
    }

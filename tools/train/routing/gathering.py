"""What carrying gets wrong: videos carried from fixed intervals, beside the network's own labels of every frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ....codec import Frame, open_video
from ....errors import InputError
from ....pipelines import (
    CELL_FEATURES,
    MODES,
    NetworkRunner,
    PerFramePipeline,
    Policy,
    Predictor,
    routed_pipeline,
)

CELLS = 300
"""Cells of a frame, roughly, that are looked at: every few in both directions."""


@dataclass(frozen=True, eq=False)
class CarriedFrames:
    """What is known of cells of one video's carried frames.

    `features` (n, len(CELL_FEATURES)) and the share of each cell's pixels that was `wrong`, (n,); `frame` (n,) is the
    frame that a cell belongs to, and `frame_wrong` (frames,) the share of all of that frame's pixels. `distance`
    (frames,) is how far each was carried. A frame counts anew each time it was carried.
    """

    name: str
    features: NDArray[np.float32]
    wrong: NDArray[np.float32]
    frame: NDArray[np.intp]
    frame_wrong: NDArray[np.float64]
    distance: NDArray[np.intp]


class Recording(Predictor):
    """Expects nothing wrong, and keeps the features of the last frame that was carried."""

    def __init__(self) -> None:
        super().__init__(np.zeros(len(CELL_FEATURES), np.float32))
        self.last: NDArray[np.float32] | None = None

    def share(self, features: NDArray[np.float32]) -> float:
        """See `Predictor`."""
        object.__setattr__(self, "last", features)
        return 0.0


def check_carried(video: Path) -> None:
    """InputError where the video cannot be read, or its codec gives no motion along which anything could be carried."""
    with open_video(video, motion=True, references=True) as opened:
        next(iter(opened), None)
        absence = opened.motion_absence
    if absence is not None and not absence.is_recoverable:
        raise InputError(f"'{video}': {absence.value}; leave it out, or encode it anew by `preprocess encode`")


def gather(
    video: Path,
    runner: NetworkRunner,
    intervals: Sequence[int],
    frames: int | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> CarriedFrames:
    """Carry the first `frames` of a video from the stream's keyframes, and from every n-th frame for each n of the
    `intervals`, and compare all of it with the network's own labels.

    The network is asked several times about the same picture: give a runner that knows it again.
    """
    mode = MODES["auto"]
    reads = mode.reads(mode.parse({}))
    network = PerFramePipeline(runner)
    ways = [_Way(runner, interval) for interval in (None, *intervals)]
    with open_video(video, motion=reads.motion, qp=reads.qp, references=reads.motion) as opened:
        for frame in islice(opened, frames):
            labels = network.step(frame).labels
            for way in ways:
                way.step(frame, labels)
            on_frame()
    features = [each for way in ways for each in way.features]
    wrong = [each for way in ways for each in way.wrong]
    return CarriedFrames(
        video.name,
        np.concatenate([np.zeros((0, len(CELL_FEATURES)), np.float32), *features]),
        np.concatenate([np.zeros(0, np.float32), *wrong]),
        np.repeat(np.arange(len(wrong)), np.array([len(each) for each in wrong], np.intp)),
        np.array([share for way in ways for share in way.frame_wrong], np.float64),
        np.array([distance for way in ways for distance in way.distances], np.intp),
    )


class _Way:
    """A video carried from its keyframes and every `interval`-th frame, and what was wrong, frame by frame."""

    def __init__(self, runner: NetworkRunner, interval: int | None) -> None:
        self._recording = Recording()
        options = MODES["auto"].parse({"interval": interval})
        self._pipeline = routed_pipeline(runner, options, self._recording, Policy())
        self._since = 0
        self.features: list[NDArray[np.float32]] = []
        self.wrong: list[NDArray[np.float32]] = []
        self.frame_wrong: list[float] = []
        self.distances: list[int] = []

    def step(self, frame: Frame, truth: NDArray[np.uint8]) -> None:
        """Carry to the next frame, of which the network says `truth`, (H, W)."""
        object.__setattr__(self._recording, "last", None)
        found = self._pipeline.step(frame)
        self._since = 0 if found.from_network else self._since + 1
        if self._recording.last is None or found.from_network:
            return
        seen = self._recording.last
        missed = (found.labels != truth).astype(np.float32)
        rows, columns = seen.shape[1:]
        cells = cv2.resize(missed, (columns, rows), interpolation=cv2.INTER_AREA)
        step = max(1, round((rows * columns / CELLS) ** 0.5))
        some = seen[:, step // 2 :: step, step // 2 :: step].reshape(len(seen), -1).T
        self.features.append(np.ascontiguousarray(some))
        self.wrong.append(cells[step // 2 :: step, step // 2 :: step].ravel())
        self.frame_wrong.append(float(missed.mean()))
        self.distances.append(self._since)

"""What carrying gets wrong: videos carried from fixed intervals, beside the network's own labels of every frame."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ....codec import open_video
from ....pipelines import (
    CELL_FEATURES,
    MODES,
    NetworkRunner,
    PerFramePipeline,
    Policy,
    Predictor,
    routed_pipeline,
)

CELLS = 600
"""Cells of a frame, roughly, that are looked at: every few in both directions."""


class RememberingRunner(NetworkRunner):
    """A runner that keeps the logits of every picture it saw, in half precision, until `forget`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._known: dict[bytes, NDArray[np.float16]] = {}

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `NetworkRunner`."""
        key = hashlib.blake2b(np.ascontiguousarray(image[::4, ::4]).data, digest_size=16).digest()
        if key not in self._known:
            self._known[key] = super().logits(image).astype(np.float16)
        return self._known[key].astype(np.float32)

    def forget(self) -> None:
        """Forget all pictures."""
        self._known.clear()


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


def gather(
    video: Path,
    runner: RememberingRunner,
    intervals: Sequence[int],
    frames: int | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> CarriedFrames:
    """Carry the first `frames` of a video from the stream's keyframes, and from every n-th frame for each n of the
    `intervals`, and compare all of it with the network's own labels."""
    mode = MODES["auto"]
    reads = mode.reads(mode.parse({}))
    features, wrong, counts, frame_wrong, distances = [], [], [], [], []
    truth: list[NDArray[np.uint8]] = []
    for interval in (None, *intervals):
        recording = Recording()
        network = PerFramePipeline(runner)
        pipeline = routed_pipeline(runner, mode.parse({"interval": interval}), recording, Policy())
        since = 0
        with open_video(video, motion=reads.motion, qp=reads.qp, references=reads.motion) as opened:
            for position, frame in enumerate(islice(opened, frames)):
                on_frame()
                if interval is None:
                    truth.append(network.step(frame).labels)
                object.__setattr__(recording, "last", None)
                found = pipeline.step(frame)
                since = 0 if found.from_network else since + 1
                if recording.last is None or found.from_network:
                    continue
                seen = recording.last
                missed = (found.labels != truth[position]).astype(np.float32)
                rows, columns = seen.shape[1:]
                cells = cv2.resize(missed, (columns, rows), interpolation=cv2.INTER_AREA)
                step = max(1, round((rows * columns / CELLS) ** 0.5))
                some = np.ascontiguousarray(seen[:, step // 2 :: step, step // 2 :: step]).reshape(len(seen), -1).T
                features.append(some)
                wrong.append(cells[step // 2 :: step, step // 2 :: step].ravel())
                counts.append(len(some))
                frame_wrong.append(float(missed.mean()))
                distances.append(since)
    return CarriedFrames(
        video.name,
        np.concatenate([np.zeros((0, len(CELL_FEATURES)), np.float32), *features]),
        np.concatenate([np.zeros(0, np.float32), *wrong]),
        np.repeat(np.arange(len(counts)), np.array(counts, np.intp)),
        np.array(frame_wrong, np.float64),
        np.array(distances, np.intp),
    )

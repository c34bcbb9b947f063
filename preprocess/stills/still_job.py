"""One labelled still to one labelled GOP."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import Sample, StillMotion, load_pair
from ..jobs import LabelledVideoJob, sha256_of_frames, stamp_of

LabelReader = Callable[[Path], NDArray[np.uint8]]


@dataclass(frozen=True)
class LabelledStill:
    """The files of an image and its labels, and what reads the latter as (H, W) uint8 class indices, 255 void."""

    image: Path
    label: Path
    read_labels: LabelReader


@dataclass(frozen=True, kw_only=True)
class StillJob(LabelledVideoJob):
    """One drive past a still, of `encoder.gop` frames; `variant` tells it from the still's other drives."""

    still: LabelledStill
    variant: int

    @property
    def source_path(self) -> Path:
        """The image."""
        return self.still.image

    def settings_record(self) -> dict[str, Any]:
        """Everything that the output depends on, beside the still and the versions."""
        return {**super().settings_record(), "variant": self.variant}

    def source_stamp(self) -> list[int]:
        """Bytes and last change of image and labels."""
        return stamp_of((self.still.image, self.still.label))

    def frame_total(self) -> int:
        """The length of the GOP."""
        return self.encoder.gop

    def is_current(self, content: dict[str, Any]) -> bool:
        """Whether image and labels are those that the account tells of."""
        return bool(content["source"]["sha256"] == self._source_sha256())

    def frames(self) -> StillMotion:
        """The drive."""
        sample = load_pair(self.still.image, self.still.label, self.still.read_labels)
        rng = np.random.default_rng([self.seed, zlib.crc32(self.still.image.stem.encode()), self.variant])
        return StillMotion(sample, self.palette.names, count=self.encoder.gop, fps=float(self.frame_rate), rng=rng)

    def facts(self, frames: Sequence[Sample]) -> dict[str, Any]:
        """The still, which of the frames it is, and the camera's way."""
        assert isinstance(frames, StillMotion)
        height, width = frames.size_hw
        return {
            "still_frame": frames.path.still,
            "source": {
                "path": str(self.still.image),
                "labels": str(self.still.label),
                "sha256": self._source_sha256(),
                "size_hw": [height, width],
            },
            "camera": {
                "positions_m": np.round(frames.path.positions, 4).tolist(),
                "rotations": np.round(frames.path.rotations, 6).tolist(),
            },
            "padding": {"bottom": height % 2, "right": width % 2},
        }

    def _source_sha256(self) -> str:
        return sha256_of_frames((self.still.image, self.still.label))

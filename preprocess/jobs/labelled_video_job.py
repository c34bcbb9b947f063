"""Labelled frames to one labelled video: an H.264 file, a folder of labels, and an account of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...codec import EncodeSettings, Transcoded, disk_errors, pictures_of_images, transcode
from ...data import VOID, Palette, Sample, write_labels
from ...files import discard, part_of, publish_together, refuse_taken, remove_abandoned
from ..errors import OutputError
from .sidecar import SCHEMA, read_sidecar, sha256_of, sidecar_part, versions


@dataclass(frozen=True, kw_only=True)
class LabelledVideoJob(ABC):
    """A labelled video that is rendered, written to `folder` under `name`, at `frame_rate` frames a second.

    Of equal settings come equal bytes. With `may_replace` false outputs that another run makes meanwhile are left
    alone.
    """

    name: str
    folder: Path
    encoder: EncodeSettings
    frame_rate: Fraction
    seed: int
    palette: Palette
    may_replace: bool = True

    def without_replacing(self) -> Self:
        """The same job, with `may_replace` false."""
        return replace(self, may_replace=False)

    @abstractmethod
    def frames(self) -> Sequence[Sample]:
        """The frames, rendered when they are asked for."""

    @abstractmethod
    def facts(self, frames: Sequence[Sample]) -> dict[str, Any]:
        """What the account tells of them, `source` included."""

    @property
    @abstractmethod
    def source_path(self) -> Path:
        """What they are made of."""

    @abstractmethod
    def source_stamp(self) -> list[int]:
        """Other once the source is another."""

    @abstractmethod
    def frame_total(self) -> int:
        """How many frames there will be."""

    @property
    def output(self) -> Path:
        """The video."""
        return self.folder / f"{self.name}.mp4"

    @property
    def labels(self) -> Path:
        """The folder of label images, in the size of the video."""
        return self.folder / f"{self.name}_labels"

    @property
    def sidecar(self) -> Path:
        """The account."""
        return self.folder / f"{self.name}.json"

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Video, labels and account."""
        return self.output, self.labels, self.sidecar

    def settings_record(self) -> dict[str, Any]:
        """Everything that the output depends on, beside the source and the versions."""
        return {
            "gop": self.encoder.gop,
            "bitrate_bps": self.encoder.bitrate_bps,
            "fps": str(self.frame_rate),
            "preset": self.encoder.preset,
            "slots": self.encoder.slots,
            "buffer_seconds": self.encoder.buffer_seconds,
            "seed": self.seed,
            "classes": list(self.palette.names),
        }

    def is_finished(self) -> bool:
        """Whether video, labels and account are whole and of these settings; OutputError where they are of others."""
        if not self.output.exists():
            return False
        content = read_sidecar(self.sidecar)
        if content is None:
            raise OutputError(
                f"{self.output}: exists without a sidecar of ours; move it away, or give -y to replace it"
            )
        for name, value in self.settings_record().items():
            if content["settings"].get(name) != value:
                was = content["settings"].get(name)
                raise OutputError(
                    f"{self.output}: was made with {name} {was}, not {value}; give -y to replace it, or another folder"
                )
        return bool(self.labels.is_dir() and content["sha256"] == sha256_of(self.output) and self.is_current(content))

    def is_current(self, content: dict[str, Any]) -> bool:  # noqa: ARG002
        """Whether the source is still the one that the account tells of."""
        return True

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Render, encode and write; returns the account. The video appears last, when all is whole.

        Raises DatasetError where the source cannot be read or nothing of it is labelled, EncodeError where outputs
        cannot be written, TargetExistsError where another run made them meanwhile; nothing is left behind then.
        """
        if not self.may_replace:
            refuse_taken(self.outputs)
        frames = self.frames()
        remove_abandoned(self.labels)
        part = part_of(self.labels)
        content: dict[str, Any] = {}

        def finish(result: Transcoded, video: Path) -> None:
            content.update(self._content(result, video, frames))
            with sidecar_part(self.sidecar, content) as account:
                parts = [(part, self.labels), (account, self.sidecar), (video, self.output)]
                publish_together(parts, replace=self.may_replace)

        try:
            with disk_errors(self.output):
                part.mkdir()
                images = self._images(frames, part)
                pictures = pictures_of_images(images, self.name, self.frame_rate, len(frames))
                transcode(pictures, self.output, self.encoder, on_frame=on_frame, finish=finish)
        finally:
            discard(part)
        return content

    def _images(self, frames: Sequence[Sample], folder: Path) -> Iterator[NDArray[np.uint8]]:
        for index, frame in enumerate(frames):
            height, width = frame.labels.shape
            labels = np.pad(frame.labels, ((0, height % 2), (0, width % 2)), constant_values=VOID)
            write_labels(folder / f"{index:06d}.png", labels, self.palette)
            yield frame.image

    def _content(self, result: Transcoded, video: Path, frames: Sequence[Sample]) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "video": self.output.name,
            "labels": self.labels.name,
            "sha256": sha256_of(video),
            **self.facts(frames),
            "settings": self.settings_record(),
            "size_hw": list(result.size_hw),
            "frame_rate": str(self.frame_rate),
            "frame_count": len(result.packet_bytes),
            "duration_seconds": result.duration_seconds,
            "bitrate_bps": round(result.bitrate_bps),
            "psnr_db": result.psnr_db,
            "ssim": result.ssim,
            "frame_types": result.pict_types,
            "versions": versions(result.x264),
        }

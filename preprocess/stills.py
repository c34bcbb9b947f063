"""One labelled still to one labelled GOP: an H.264 file, a folder of labels, and an account of them."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codec.encoder import EncodeSettings
from ..codec.errors import EncodeError
from ..codec.pictures import pictures_of_images
from ..codec.transcode import Transcoded, transcode
from ..data.label_files import write_labels
from ..data.pairing import load_pair
from ..data.palettes import Palette
from ..data.sample import VOID
from ..data.still_motion import StillMotion
from .encode import OutputError
from .sidecar import SCHEMA, read_sidecar, sha256_of, sha256_of_frames, stamp_of, versions, write_sidecar

LabelReader = Callable[[Path], NDArray[np.uint8]]


@dataclass(frozen=True)
class LabelledStill:
    """The files of an image and its labels, and what reads the latter as (H, W) uint8 class indices, 255 void."""

    image: Path
    label: Path
    read_labels: LabelReader


@dataclass(frozen=True)
class StillJob:
    """One drive past a still, written to `folder` under `name`; `variant` tells it from the still's other drives.

    `encoder.gop` frames are made, at `frame_rate` a second. Of equal `seed`, still, variant and settings come equal
    bytes.
    """

    still: LabelledStill
    name: str
    variant: int
    folder: Path
    encoder: EncodeSettings
    frame_rate: Fraction
    seed: int
    palette: Palette

    @property
    def source_path(self) -> Path:
        """The image."""
        return self.still.image

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
        """Everything that the output depends on, beside the still and the versions."""
        return {
            "gop": self.encoder.gop,
            "bitrate_bps": self.encoder.bitrate_bps,
            "fps": str(self.frame_rate),
            "preset": self.encoder.preset,
            "slots": self.encoder.slots,
            "buffer_seconds": self.encoder.buffer_seconds,
            "variant": self.variant,
            "seed": self.seed,
            "classes": list(self.palette.names),
        }

    def source_stamp(self) -> list[int]:
        """Bytes and last change of image and labels."""
        return stamp_of((self.still.image, self.still.label))

    def frame_total(self) -> int:
        """The length of the GOP."""
        return self.encoder.gop

    def is_finished(self) -> bool:
        """Whether video, labels and account are whole and this still's; OutputError where they were made otherwise."""
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
        whole = self.labels.is_dir() and content["sha256"] == sha256_of(self.output)
        return bool(whole and content["source"]["sha256"] == self._source_sha256())

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Render, encode and write; returns the account. The video appears last, when all is whole.

        Raises DatasetError where the still cannot be read or nothing of it is labelled, EncodeError where outputs
        cannot be written; nothing is left behind then.
        """
        sample = load_pair(self.still.image, self.still.label, self.still.read_labels)
        rng = np.random.default_rng([self.seed, zlib.crc32(self.still.image.stem.encode()), self.variant])
        frames = StillMotion(sample, self.palette.names, count=self.encoder.gop, fps=float(self.frame_rate), rng=rng)
        part = self.labels.with_name(f".{self.labels.name}.part")
        content: dict[str, Any] = {}

        def publish(result: Transcoded, video: Path) -> None:
            content.update(self._content(result, video, frames))
            if self.labels.exists():
                shutil.rmtree(self.labels)
            part.rename(self.labels)
            write_sidecar(self.sidecar, content)

        try:
            part.mkdir(exist_ok=True)
            images = self._images(frames, part)
            pictures = pictures_of_images(images, self.name, self.frame_rate, self.encoder.gop)
            transcode(pictures, self.output, self.encoder, on_frame=on_frame, before_rename=publish)
        except OSError as error:
            raise EncodeError(f"{self.output}: cannot be written ({error}); check the folder and its space") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return content

    def _images(self, frames: StillMotion, folder: Path) -> Iterator[NDArray[np.uint8]]:
        for index, frame in enumerate(frames):
            height, width = frame.labels.shape
            labels = np.pad(frame.labels, ((0, height % 2), (0, width % 2)), constant_values=VOID)
            write_labels(folder / f"{index:06d}.png", labels, self.palette)
            yield frame.image

    def _source_sha256(self) -> str:
        return sha256_of_frames((self.still.image, self.still.label))

    def _content(self, result: Transcoded, video: Path, frames: StillMotion) -> dict[str, Any]:
        height, width = frames.size_hw
        return {
            "schema": SCHEMA,
            "video": self.output.name,
            "labels": self.labels.name,
            "sha256": sha256_of(video),
            "still_frame": frames.path.still,
            "source": {
                "path": str(self.still.image),
                "labels": str(self.still.label),
                "sha256": self._source_sha256(),
                "size_hw": [height, width],
            },
            "settings": self.settings_record(),
            "camera": {
                "positions_m": np.round(frames.path.positions, 4).tolist(),
                "rotations": np.round(frames.path.rotations, 6).tolist(),
            },
            "size_hw": list(result.size_hw),
            "padding": {"bottom": height % 2, "right": width % 2},
            "frame_rate": str(self.frame_rate),
            "frame_count": len(result.packet_bytes),
            "duration_seconds": result.duration_seconds,
            "bitrate_bps": round(result.bitrate_bps),
            "psnr_db": result.psnr_db,
            "ssim": result.ssim,
            "frame_types": result.pict_types,
            "versions": versions(result.x264),
        }

"""One labelled still to one labelled GOP: an H.264 file, a folder of labels, and an account of them."""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
from ..data.palettes import Palette
from ..data.sample import Sample
from ..data.still_motion import StillMotion
from .encode import OutputError
from .sidecar import SCHEMA, read_sidecar, sha256_of, versions, write_sidecar

Samples = Sequence[Sample]


@dataclass(frozen=True)
class StillsSettings:
    """What is made of every still: `variants` GOPs of `gop` frames at `frame_rate`, their bitrates taken in turn."""

    gop: int
    bitrates_bps: tuple[int, ...]
    frame_rate: Fraction
    preset: str
    variants: int
    seed: int

    def encoder(self, index: int, variant: int) -> EncodeSettings:
        """The encoder's settings for a variant of still number `index`."""
        rate = self.bitrates_bps[(index + variant) % len(self.bitrates_bps)]
        return EncodeSettings(gop=self.gop, bitrate_bps=rate, preset=self.preset, slots=1)


@dataclass(frozen=True)
class StillJob:
    """Variant `variant` of still number `index` of `samples`, to be written to `folder`."""

    samples: Samples
    index: int
    variant: int
    folder: Path
    settings: StillsSettings
    palette: Palette

    def load(self) -> StillClip:
        """Read the still; raises what its reader raises."""
        return StillClip(self, self.samples[self.index])


class StillClip:
    """One still with its target files."""

    def __init__(self, job: StillJob, sample: Sample) -> None:
        self.job, self.sample = job, sample
        self.name = sample.name if job.settings.variants == 1 else f"{sample.name}-v{job.variant}"
        self.video = job.folder / f"{self.name}.mp4"
        self.labels = job.folder / f"{self.name}_labels"
        self.sidecar = job.folder / f"{self.name}.json"
        self._encoder = job.settings.encoder(job.index, job.variant)

    @property
    def existing(self) -> list[Path]:
        """The outputs that are there already."""
        return [path for path in (self.video, self.labels, self.sidecar) if path.exists()]

    def is_finished(self) -> bool:
        """Whether the outputs are whole, made of this very still with these settings.

        Raises OutputError where they were made otherwise, as going on would then replace finished files.
        """
        if not self.video.exists():
            return False
        content = read_sidecar(self.sidecar)
        if content is None:
            raise OutputError(f"{self.video}: exists without a sidecar of ours; move it away, or give -y to replace it")
        if content["settings"] != self._settings_record() or content["source"]["sha256"] != self._source_sha256():
            raise OutputError(
                f"{self.video}: was made with other settings or of another still; give -y to replace it, or another "
                "folder"
            )
        return bool(content["sha256"] == sha256_of(self.video)) and self.labels.is_dir()

    def make(self) -> dict[str, Any]:
        """Render, encode and write; returns the sidecar's content. The video appears last, when all is whole.

        Raises DatasetError where nothing of the still is labelled, EncodeError where outputs cannot be written; nothing
        is left behind then.
        """
        settings, sample = self.job.settings, self.sample
        rng = np.random.default_rng([settings.seed, zlib.crc32(sample.name.encode()), self.job.variant])
        frames = StillMotion(
            sample,
            self.job.palette.names,
            count=settings.gop,
            fps=float(settings.frame_rate),
            rng=rng,
        )
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
            pictures = pictures_of_images(images, self.name, settings.frame_rate, settings.gop)
            transcode(pictures, self.video, self._encoder, before_rename=publish)
        except OSError as error:
            raise EncodeError(f"{self.video}: cannot be written ({error}); check the folder and its space") from error
        finally:
            with suppress(OSError):
                shutil.rmtree(part)
        return content

    def _images(self, frames: StillMotion, folder: Path) -> Iterator[NDArray[np.uint8]]:
        for index, frame in enumerate(frames):
            write_labels(folder / f"{index:06d}.png", frame.labels, self.job.palette)
            yield frame.image

    def _settings_record(self) -> dict[str, Any]:
        settings = self.job.settings
        return {
            "gop": settings.gop,
            "bitrate_bps": self._encoder.bitrate_bps,
            "fps": str(settings.frame_rate),
            "preset": settings.preset,
            "variant": self.job.variant,
            "seed": settings.seed,
            "classes": list(self.job.palette.names),
        }

    def _source_sha256(self) -> str:
        """The hash of the still's pixels and labels."""
        digest = hashlib.sha256(self.sample.image.tobytes())
        digest.update(self.sample.labels.tobytes())
        return digest.hexdigest()

    def _content(self, result: Transcoded, video: Path, frames: StillMotion) -> dict[str, Any]:
        height, width = self.sample.labels.shape
        return {
            "schema": SCHEMA,
            "video": self.video.name,
            "labels": self.labels.name,
            "sha256": sha256_of(video),
            "still_frame": frames.path.still,
            "source": {"name": self.sample.name, "sha256": self._source_sha256(), "size_hw": [height, width]},
            "settings": self._settings_record(),
            "camera": {
                "positions_m": np.round(frames.path.positions, 4).tolist(),
                "rotations": np.round(frames.path.rotations, 6).tolist(),
            },
            "size_hw": list(result.size_hw),
            "padding": {"bottom": height % 2, "right": width % 2},
            "frame_rate": str(self.job.settings.frame_rate),
            "frame_count": len(result.packet_bytes),
            "bitrate_bps": round(result.bitrate_bps),
            "psnr_db": result.psnr_db,
            "ssim": result.ssim,
            "frame_types": result.pict_types,
            "versions": versions(result.x264),
        }

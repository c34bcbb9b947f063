"""Clips for accuracy by distance: labelled recordings cut and encoded so that frames are seen at chosen distances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...codec import EncodeSettings, Transcoded, pictures_of_images, transcode
from ...data import Clip, LabelledSequence, dense_clips, read_image, sparse_clips
from ..errors import OutputError
from ..jobs import SCHEMA, read_sidecar, sha256_of_frames, stamp_of, versions


@dataclass(frozen=True)
class ScoredFrame:
    """A frame whose accuracy counts: its number in the clip, its distance to the keyframe, its name and labels."""

    frame: int
    distance: int
    name: str
    label: Path


@dataclass(frozen=True)
class ClipFiles:
    """What one clip is made of: the source images in order, and the frames that count. `start` is in the recording."""

    name: str
    sequence: str
    start: int
    images: tuple[Path, ...]
    scored: tuple[ScoredFrame, ...]
    read_labels: Callable[[Path], NDArray[np.uint8]]


def plan_clips(
    sequences: Iterable[LabelledSequence],
    gop: int,
    *,
    dense: bool,
    distances: Collection[int] | None = None,
    cut_after_last: bool = False,
) -> Iterator[ClipFiles]:
    """The clips of the dense or the sparse protocol that show a frame that counts.

    Dense: every frame is labelled, and the sequence is encoded once for each frame of a GOP that it can begin with.
    Sparse: for each labelled frame and each distance a clip whose keyframe comes so many frames before (Hu et al.,
    AR-Seg, CVPR 2023, section 4.1).
    `distances` are those wanted, None for all; `cut_after_last` is `sparse_clips`'. DatasetError where the dense
    protocol is asked for and frames lack labels.
    """
    for sequence in sequences:
        clips = dense_clips(sequence, gop) if dense else sparse_clips(sequence, gop, cut_after_last=cut_after_last)
        for clip in clips:
            scored = tuple(
                _scored(clip, index) for index in clip.scored if distances is None or index % gop in distances
            )
            if scored:
                images = tuple(sequence.images[clip.start : clip.stop])
                yield ClipFiles(clip.name, sequence.name, clip.start, images, scored, sequence.read_labels)


def _scored(clip: Clip, index: int) -> ScoredFrame:
    position = clip.start + index
    return ScoredFrame(index, index % clip.gop, clip.sequence.frame_name(position), clip.sequence.label_files[position])


def encode_frames(
    frames: Sequence[Path],
    file: Path,
    settings: EncodeSettings,
    frame_rate: Fraction,
    *,
    on_frame: Callable[[], None] | None = None,
    finish: Callable[[Transcoded, Path], None] | None = None,
) -> Transcoded:
    """Image files as an H.264 file, the way `preprocess encode` writes it; the callbacks are `transcode`'s."""
    pictures = pictures_of_images(map(read_image, frames), file.name, frame_rate, len(frames))
    return transcode(pictures, file, settings, on_frame=on_frame, finish=finish)


@dataclass(frozen=True)
class ClipJob(ABC):
    """One clip to be encoded and written to `folder`, in a layout that a subclass knows.

    With `may_replace` false outputs that another run makes meanwhile are left alone.
    """

    clip: ClipFiles
    folder: Path
    encoder: EncodeSettings
    frame_rate: Fraction
    may_replace: bool = field(default=True, kw_only=True)

    def without_replacing(self) -> Self:
        """The same job, with `may_replace` false."""
        return replace(self, may_replace=False)

    @property
    def source_path(self) -> Path:
        """The clip's first image."""
        return self.clip.images[0]

    @property
    @abstractmethod
    def account(self) -> Path:
        """The JSON that says how the clip was made."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[Path, ...]:
        """Every file that is written for this clip alone, the one that appears last first."""

    @property
    def output(self) -> Path:
        """The file that appears last."""
        return self.outputs[0]

    @abstractmethod
    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Encode and write; returns the account.

        Raises InvalidDataError, EncodeError, and TargetExistsError where another run made it meanwhile; no clip is left
        half done.
        """

    def settings_record(self) -> dict[str, Any]:
        """Everything that the output depends on, beside the images and the versions."""
        return {
            "gop": self.encoder.gop,
            "bitrate_bps": self.encoder.bitrate_bps,
            "fps": str(self.frame_rate),
            "preset": self.encoder.preset,
            "slots": self.encoder.slots,
            "buffer_seconds": self.encoder.buffer_seconds,
            "frames": len(self.clip.images),
            "scored": [frame.frame for frame in self.clip.scored],
        }

    def source_stamp(self) -> list[int]:
        """Bytes and last change of the images."""
        return stamp_of(self.clip.images)

    def frame_total(self) -> int:
        """The length of the clip."""
        return len(self.clip.images)

    def is_finished(self) -> bool:
        """Whether all files are there and of these very images; OutputError where they were made otherwise."""
        if not self.account.exists():
            return False
        content = read_sidecar(self.account)
        if content is None:
            raise OutputError(f"{self.account}: is no account of ours; move it away, or give -y to replace it")
        for name, value in self.settings_record().items():
            if (was := content["settings"].get(name)) != value:
                raise OutputError(
                    f"{self.account}: was made with {name} {was}, not {value}; give -y to replace it, or another folder"
                )
        there = all(path.exists() for path in self.outputs)
        return there and bool(content["source"]["sha256"] == sha256_of_frames(self.clip.images))

    def content(self, result: Transcoded, sha256: str) -> dict[str, Any]:
        """The account of a clip whose video has this hash."""
        return {
            "schema": SCHEMA,
            "clip": self.clip.name,
            "sequence": self.clip.sequence,
            "start": self.clip.start,
            "sha256": sha256,
            "source": {"first": str(self.clip.images[0]), "sha256": sha256_of_frames(self.clip.images)},
            "settings": self.settings_record(),
            "size_hw": list(result.size_hw),
            "frame_count": len(result.packet_bytes),
            "bitrate_bps": round(result.bitrate_bps),
            "psnr_db": result.psnr_db,
            "ssim": result.ssim,
            "frame_types": result.pict_types,
            "versions": versions(result.x264),
        }

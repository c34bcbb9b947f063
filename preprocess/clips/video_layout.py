"""Clips in gopseg's own layout: a video each, label images once, and an index of what counts where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...codec import InvalidDataError, Transcoded, disk_errors
from ...data import Palette, write_labels
from ...files import publish_together, refuse_taken, whole_file
from ..jobs import SCHEMA, sha256_of, sidecar_part, write_sidecar
from .clip_job import ClipFiles, ClipJob, encode_frames

INDEX = "index.json"


@dataclass(frozen=True)
class VideoClipJob(ClipJob):
    """A clip to `folder`/NAME.mp4 with its account NAME.json."""

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The video and the account."""
        return self.folder / f"{self.clip.name}.mp4", self.account

    @property
    def account(self) -> Path:
        """The JSON beside the video."""
        return self.folder / f"{self.clip.name}.json"

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Encode; returns the account. The video appears last, when all is whole."""
        account: dict[str, Any] = {}

        def finish(result: Transcoded, video: Path) -> None:
            account.update(self.content(result, sha256_of(video)))
            with sidecar_part(self.account, account) as part, disk_errors(self.output):
                publish_together([(part, self.account), (video, self.output)], replace=self.may_replace)

        if not self.may_replace:
            refuse_taken(self.outputs)
        encode_frames(self.clip.images, self.output, self.encoder, self.frame_rate, on_frame=on_frame, finish=finish)
        return account


@dataclass(frozen=True)
class IndexedFrame:
    """A frame that counts: its number in the clip, its distance to the keyframe, its name and its label image."""

    frame: int
    distance: int
    name: str
    label: Path


@dataclass(frozen=True)
class IndexedClip:
    """One video of a folder of clips; `start` is the recording's frame that it begins with."""

    video: Path
    sequence: str
    start: int
    frame_count: int
    scored: tuple[IndexedFrame, ...]


@dataclass(frozen=True)
class ClipIndex:
    """What a folder of clips holds; labels hold class indices of `classes`, 255 void."""

    gop: int
    bitrate_bps: int
    frame_rate: str
    classes: tuple[str, ...]
    clips: tuple[IndexedClip, ...]


def write_clip_labels(folder: Path, clips: Iterable[ClipFiles], palette: Palette) -> None:
    """Write the labels of every frame that counts to `folder`/labels/SEQUENCE/NAME.png, each once."""
    written: set[Path] = set()
    for clip in clips:
        for frame in clip.scored:
            path = folder / _label_path(clip, frame.name)
            if path not in written:
                path.parent.mkdir(parents=True, exist_ok=True)
                with disk_errors(path), whole_file(path) as part:
                    write_labels(part, clip.read_labels(frame.label), palette)
                written.add(path)


def write_index(folder: Path, jobs: Sequence[VideoClipJob], classes: Sequence[str]) -> None:
    """Write `folder`/index.json, of the clips that are there."""
    first = jobs[0]
    content = {
        "schema": SCHEMA,
        "gop": first.encoder.gop,
        "bitrate_bps": first.encoder.bitrate_bps,
        "frame_rate": str(first.frame_rate),
        "classes": list(classes),
        "clips": [_entry(job) for job in jobs if job.output.exists()],
    }
    write_sidecar(folder / INDEX, content)


def read_index(folder: Path) -> ClipIndex:
    """The index of a folder that `preprocess clips` wrote; InvalidDataError where there is none, or another's."""
    file = folder / INDEX
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        clips = tuple(
            IndexedClip(
                folder / clip["video"],
                clip["sequence"],
                clip["start"],
                clip["frame_count"],
                tuple(
                    IndexedFrame(frame["frame"], frame["distance"], frame["name"], folder / frame["label"])
                    for frame in clip["scored"]
                ),
            )
            for clip in content["clips"]
        )
        return ClipIndex(
            content["gop"], content["bitrate_bps"], content["frame_rate"], tuple(content["classes"]), clips
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidDataError(f"{file}: is no index of clips ({error}); make it by `preprocess clips`") from error


def _entry(job: VideoClipJob) -> dict[str, Any]:
    return {
        "video": job.output.name,
        "sequence": job.clip.sequence,
        "start": job.clip.start,
        "frame_count": len(job.clip.images),
        "scored": [
            {
                "frame": frame.frame,
                "distance": frame.distance,
                "name": frame.name,
                "label": _label_path(job.clip, frame.name).as_posix(),
            }
            for frame in job.clip.scored
        ],
    }


def _label_path(clip: ClipFiles, name: str) -> Path:
    return Path("labels") / clip.sequence / f"{name}.png"

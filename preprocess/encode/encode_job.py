"""One source to one H.264 file with its sidecar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...codec import (
    EncodeSettings,
    Pictures,
    Transcoded,
    declared_frames,
    disk_errors,
    file_url,
    pictures_of_images,
    pictures_of_video,
    source_files,
)
from ...data import FrameFolder
from ...files import publish_together, refuse_taken
from ..errors import OutputError
from ..jobs import (
    SCHEMA,
    SequenceSource,
    read_sidecar,
    sha256_of,
    sha256_of_frames,
    sha256_of_source,
    sidecar_part,
    stamp_of,
    versions,
)
from .engine import AvEngine, Engine

FOLDER_RATE = Fraction(25)


@dataclass(frozen=True)
class EncodeJob:
    """One source, its target and how to get there; `frame_rate` None keeps a video's own (25 for frames).

    `stream` is the number of the video stream to read, None for the best.

    With `may_replace` false outputs that another run makes meanwhile are left alone.
    """

    source: SequenceSource
    folder: Path
    settings: EncodeSettings
    frame_rate: Fraction | None = None
    engine: Engine = field(default_factory=AvEngine)
    stream: int | None = None
    may_replace: bool = True

    def without_replacing(self) -> EncodeJob:
        """The same job, with `may_replace` false."""
        return replace(self, may_replace=False)

    @property
    def video(self) -> Path:
        """The video to write."""
        return self.folder / f"{self.source.name}.mp4"

    @property
    def sidecar(self) -> Path:
        """The JSON to write beside it."""
        return self.folder / f"{self.source.name}.json"

    def settings_record(self) -> dict[str, Any]:
        """Everything that the bytes of the video depend on, beside the source and the versions."""
        return {
            **self.engine.record(),
            "gop": self.settings.gop,
            "bitrate_bps": self.settings.bitrate_bps,
            "fps": None if self.frame_rate is None else str(self.frame_rate),
            "stream": self.stream,
            "preset": self.settings.preset,
            "slots": self.settings.slots,
            "buffer_seconds": self.settings.buffer_seconds,
        }

    def open(self) -> Pictures:
        """The source's pictures, one pass; raises what the source's reader raises."""
        files = self.source.files
        if files is None:
            return pictures_of_video(self.source.path, self.frame_rate, stream=self.stream)
        folder = FrameFolder(name=str(self.source.path), files=list(files), frame_rate=self.frame_rate or FOLDER_RATE)
        images = (frame.image for frame in folder)
        return pictures_of_images(images, folder.name, folder.frame_rate, folder.frame_count)

    def source_sha256(self) -> str:
        """The hash of the source's content."""
        files = self.source.files
        return sha256_of_source(self.source.path) if files is None else sha256_of_frames(files)

    def ffmpeg_command(self, pictures: Pictures) -> str:
        """The equivalent ffmpeg command line (without frame files that a glob in name order would mix up)."""
        filters = pictures.filters
        if self.source.files is None:
            rotated = "transpose" in filters or "flip" in filters
            before = f"{'-noautorotate' if rotated else ''} {pictures.reading}".strip()
            source = _for_ffmpeg(self.source.path)
            after = f"{'' if self.frame_rate else '-fps_mode passthrough'} {pictures.mapping}".strip()
        else:
            before = f"-framerate {self.frame_rate or FOLDER_RATE} -pattern_type glob"
            source, after = str(self.source.path / f"*{self.source.files[0].suffix}"), ""
        video, rate = _for_ffmpeg(self.video), pictures.frame_rate
        return self.engine.command(self.settings, source, video, rate, filters, before, after)

    @property
    def source_path(self) -> Path:
        """The video file, or the folder of frames."""
        return self.source.path

    @property
    def output(self) -> Path:
        """The video to write."""
        return self.video

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The video and its sidecar."""
        return self.video, self.sidecar

    def source_stamp(self) -> list[int]:
        """Bytes and last change of the file, of all files of a playlist, or of all frames."""
        return stamp_of(self.source.files or source_files(self.source.path))

    def frame_total(self) -> int | None:
        """Frames of all passes, by the container's account."""
        files = self.source.files
        count = (
            len(files) if files is not None else declared_frames(self.source.path, self.frame_rate, stream=self.stream)
        )
        return None if count is None else count * self.engine.passes

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Encode; returns the sidecar's content. The video appears last, and only when all is whole.

        Raises SourceError or InvalidDataError for a source that cannot be read, EncodeError where the output cannot be
        written, TargetExistsError where another run made it meanwhile; nothing is left behind then.
        """
        content: dict[str, Any] = {}

        def finish(pictures: Pictures, result: Transcoded, part: Path) -> None:
            content.update(_content(self, pictures, result, part))
            with sidecar_part(self.sidecar, content) as account, disk_errors(self.video):
                publish_together([(account, self.sidecar), (part, self.video)], replace=self.may_replace)

        if not self.may_replace:
            refuse_taken(self.outputs)
        self.engine.encode(self.open, self.video, self.settings, on_frame=on_frame, finish=finish)
        return content

    def is_finished(self) -> bool:
        """Whether the target is whole, made with these very settings from this very source.

        Raises OutputError where it was made otherwise, as going on would then replace a finished file.
        """
        if not self.video.exists():
            return False
        content = read_sidecar(self.sidecar)
        if content is None:
            raise OutputError(f"{self.video}: exists without a sidecar of ours; move it away, or give -y to replace it")
        was = content["settings"]
        for name, value in self.settings_record().items():
            if was.get(name) != value:
                raise OutputError(
                    f"{self.video}: was encoded with {name} {was.get(name)}, not {value}; give -y to replace it, or "
                    "another folder"
                )
        return bool(content["sha256"] == sha256_of(self.video) and content["source"]["sha256"] == self.source_sha256())


def _for_ffmpeg(path: Path) -> str:
    """A path on ffmpeg's command line, where a colon or a dash may mean something else."""
    name = str(path)
    return file_url(path) if ":" in name or name.startswith("-") else name


def _content(job: EncodeJob, pictures: Pictures, result: Transcoded, part: Path) -> dict[str, Any]:
    bottom, right = pictures.padding
    frame_count = len(result.packet_bytes)
    return {
        "schema": SCHEMA,
        "video": job.video.name,
        "sha256": sha256_of(part),
        "source": {
            "path": str(job.source.path),
            "kind": "video" if job.source.files is None else "frames",
            "sha256": job.source_sha256(),
            "stream": pictures.stream_choice,
            "size_hw": list(pictures.source_size_hw),
            "declared_frames": pictures.frame_count,
            "refused_packets": pictures.counts.decode_errors,
            "damaged_frames": pictures.counts.corrupt,
            "repaired_timestamps": pictures.counts.repaired_timestamps,
            "time_jumps": [asdict(jump) for jump in pictures.counts.time_jumps],
            "start_seconds": round(pictures.counts.start_seconds, 6),
        },
        "settings": job.settings_record(),
        "encoder_options": job.engine.options(job.settings, pictures.frame_rate),
        "ffmpeg_command": job.ffmpeg_command(pictures),
        "size_hw": list(result.size_hw),
        "padding": {"bottom": bottom, "right": right},
        "frame_rate": str(pictures.frame_rate),
        "frame_count": frame_count,
        "duration_seconds": result.duration_seconds,
        "gap_seconds": round(result.gap_seconds, 6),
        "bitrate_bps": round(result.bitrate_bps),
        "psnr_db": result.psnr_db,
        "ssim": result.ssim,
        "worst_frame": result.worst_frame,
        "median_psnr_db": result.median_psnr_db,
        "colour": asdict(pictures.colour),
        "frame_types": result.pict_types,
        "versions": versions(result.x264) | job.engine.versions(),
    }

"""`FfmpegEngine`: the user's own ffmpeg, in two passes of libx264 or by a hardware encoder, through ffmpeg-python."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...codec import (
    PRESETS,
    EncodeError,
    EncodeSettings,
    MotionAbsence,
    PictureClock,
    Pictures,
    RateClock,
    SourceError,
    Transcoded,
    open_video,
)
from ...files import discard, part_of, remove_abandoned
from .engine import Finish
from .ffmpeg_process import FfmpegProcess

_NVENC_PRESETS = dict(zip(PRESETS, ("p1", "p1", "p2", "p3", "p3", "p4", "p5", "p6", "p7", "p7"), strict=True))
_QSV_PRESETS = {"ultrafast": "veryfast", "superfast": "veryfast", "placebo": "veryslow"}
_VAAPI_DEVICE = "/dev/dri/renderD128"


def find_ffmpeg(path: str | None) -> str:
    """The ffmpeg binary: `path`, else what FFMPEG in the environment names, else `ffmpeg` on PATH.

    SourceError where there is none, or where the package ffmpeg-python is missing.
    """
    try:
        import ffmpeg  # noqa: F401
    except ModuleNotFoundError as error:
        raise SourceError(
            "--engine ffmpeg: the package ffmpeg-python is missing; pip install 'gopseg[ffmpeg]', or take --engine av"
        ) from error
    name = path or os.environ.get("FFMPEG") or "ffmpeg"
    found = shutil.which(name)
    if found is None:
        raise SourceError(
            f"{name}: no such program; install FFmpeg 5.1 or newer, name its binary by --ffmpeg or FFMPEG, or take "
            "--engine av"
        )
    return found


@dataclass(frozen=True)
class FfmpegEngine:
    """The same pictures, settings, checks and account as `AvEngine`, encoded by `binary`.

    libx264 runs twice over the source, the first time only to learn where bits are needed; h264_nvenc looks twice at
    each frame by itself; the other hardware encoders have one pass. Every encoder is told to make closed GOPs of exact
    length from one reference without B-frames, and what it made is read back before the file gets its name. Not every
    run of a parallel encoder gives the same bytes.
    """

    binary: str
    encoder: str = "libx264"
    version: str = field(default="unknown", compare=False)

    @classmethod
    def find(cls, path: str | None, encoder: str) -> FfmpegEngine:
        """The engine of the ffmpeg that `find_ffmpeg` finds; SourceError where it cannot run or lacks `encoder`."""
        binary = find_ffmpeg(path)
        asked = [binary, "-hide_banner"]
        try:
            listed = subprocess.run([*asked, "-encoders"], capture_output=True, text=True, check=True).stdout
            head = subprocess.run([binary, "-version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise SourceError(f"{binary}: cannot be run ({error}); give an ffmpeg binary by --ffmpeg") from error
        if not re.search(rf"^ V\S+ {encoder} ", listed, re.MULTILINE):
            raise SourceError(f"{binary}: was built without {encoder}; give another --encoder or another --ffmpeg")
        match = re.match(r"ffmpeg version (\S+)", head)
        return cls(binary, encoder, match[1] if match else "unknown")

    @property
    def passes(self) -> int:
        """Two for libx264, else one."""
        return 2 if self.encoder == "libx264" else 1

    def record(self) -> dict[str, Any]:
        """Name, encoder and passes."""
        return {"engine": "ffmpeg", "encoder": self.encoder, "passes": self.passes}

    def versions(self) -> dict[str, str]:
        """ffmpeg's own."""
        return {"ffmpeg": self.version}

    def options(self, settings: EncodeSettings, frame_rate: Fraction) -> dict[str, str]:
        """The encoder's options at `frame_rate`, by ffmpeg's names; ValueError where `settings` has no bitrate."""
        rate = settings.bitrate_bps
        if rate is None:
            raise ValueError("bitrate_bps=None: this engine holds bitrates only; give one")
        gop = settings.gop
        options = {"c:v": self.encoder, "b:v": str(rate), "force_key_frames": f"expr:not(mod(n,{gop}))"}
        if self.encoder == "libx264":
            return {**options, "pix_fmt": "yuv420p", **settings.x264_options(frame_rate)}
        size = round(rate * settings.buffer_length(frame_rate))
        options |= {"maxrate": str(rate), "bufsize": str(size), "g": str(gop), "bf": "0", "refs": "1"}
        if self.encoder == "h264_nvenc":
            return options | {
                "pix_fmt": "yuv420p",
                "preset": _NVENC_PRESETS[settings.preset],
                "rc": "cbr",
                "multipass": "fullres",
                "no-scenecut": "1",
                "forced-idr": "1",
                "strict_gop": "1",
                "weighted_pred": "0",
            }
        if self.encoder == "h264_qsv":
            preset = _QSV_PRESETS.get(settings.preset, settings.preset)
            forced = {"forced_idr": "1", "idr_interval": "0", "adaptive_i": "0", "adaptive_b": "0"}
            return options | {"pix_fmt": "nv12", "preset": preset, "look_ahead": "0", **forced}
        return options | {"rc_mode": "CBR", "idr_interval": "0"}

    def _filters(self, filters: str) -> str:
        return ",".join(filter(None, [filters, "format=nv12,hwupload" if self.encoder == "h264_vaapi" else ""]))

    def _before(self) -> list[str]:
        return ["-vaapi_device", _VAAPI_DEVICE] if self.encoder == "h264_vaapi" else []

    def command(
        self, settings: EncodeSettings, source: str, output: str, rate: Fraction, filters: str, before: str, after: str
    ) -> str:
        """One command a pass, joined by &&."""
        filters = self._filters(filters)
        words = [self.binary, *self._before(), *before.split(), "-i", source, "-an", *after.split()]
        words += ["-vf", filters] if filters else []
        words += [word for name, value in self.options(settings, rate).items() for word in (f"-{name}", value)]
        last = ["-movflags", "+faststart", output]
        if self.passes == 1:
            return shlex.join([*words, *last])
        return f"{shlex.join([*words, '-pass', '1', '-f', 'null', '-'])} && {shlex.join([*words, '-pass', '2', *last])}"

    def encode(
        self,
        open_pictures: Callable[[], Pictures],
        path: Path,
        settings: EncodeSettings,
        *,
        on_frame: Callable[[], None] | None,
        finish: Finish,
    ) -> Transcoded:
        """Feed the pictures to ffmpeg, mux, measure and check what comes back, pass by pass."""
        remove_abandoned(path)
        part = part_of(path)
        try:
            with TemporaryDirectory(prefix="gopseg-") as logs:
                for number in range(1, self.passes + 1):
                    pictures = open_pictures()
                    process, clock = self._start(number, logs, pictures, path, part, settings)
                    with process:
                        for picture, duration in clock.with_durations(pictures):
                            process.put(picture, duration)
                            if on_frame is not None:
                                on_frame()
                        result = process.finish()
            result.duration_seconds, result.gap_seconds = clock.seconds, clock.gap_seconds
            result.pict_types = self._checked_types(part, path, settings.gop, len(result.packet_bytes))
            finish(pictures, result, part)
        finally:
            discard(part)
        return result

    def _start(
        self, number: int, logs: str, pictures: Pictures, path: Path, part: Path, settings: EncodeSettings
    ) -> tuple[FfmpegProcess, PictureClock]:
        options = self.options(settings, pictures.frame_rate) | {"enc_time_base": str(pictures.time_base)}
        if self.passes > 1:
            options |= {"pass": str(number), "passlogfile": str(Path(logs) / "passes")}
        process = FfmpegProcess(
            [self.binary, "-hide_banner", "-nostdin", "-loglevel", "error", *self._before()],
            pictures,
            options,
            self._filters,
            path,
            part if number == self.passes else None,
            RateClock(settings, pictures.frame_rate, pictures.time_base),
        )
        return process, PictureClock(settings, pictures.frame_rate, pictures.time_base)

    def _checked_types(self, part: Path, path: Path, gop: int, count: int) -> str:
        """The types of all frames, read back; EncodeError where a guarantee is not kept."""
        way_out = "give another --encoder, or take --engine av"
        with open_video(part, pixels=False) as video:
            types = []
            for frame in video:
                expected = "P" if frame.index % gop else "I"
                if frame.pict_type != expected or frame.is_keyframe != (expected == "I"):
                    kind = "keyframe" if frame.is_keyframe else f"{frame.pict_type}-frame"
                    raise EncodeError(
                        f"{path}: {self.encoder} made frame {frame.index} a {kind} against --gop {gop}; {way_out}"
                    )
                types.append(frame.pict_type)
            if (video.reference_frames or 1) > 1 or video.motion_absence is not None:
                cause = MotionAbsence.REFERENCES if video.motion_absence is None else video.motion_absence
                raise EncodeError(f"{path}: {self.encoder} did not obey: {cause.value}; {way_out}")
        if len(types) != count:
            raise EncodeError(f"{path}: of {count} frames of {self.encoder} only {len(types)} decode; {way_out}")
        return "".join(types)

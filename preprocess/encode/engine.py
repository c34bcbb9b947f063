"""What encodes: an `Engine` turns the pictures of one source into one MP4; `AvEngine` is PyAV's own libx264."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from ...codec import EncodeSettings, Pictures, Transcoded, transcode

Finish = Callable[[Pictures, Transcoded, Path], None]


class Engine(Protocol):
    """One way to encode; picklable, so that it can travel to other processes and machines."""

    @property
    def passes(self) -> int:
        """How often the source is read."""

    def record(self) -> dict[str, Any]:
        """What of the engine the bytes of a video depend on, beside the settings."""

    def versions(self) -> dict[str, str]:
        """Versions that decide what the bytes are, beside gopseg's, PyAV's and x264's."""

    def options(self, settings: EncodeSettings, frame_rate: Fraction) -> dict[str, str]:
        """The encoder's options at `frame_rate`, as ffmpeg's command line takes them."""

    def command(
        self, settings: EncodeSettings, source: str, output: str, rate: Fraction, filters: str, before: str, after: str
    ) -> str:
        """The equivalent ffmpeg command line: same structure and rate, other bytes."""

    def encode(
        self,
        open_pictures: Callable[[], Pictures],
        path: Path,
        settings: EncodeSettings,
        *,
        on_frame: Callable[[], None] | None,
        finish: Finish,
    ) -> Transcoded:
        """Encode what is to become the MP4 `path`, and check that its structure is what was asked for.

        `on_frame` is called for every frame of every pass, `finish` with the pictures of the last pass, the result and
        the whole file under another name, to which it gives its own. Raises EncodeError, and what reading the pictures
        and `finish` raise; nothing is left behind then.
        """


@dataclass(frozen=True)
class AvEngine:
    """PyAV's libx264: one pass, the same bytes on every run."""

    @property
    def passes(self) -> int:
        """One."""
        return 1

    def record(self) -> dict[str, Any]:
        """The name."""
        return {"engine": "av"}

    def versions(self) -> dict[str, str]:
        """Nothing beside what the sidecar notes anyway."""
        return {}

    def options(self, settings: EncodeSettings, frame_rate: Fraction) -> dict[str, str]:
        """libx264's private options."""
        return settings.x264_options(frame_rate)

    def command(
        self, settings: EncodeSettings, source: str, output: str, rate: Fraction, filters: str, before: str, after: str
    ) -> str:
        """One pass of libx264."""
        return settings.ffmpeg_command(source, output, rate, filters, before, after)

    def encode(
        self,
        open_pictures: Callable[[], Pictures],
        path: Path,
        settings: EncodeSettings,
        *,
        on_frame: Callable[[], None] | None,
        finish: Finish,
    ) -> Transcoded:
        """`codec.transcode` on the source's pictures."""
        pictures = open_pictures()
        return transcode(
            pictures,
            path,
            settings,
            on_frame=on_frame,
            finish=lambda result, part: finish(pictures, result, part),
        )

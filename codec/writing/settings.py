"""What an H.264 encoder is asked for; nothing here imports an encoder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_LEAST_BUFFER_FRAMES = 10
_BUFFER_START = 0.75  # about how full it is at the end, so that what it starts with does not raise the rate


@dataclass(frozen=True)
class EncodeSettings:
    """What an encoder is asked for; ValueError for impossible values.

    Keyframes (IDR) come every `gop` frames exactly, P-frames between them predict from the previous frame only.
    `bitrate_bps` (bits per second) is held by a constant-rate buffer of `buffer_seconds` (but ten frames at least,
    where frames are few); None asks for constant quality `crf` (x264's scale, 0 is lossless, 51 the worst) instead.
    `slots` encoders of one thread each take whole GOPs in turn: libx264's own frame threads make such rate control
    depend on timing, so that the same input would give other bytes on every run. `low_delay` gives every packet at
    once, for live use.
    """

    gop: int = 12
    bitrate_bps: int | None = 3_000_000
    preset: str = "medium"
    crf: float = 20.0
    slots: int = 2
    buffer_seconds: float = 0.7
    low_delay: bool = False

    def __post_init__(self) -> None:
        if self.gop < 1:
            raise ValueError(f"gop={self.gop} is impossible; give a number of frames from 1")
        if self.bitrate_bps is not None and self.bitrate_bps < 1000:
            raise ValueError(f"bitrate_bps={self.bitrate_bps} is too low; give at least 1000, as in 750k or 3M")
        if self.preset not in PRESETS:
            raise ValueError(f"preset={self.preset!r} is unknown to x264; give one of {', '.join(PRESETS)}")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf={self.crf} is out of range; give a number from 0 to 51")
        if self.slots < 1:
            raise ValueError(f"slots={self.slots} is impossible; give a number from 1")
        if not self.buffer_seconds > 0:
            raise ValueError(f"buffer_seconds={self.buffer_seconds} is impossible; give a positive number")

    @property
    def parallel(self) -> int:
        """Encoders that run side by side; one where every packet must come at once, or where every frame is a key."""
        return 1 if self.low_delay or self.gop == 1 else self.slots

    def buffer_length(self, frame_rate: Fraction) -> float:
        """Seconds of `bitrate_bps` that the rate control's buffer holds at `frame_rate`."""
        return max(self.buffer_seconds, float(_LEAST_BUFFER_FRAMES / frame_rate))

    def longest_ticks(self, frame_rate: Fraction, time_base: Fraction) -> int:
        """How long, in units of `time_base`, an encoder is told at most that a picture is shown: the buffer's length.

        A picture that stays longer fills the buffer all the same. Told the truth, x264 takes the coarsest quantiser for
        it, where a share of what comes in meanwhile (5 to 25 %) is more than the buffer has.
        """
        return max(1, round(self.buffer_length(frame_rate) / time_base))

    def x264_options(self, frame_rate: Fraction) -> dict[str, str]:
        """The private options of FFmpeg's libx264 wrapper at `frame_rate`, as its command line takes them too."""
        parameters: dict[str, float] = {
            "keyint": self.gop,
            "min-keyint": self.gop,
            "scenecut": 0,
            "open-gop": 0,
            "bframes": 0,
            "ref": 1,
            "weightp": 0,
        }
        options = {"preset": self.preset}
        if self.low_delay:
            options["tune"] = "zerolatency"
        if self.bitrate_bps is None:
            options["crf"] = f"{self.crf:g}"
        else:
            rate = self.bitrate_bps // 1000
            size = max(1, round(self.bitrate_bps * self.buffer_length(frame_rate) / 1000))
            parameters |= {"vbv-maxrate": rate, "vbv-bufsize": size, "vbv-init": _BUFFER_START}
        options["x264-params"] = ":".join(f"{name}={value}" for name, value in parameters.items())
        return options

    def ffmpeg_command(
        self, source: str, output: str, frame_rate: Fraction, filters: str = "", before: str = "", after: str = ""
    ) -> str:
        """The ffmpeg command line that encodes `source` with these settings (same structure and rate, other bytes).

        `frame_rate` is the output's; `before` and `after` are more options for the input and the output.
        """
        words = ["ffmpeg", *before.split(), "-i", _quoted(source), "-an", *after.split()]
        if filters:
            words += ["-vf", _quoted(filters)]
        words += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1"]
        if self.bitrate_bps is not None:
            words += ["-b:v", str(self.bitrate_bps)]
        for name, value in self.x264_options(frame_rate).items():
            words += [f"-{name}", _quoted(value)]
        return " ".join([*words, "-movflags", "+faststart", _quoted(output)])


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"

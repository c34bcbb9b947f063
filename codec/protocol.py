"""`FrameSource`: what a video file, a live input and a folder of frames have in common."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from .frame import Frame, MotionAbsence
from .reading import ColourTags


@runtime_checkable
class FrameSource(Protocol):
    """An open source of frames: an iterator over them in display order, one pass in constant memory, to be closed.

    Leaving it as a context manager closes it. What it says of itself holds from the moment it is open, unless a
    property says otherwise.
    """

    @property
    def name(self) -> str:
        """What the user called it, for messages."""

    @property
    def codec_name(self) -> str:
        """FFmpeg's name of the codec ('h264', 'hevc'), or 'images'."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the first frame as displayed; a later frame of another size has its own."""

    @property
    def sample_aspect(self) -> Fraction | None:
        """Width of a pixel by its height as displayed; None where the source says nothing."""

    @property
    def colour(self) -> ColourTags:
        """How the source's YUV is to be read, as it says itself; transfer and primaries are those of RGB images too."""

    @property
    def frame_rate(self) -> Fraction:
        """Average frames per second."""

    @property
    def time_base(self) -> Fraction:
        """The unit in seconds of every frame's `pts`."""

    @property
    def frame_count(self) -> int | None:
        """Number of frames by the source's own account, None where it gives none."""

    @property
    def duration_seconds(self) -> float | None:
        """Length in seconds by the source's own account, None where it gives none."""

    @property
    def motion_absence(self) -> MotionAbsence | None:
        """Why its vectors cannot be read as motion to the previous frame, as judged so far; None where they can."""

    @property
    def stream_choice(self) -> str:
        """Which of several streams is read, and which are not, in a few words; empty where there is no choice."""

    @property
    def decode_errors(self) -> int:
        """Packets so far that the decoder refused."""

    def __iter__(self) -> Iterator[Frame]: ...

    def __next__(self) -> Frame: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Let go of the source."""

"""`LiveVideo`: a stream that comes at its own pace, connected again where it stalls or drops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType

from ...codec import CodecError, ColourTags, CompressedVideo, Frame, MotionAbsence, SourceError

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 8.0


@dataclass(frozen=True)
class Gap:
    """A time without frames: after how many frames, how many seconds by the clock, why, and how often it was tried to
    connect again (0 where the stream went on by itself)."""

    after_frames: int
    seconds: float
    cause: str
    attempts: int

    def __str__(self) -> str:
        how = f"connected again at attempt {self.attempts}" if self.attempts else "it went on by itself"
        return f"gap of {self.seconds:.1f} s after {self.after_frames} frames: {self.cause}; {how}"


class LiveVideo(Iterator[Frame]):
    """The frames of what `connect` opens, with one count and one time line over all connections.

    A connection that fails, times out or ends without having announced a length is tried again, `reconnect` times in a
    row at most, with pauses that grow from half a second to eight. The first frame after that is a keyframe (what comes
    before it is dropped), and its time is the last frame's plus the gap by the clock; frames without a time follow at
    the stream's rate. `connect` sees to it that a connection fails after `timeout_seconds` without data; one that
    `waits` instead (standard input, a camera) may go on later, which is a gap too. `on_gap` is told of each gap, in the
    reader's thread.

    Raises SourceError where no attempt succeeds, or the stream comes back in another size.
    """

    def __init__(
        self,
        connect: Callable[[], CompressedVideo],
        *,
        reconnect: int,
        timeout_seconds: float,
        waits: bool = False,
        on_gap: Callable[[Gap], None] = lambda _: None,
    ) -> None:
        self._connect, self._reconnect, self._timeout = connect, reconnect, timeout_seconds
        self._waits, self.on_gap = waits, on_gap
        self._video = connect()
        self.name, self.codec_name = self._video.name, self._video.codec_name
        self.size_hw, self.frame_rate = self._video.size_hw, self._video.frame_rate
        self.frame_count, self.duration_seconds = self._video.frame_count, self._video.duration_seconds
        self._is_endless = self.frame_count is None and self.duration_seconds is None
        self.gaps: list[Gap] = []
        self.connections = 1
        self._errors_before = 0
        self._count = 0
        self.time_base = self._video.time_base
        self._offset: Fraction | None = Fraction(0)
        self._last_time = Fraction(0)
        self._last_clock = time.monotonic()  # when data came last
        self._is_stalled = False
        self._is_closing = threading.Event()

    @property
    def decode_errors(self) -> int:
        """Packets so far, of all connections, that the decoder refused."""
        return self._errors_before + self._video.decode_errors

    @property
    def sample_aspect(self) -> Fraction | None:
        """Width of a pixel by its height, of the present connection; None where it says nothing."""
        return self._video.sample_aspect

    @property
    def colour(self) -> ColourTags:
        """How the present connection's YUV is to be read, as it says itself."""
        return self._video.colour

    @property
    def stream_choice(self) -> str:
        """Which of the present connection's streams is read, and which are not, in a few words."""
        return self._video.stream_choice

    @property
    def motion_absence(self) -> MotionAbsence | None:
        """Why the present connection's vectors cannot be read as motion to the previous frame; None where they can."""
        return self._video.motion_absence

    def __enter__(self) -> LiveVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the stream, and stop trying to connect."""
        self._is_closing.set()
        self._video.close()

    def __next__(self) -> Frame:
        begin = time.monotonic()
        try:
            frame = next(self._video)
        except StopIteration:
            if not (self._reconnect and self._is_endless):
                raise
            return self._again("the stream ended")
        except SourceError as error:
            if not self._reconnect:
                raise
            return self._again(_cause(error))
        waited = time.monotonic() - begin
        if waited > self._timeout:
            if self._waits:
                self._note(Gap(self._count, round(waited, 3), "nothing came", 0))
            else:
                self._is_stalled = True  # the connection fails now; this is what the decoder still held
        if not self._is_stalled:
            self._last_clock = time.monotonic()
        return self._placed(frame, 1 / self.frame_rate)

    def _note(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self.on_gap(gap)

    def _again(self, cause: str) -> Frame:
        """The first keyframe of a new connection."""
        pause, why = _FIRST_PAUSE_SECONDS, cause
        self._errors_before += self._video.decode_errors
        self._video.close()
        for attempt in range(1, self._reconnect + 1):
            if self._is_closing.wait(pause):
                raise SourceError(f"{self.name}: {cause}; it was closed while connecting again")
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            try:
                self._video = self._connect()
                frame = self._first_keyframe()
            except CodecError as error:
                self._video.close()
                why = _cause(error)
                continue
            if frame.size_hw != self.size_hw:
                (height, width), (h, w) = self.size_hw, frame.size_hw
                raise SourceError(f"{self.name}: came back as {w}x{h} after {width}x{height}; restart to read it")
            self.connections += 1
            now = time.monotonic()
            self._note(Gap(self._count, round(now - self._last_clock, 3), cause, attempt))
            step = Fraction(now - self._last_clock).limit_denominator(1_000_000)
            self._last_clock, self._offset, self._is_stalled = now, None, False
            return self._placed(frame, step)
        raise SourceError(
            f"{self.name}: {cause}, and {self._reconnect} attempts to connect again failed ({why}); check the source, "
            "or give a higher --reconnect"
        )

    def _first_keyframe(self) -> Frame:
        """The connection's first keyframe; SourceError where none comes within the timeout."""
        deadline = time.monotonic() + self._timeout
        for frame in self._video:
            if frame.is_keyframe:
                return frame
            if time.monotonic() > deadline:
                break
        raise SourceError(f"{self.name}: no keyframe came; give a higher --timeout")

    def _placed(self, frame: Frame, step: Fraction) -> Frame:
        """The frame as one of all connections' frames, `step` seconds after the last where nothing else tells."""
        expected = self._last_time + step if self._count else Fraction(0)
        if frame.pts is None:
            at, self._offset = expected, None
        else:
            source_time = frame.pts * frame.time_base
            if self._offset is None:
                self._offset = expected - source_time
            at = source_time + self._offset
        if self._count:
            at = max(at, self._last_time + self.time_base)
        placed = replace(frame, index=self._count, pts=round(at / self.time_base), time_base=self.time_base)
        self._last_time = at
        self._count += 1
        return placed


def _cause(error: Exception) -> str:
    """What an error says in its parentheses, where the codec puts FFmpeg's reason, or all of it."""
    text = str(error)
    inner = text[text.find("(") + 1 : text.rfind(")")]
    return inner or text

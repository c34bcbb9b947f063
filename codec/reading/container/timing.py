"""`TimeLine`: when each picture is shown, where containers give no times, decode times only, or a clock that jumps."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.video.stream import VideoStream

from .selection import MOST_FRAMES_A_SECOND, average_rate, is_avi_stream

_NO_TIMES, _MAY_JUMP = 0x80, 0x200  # AVFMT_NOTIMESTAMPS, AVFMT_TS_DISCONT
_WRAP = 1 << 33  # MPEG-2 systems count 90 kHz in 33 bits (ISO/IEC 13818-1)
_LEAP_SECONDS = 10  # FFmpeg's dts_delta_threshold, for formats whose clock may be discontinuous
_LONGEST_GAP_SECONDS = 30 * 3600  # FFmpeg's dts_error_threshold, for all others
_DEFAULT_RATE = Fraction(25)
_ARRIVAL_UNIT = Fraction(1, 90000)
_WAITED_SECONDS = 0.005  # a packet that takes as long was not there yet
_WAITED_AT_FIRST_SECONDS = 0.02
_KEPT = 64  # more than the packets between decoding and display
_GUESSED_TIMES = frozenset({"h264", "hevc"})  # in AVI, FFmpeg makes up presentation times for these
_B = 3


@dataclass(frozen=True)
class TimeJump:
    """The source's clock jumped by `seconds` (negative: back) before frame `index`; the frames' times go on without."""

    index: int
    seconds: float


@dataclass
class _Packet:
    """What one packet says of time; `epoch` counts the places where the decoding clock broke."""

    index: int
    pts: int | None
    dts: int | None
    epoch: int


class TimeLine:
    """Gives pictures, in display order, times in units of `time_base` that rise strictly.

    The container's presentation times are kept as they are, save for these faults. *No times at all* (raw streams,
    multipart JPEG): pictures follow at `rate`, the user's, else the one that the stream's headers state, else 25 a
    second; where neither is known and `opened_at` is given, the clock's time when opening began, they get the times at
    which they arrived after that. *Decode times only* (AVI): the times that pending packets have, in rising order. *A
    clock that jumps* back by a frame or more, or ahead by more than ten seconds in a format whose clock may do so
    (MPEG-TS, HLS, Ogg; else 30 hours): the picture follows the one before it by its duration, later ones move with it,
    and `jumps` tells. Wraps of the 33-bit clock of MPEG systems are no jumps. A lone picture that does not rise is
    moved behind the last one, and counted in `repaired`.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: VideoStream,
        rate: Fraction | None,
        opened_at: float | None = None,
    ) -> None:
        flags = container.format.flags
        self._context = stream.codec_context
        self.is_untimed = is_untimed(container)
        """Whether the source has no times of its own."""
        self._begin = self._known = opened_at or 0.0
        self._is_first = True
        self._arrivals: deque[tuple[av.Packet[VideoStream], float]] = deque()
        is_unknown = self.is_untimed and rate is None and self.stated_rate is None
        self._by_arrival = is_unknown and opened_at is not None
        self._rate = average_rate(stream) or _DEFAULT_RATE
        if self.is_untimed:
            self._rate = rate or self.stated_rate or _DEFAULT_RATE
        self.time_base = Fraction(stream.time_base or 1 / self._rate)
        """The unit of all times, in seconds."""
        if self.is_untimed:
            self.time_base = _ARRIVAL_UNIT if self._by_arrival else 1 / self._rate
        self._is_wrapping = bool(flags & _MAY_JUMP) and self.time_base == Fraction(1, 90000)
        self._leap = _LEAP_SECONDS if flags & _MAY_JUMP else _LONGEST_GAP_SECONDS
        self._leap_ticks = self._ticks(self._leap)
        self._step = max(1, self._ticks(float(1 / self._rate)))  # of one frame at the average rate
        self._ignores_pts = is_avi_stream(stream) and stream.codec_context.name in _GUESSED_TIMES
        self._packets: dict[int, _Packet] = {}
        self._differences: set[int] = set()
        self._pending: list[tuple[int, int]] = []
        self._pending_of: dict[int, None] = {}
        self._clock: int | None = None
        self._has_dts = False  # Matroska has none for the first packets, whose times of display lie ahead of them
        self._epoch = self._seen_epoch = 0
        self._waited = 0.0
        self._offset = 0
        self._last: int | None = None
        self._count = 0
        self.jumps: list[TimeJump] = []
        self.repaired = 0

    @property
    def starts_anywhere(self) -> bool:
        """Whether the time of the first frame means nothing (MPEG-TS, HLS, Ogg): no track is meant to begin late."""
        return self._leap == _LEAP_SECONDS

    @property
    def rate(self) -> Fraction:
        """Average frames a second: the user's where the source has no times, else the source's own account."""
        return self._rate

    @property
    def stated_rate(self) -> Fraction | None:
        """The rate that a stream's own headers give, for sources without times; None where it is none or nonsense."""
        rate = self._context.framerate
        return Fraction(rate) if rate and 1 <= rate <= MOST_FRAMES_A_SECOND else None

    def watch(self, packets: Iterator[av.Packet[VideoStream]]) -> Iterator[av.Packet[VideoStream]]:
        """All of them.

        Where they get the times of their arrival, those that need not be waited for are taken together with the next
        one that is, and handed out then: they came at unknown times since the last one of that kind (while the source
        was opened, or whoever reads was busy), so they share that time evenly.
        """
        failure: BaseException | None = None
        while self._by_arrival and failure is None:
            burst: list[av.Packet[VideoStream]] = []
            waited, enough = 0.0, _WAITED_AT_FIRST_SECONDS if self._is_first else _WAITED_SECONDS
            while failure is None and waited < enough and len(burst) < _KEPT:
                begin = time.monotonic()
                try:
                    burst.append(next(packets))
                except (StopIteration, IndexError, av.FFmpegError) as error:
                    failure = error
                waited = time.monotonic() - begin
            self._share_time(burst)
            yield from burst
        if failure is None:
            yield from packets
        elif isinstance(failure, av.FFmpegError):
            raise failure

    def _share_time(self, burst: list[av.Packet[VideoStream]]) -> None:
        """Times of arrival for packets the last of which came now; the very first one came when opening began."""
        now = time.monotonic()
        for number, packet in enumerate(burst):
            share = number / max(1, len(burst) - 1) if self._is_first else (number + 1) / len(burst)
            self._arrivals.append((packet, self._known + (now - self._known) * share))
        if burst:
            self._known, self._is_first = now, False

    def see(self, index: int, packet: av.Packet[VideoStream], arrival: float, waited: float) -> None:
        """Take packet `index` in decoding order, that came at `arrival` by the clock after `waited` seconds."""
        if self.is_untimed:
            if self._by_arrival:
                at = self._ticks(self._arrived(packet, arrival))
                self._keep(_Packet(index, at, at, 0))
                self._expect(index, at)
            return
        pts, dts = self._unwrapped(packet.pts), self._unwrapped(packet.dts)
        clock = pts if dts is None else dts
        if clock is not None:
            step = packet.duration or self._step
            if self._clock is not None:
                fell = dts is not None and self._has_dts and 2 * (self._clock - dts) >= step
                ahead = clock - self._clock
                if fell or (ahead > self._leap_ticks and ahead > self._ticks(self._leap + waited)):
                    self._epoch += 1
                    self._waited = waited
            self._clock, self._has_dts = clock, dts is not None
        if pts is not None and dts is not None and len(self._differences) < 2:
            self._differences.add(pts - dts)
        self._keep(_Packet(index, pts, dts, self._epoch))
        if not packet.is_discard:
            self._expect(index, dts if self._ignores_pts or pts is None else pts)

    def place(self, picture: av.VideoFrame, index: int) -> TimeJump | None:
        """Set the pts of the next picture, that of packet `index`; the jump before it, if there is one."""
        packet = self._packets.get(index)
        at = self._own_time(picture, packet)
        following = None if self._last is None else self._last + (picture.duration or self._step)
        jump = None
        if at is None:
            at = 0 if following is None else following
        else:
            at += self._offset
            epoch = self._seen_epoch if packet is None else packet.epoch
            if self._last is not None and following is not None and self._is_jump(at, epoch, packet):
                jump = TimeJump(self._count, float((at - following) * self.time_base))
                self.jumps.append(jump)
                self._offset += following - at
                at = following
            self._seen_epoch = max(self._seen_epoch, epoch)
        if self._last is not None and at <= self._last:
            at = self._last + 1
            self.repaired += 1
        picture.pts, picture.time_base = at, self.time_base
        self._last = at
        self._count += 1
        return jump

    def _is_jump(self, at: int, epoch: int, packet: _Packet | None) -> bool:
        assert self._last is not None
        if epoch > self._seen_epoch:
            return at <= self._last or at - self._last > self._ticks(self._leap + self._waited)
        is_blind = packet is None or packet.dts is None  # only the times of display themselves can tell then
        return is_blind and self._last - at >= 2 * self._step

    def _own_time(self, picture: av.VideoFrame, packet: _Packet | None) -> int | None:
        if self.is_untimed and not self._by_arrival:
            return self._count
        sorted_time = self._next_pending(picture, packet)
        if self._is_reordered_by_decode_times:
            return sorted_time
        if packet is None:
            return self._unwrapped(picture.pts)
        return packet.dts if self._ignores_pts else packet.pts

    @property
    def _is_reordered_by_decode_times(self) -> bool:
        """Whether the times at hand rise in decoding order though pictures are shown in another."""
        is_constant = self._ignores_pts or self._by_arrival or len(self._differences) < 2
        return is_constant and self._context.has_b_frames > 0

    def _arrived(self, packet: av.Packet[VideoStream], arrival: float) -> float:
        """When a packet came, in seconds after opening began."""
        while self._arrivals:
            known, at = self._arrivals.popleft()
            if known is packet:
                arrival = at
                break
        return arrival - self._begin

    def _keep(self, packet: _Packet) -> None:
        self._packets[packet.index] = packet
        self._packets.pop(packet.index - _KEPT, None)

    def _expect(self, index: int, at: int | None) -> None:
        if at is None:
            return
        heapq.heappush(self._pending, (self._epoch, at))
        self._pending_of[index] = None
        if len(self._pending) > _KEPT:
            del self._pending_of[next(iter(self._pending_of))]
            heapq.heappop(self._pending)

    def _next_pending(self, picture: av.VideoFrame, packet: _Packet | None) -> int | None:
        """The earliest time of packets whose pictures are still to come; those before a break of the clock first."""
        if packet is None or packet.index not in self._pending_of:
            return None
        if picture.pict_type != _B:  # what was decoded before it is shown by now, or lost
            for lost in [other for other in self._pending_of if other < packet.index]:
                del self._pending_of[lost]
                heapq.heappop(self._pending)
        del self._pending_of[packet.index]
        return heapq.heappop(self._pending)[1]

    def _ticks(self, seconds: float) -> int:
        return round(seconds / self.time_base)

    def _unwrapped(self, at: int | None) -> int | None:
        """The time nearest to the last one that a wrapped clock may mean."""
        if at is None or not self._is_wrapping or self._clock is None or abs(self._clock - at) <= _WRAP // 2:
            return at
        return at + round((self._clock - at) / _WRAP) * _WRAP


def is_untimed(container: av.container.InputContainer) -> bool:
    """Whether a format stores no times: raw streams, multipart JPEG, pictures one after the other."""
    name = container.format.name
    return bool(container.format.flags & _NO_TIMES) or name.endswith("_pipe") or name == "image2"

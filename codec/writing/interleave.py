"""Several single-thread encoders that take whole GOPs in turn: parallel, and the same bytes on every run."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.video.stream import VideoStream

from ..reading import ColourTags
from .encoder import H264Encoder, coded_stats
from .rate_clock import RateClock
from .settings import EncodeSettings

_QUEUE_BYTES = 256 << 20


class CodedPacket:
    """A packet in display order with its exact `pts` and `duration`, and the encoder's account of it."""

    __slots__ = ("duration", "packet", "pict_type", "pts", "squared_errors")

    def __init__(self, packet: av.Packet[VideoStream], pts: int, duration: int) -> None:
        self.packet, self.pts, self.duration = packet, pts, duration
        self.pict_type, self.squared_errors = coded_stats(packet)


class InterleavedEncoder:
    """Encodes pictures with `settings.parallel` encoders side by side, GOP g in encoder g modulo their number.

    As GOPs are closed, the packets put back in order are one valid stream. Every encoder sees a shorter video at the
    full bitrate, by a clock without gaps (`RateClock`), its rate control depends on its own pictures only,
    and so the bytes depend on nothing but pictures and settings (the whole file's, not the machine's: number of cores
    and load change the time only). Both hold the rate within the settings' buffer, which is shared out among them.
    """

    def __init__(
        self,
        settings: EncodeSettings,
        size_hw: tuple[int, int],
        time_base: Fraction,
        frame_rate: Fraction,
        *,
        colour: ColourTags,
        sample_aspect: Fraction | None,
        measure: bool,
    ) -> None:
        self._gop = settings.gop
        picture_bytes = size_hw[0] * size_hw[1] * 3 // 2
        places = max(2, min(settings.gop, _QUEUE_BYTES // picture_bytes))
        self._slots: list[_Slot] = []
        for _ in range(settings.parallel):
            encoder = H264Encoder(
                settings,
                size_hw,
                time_base,
                frame_rate,
                colour=colour,
                sample_aspect=sample_aspect,
                measure=measure,
                global_header=True,
            )
            self._slots.append(_Slot(encoder, places, RateClock(settings, frame_rate, time_base)))

    def run(self, pictures: Iterable[tuple[av.VideoFrame, int]]) -> Iterator[CodedPacket]:
        """Encode (picture, duration) pairs, durations in units of the time base; packets in display order."""
        times: deque[tuple[int, int]] = deque()
        given = taken = 0
        for picture, duration in pictures:
            assert picture.pts is not None
            times.append((picture.pts, duration))
            self._slots[given // self._gop % len(self._slots)].put(picture, duration)
            given += 1
            while packet := self._slots[taken // self._gop % len(self._slots)].take():
                yield CodedPacket(packet, *times.popleft())
                taken += 1
        for slot in self._slots:
            slot.finish()
        while taken < given:
            packet = self._slots[taken // self._gop % len(self._slots)].take(wait=True)
            if packet is None:
                raise RuntimeError(f"libx264 returned {taken} of {given} frames")
            yield CodedPacket(packet, *times.popleft())
            taken += 1

    def close(self) -> list[float | None]:
        """Stop the threads and let the encoders go; the mean SSIM of each slot's frames where measured."""
        for slot in self._slots:
            slot.stop()
        return [slot.encoder.close() for slot in self._slots]

    @property
    def frames_of_slots(self) -> list[int]:
        """How many frames each slot has taken."""
        return [slot.count for slot in self._slots]


class _Slot:
    def __init__(self, encoder: H264Encoder, places: int, clock: RateClock) -> None:
        self.encoder = encoder
        self.count = 0
        self._clock = clock
        self._pictures: queue.Queue[tuple[av.VideoFrame, int] | None] = queue.Queue(places)
        self._packets: queue.SimpleQueue[av.Packet[VideoStream] | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._stopped = False
        self._finished = False
        self._thread = threading.Thread(target=self._work, name="gopseg-encoder", daemon=True)
        self._thread.start()

    def put(self, picture: av.VideoFrame, duration: int) -> None:
        self._raise()
        self._pictures.put((picture, self._clock.place(duration)))
        self.count += 1

    def take(self, wait: bool = False) -> av.Packet[VideoStream] | None:
        self._raise()
        try:
            packet = self._packets.get(block=wait)
        except queue.Empty:
            return None
        self._raise()
        return packet

    def finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._pictures.put(None)

    def stop(self) -> None:
        self._stopped = True
        while not self._finished:  # the thread may be waiting for pictures, or we for a place in its queue
            try:
                self._pictures.put_nowait(None)
                self._finished = True
            except queue.Full:
                self._pictures.get()
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """Encode until told to finish; after an error go on emptying the queue, so that no `put` waits forever."""
        while (item := self._pictures.get()) is not None:
            if self._stopped or self._error is not None:
                continue
            try:
                for packet in self.encoder.encode(*item):
                    self._packets.put(packet)
            except BaseException as error:
                self._error = error
                self._packets.put(None)
        if not self._stopped and self._error is None:
            try:
                for packet in self.encoder.flush():
                    self._packets.put(packet)
            except BaseException as error:
                self._error = error
        self._packets.put(None)

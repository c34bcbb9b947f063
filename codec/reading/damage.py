"""Which pictures are damaged or predicted from damaged ones, until decoding has recovered."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ..bitstream import SliceHeader, announces_intra_refresh, recovery_frame_count

_KEPT = 64  # more than the pictures between decoding and display


@dataclass
class _Start:
    """Decoding may begin at packet `index`; pictures are right from packet `right_from` on."""

    index: int
    right_from: int
    is_shown: bool = False


class DamageWatcher:
    """Follows packets in decoding order, and judges their pictures in display order.

    Damage is a packet that the demuxer calls corrupt or the decoder refuses, a picture in which the decoder conceals
    errors, a packet that gives no picture, and a gap in H.264's frame numbers. (H.264 has no checksums: wrong bits that
    decode to something without a contradiction go unseen.) It lasts until a keyframe (IDR picture,
    recovery point, an intra-coded picture in streams that mark nothing) or, with periodic intra refresh, until
    recovery_frame_cnt pictures after a recovery point. Pictures that lead an open GOP's keyframe are damaged if
    what comes before it is. Packets are counted from 0.
    """

    def __init__(self) -> None:
        self._starts: deque[_Start] = deque(maxlen=_KEPT)
        self._not_shown: deque[_Start] = deque(maxlen=2 * _KEPT)
        self._refreshing: list[tuple[_Start, int]] = []
        self._damages: deque[int] = deque(maxlen=_KEPT)
        self._leading: dict[int, int] = {}
        self._lead_start: tuple[int, SliceHeader] | None = None
        self._last_frame_num: int | None = None
        self._is_marked = False
        self.has_intra_refresh = False
        """Whether the stream is refreshed bit by bit: it then has no keyframes but the first, if that."""

    def see(self, index: int, is_keyframe: bool) -> None:
        """Take the next packet of a stream that is not H.264."""
        if is_keyframe:
            self._starts.append(self._start(index))

    def see_h264(self, index: int, units: Sequence[memoryview], headers: Sequence[SliceHeader]) -> None:
        """Take the NAL units of the next packet of an H.264 stream, with its slice headers."""
        count = recovery_frame_count(units)
        if index == 0:
            self.has_intra_refresh = announces_intra_refresh(units)
        self.has_intra_refresh |= bool(count)
        if not headers:
            return
        header = headers[0]
        is_start = header.is_idr or count == 0
        self._is_marked |= index > 0 and is_start
        if not is_start and count is None and header.kind == "I" and all(each.kind == "I" for each in headers):
            is_start = header.sequence.max_references <= 1 or not self._is_marked
        if self._is_gap(header):
            self._damages.append(index - 1 if is_start else index)
        if header.is_reference:
            has_reset = any(command[0] == 5 for command in header.marking or ())
            self._last_frame_num = 0 if has_reset else header.frame_num
            self._refreshing = [(start, left - 1) for start, left in self._refreshing]
        self._see_leading(index, header, is_start)
        if is_start:
            self._starts.append(self._start(index))
            if index == 0 and not header.is_idr:
                self._damages.append(-1)  # the stream is cut here: what this start's leading pictures need is missing
        elif index == 0:
            self._damages.append(0)
        if count:
            self._refreshing.append((self._start(index), count))
        if self._refreshing:
            for start, left in self._refreshing:
                if left <= 0:
                    start.right_from = index
                    self._starts.append(start)
            self._refreshing = [(start, left) for start, left in self._refreshing if left > 0][-_KEPT:]

    def damage(self, index: int) -> None:
        """Note that packet `index` is lost or damaged, and with it whatever is predicted from it.

        Of a picture that leads an open GOP's keyframe that is at most what is shown before the keyframe.
        """
        self._damages.append(self._leading.get(index, index))

    def is_corrupt(self, index: int) -> bool:
        """Whether the picture of packet `index`, the next to be shown, depends on damage so far."""
        if self._not_shown:
            for start in self._not_shown:
                start.is_shown |= start.index == index
            while self._not_shown and self._not_shown[0].is_shown:
                self._not_shown.popleft()
        if not self._damages:
            return False
        last = max((damage for damage in self._damages if damage <= index), default=None)
        if last is None:
            return False
        return not any(start.index > last and start.right_from <= index and start.is_shown for start in self._starts)

    def _start(self, index: int) -> _Start:
        start = _Start(index, index)
        self._not_shown.append(start)
        return start

    def _see_leading(self, index: int, header: SliceHeader, is_start: bool) -> None:
        """Note which pictures come after a keyframe that is no IDR picture, but are shown before it (8.2.1)."""
        if is_start:
            self._lead_start = None if header.is_idr or header.sequence.order_type else (index, header)
        elif self._lead_start is not None:
            start, first = self._lead_start
            limit = 1 << header.sequence.order_bits
            if (header.order_lsb - first.order_lsb) % limit < limit // 2:
                self._lead_start = None  # those behind it in order of display follow
            else:
                self._leading[index] = start - 1
                self._leading.pop(next(iter(self._leading)) if len(self._leading) > _KEPT else -1, None)

    def _is_gap(self, header: SliceHeader) -> bool:
        """Whether reference pictures are missing before this one (7.4.3, frame_num)."""
        if header.is_idr or self._last_frame_num is None or header.sequence.has_frame_num_gaps:
            return False
        limit = 1 << header.sequence.frame_num_bits
        return header.frame_num not in (self._last_frame_num, (self._last_frame_num + 1) % limit)

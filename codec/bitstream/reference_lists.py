"""Which decoded pictures each picture may refer to: the decoded picture buffer, followed header by header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .slices import SliceHeader, Weight

NO_PICTURE = -1
"""Stands in for a picture that was lost or never coded."""


@dataclass(frozen=True)
class Hypothesis:
    """One way in which a block may be predicted: from a picture of list 0, one of list 1, or a weighted sum of both.

    `pictures` are their positions in decode order, None for a list that is not used; the prediction is `scales[0] *
    first + scales[1] * second + offset` (H.264, 8.4.2.3, but for rounding).
    """

    pictures: tuple[int | None, int | None]
    scales: tuple[float, float]
    offset: float = 0.0


@dataclass(frozen=True)
class CodedPicture:
    """What the headers say of one coded picture.

    `decode_index` counts packets from 0; `order` is the picture order count, which rises in display order until the
    next IDR picture; pictures that are no `is_reference` are nobody's reference. `hypotheses` are all ways to predict
    a block of it, those that cost fewer bits first. `stored` are the pictures that later ones may refer to, this one
    included.
    """

    decode_index: int
    order: int
    is_reference: bool
    hypotheses: tuple[Hypothesis, ...] = ()
    stored: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Stored:
    decode_index: int
    frame_num: int
    order: int
    long_index: int | None = None


class DecodedPictures:
    """The decoded picture buffer of an H.264 stream of frames (H.264, 8.2.1, 8.2.4 and 8.2.5), without the pictures."""

    def __init__(self) -> None:
        self._short: list[_Stored] = []
        self._long: dict[int, _Stored] = {}
        self._last_frame_num = 0  # of the reference picture before, as are the order's two parts
        self._last_msb = self._last_lsb = 0
        self._frame_num_before = self._frame_num_offset = 0

    def decode(self, decode_index: int, headers: Sequence[SliceHeader]) -> CodedPicture:
        """Take the slice headers of the next picture, in decode order; the lists as they were when it was decoded.

        Of field pictures, and of pictures without one whole header, nothing is known: they get no hypotheses.
        """
        if not headers or headers[0].is_field:
            return CodedPicture(decode_index, 0, True, (), (*self._stored(), decode_index))
        header = headers[0]
        if header.is_idr:
            self._short.clear()
            self._long.clear()
        elif header.frame_num != self._last_frame_num:
            self._fill_gap(header)
        order = self._order(header)
        hypotheses: dict[Hypothesis, None] = {}
        for each in headers:
            if each.kind != "I":
                hypotheses |= dict.fromkeys(self._hypotheses(each, order))
        if header.is_reference:
            self._mark(header, _Stored(decode_index, header.frame_num, order))
        return CodedPicture(decode_index, order, header.is_reference, tuple(hypotheses), self._stored())

    def _stored(self) -> tuple[int, ...]:
        return tuple(p.decode_index for p in (*self._short, *self._long.values()) if p.decode_index != NO_PICTURE)

    def _fill_gap(self, header: SliceHeader) -> None:
        """Frame numbers that were skipped take places in the sliding window, pictures or not (8.2.5.2)."""
        limit, most = 1 << header.sequence.frame_num_bits, max(1, header.sequence.max_references)
        missing = (header.frame_num - self._last_frame_num - 1) % limit
        for back in range(min(missing, most), 0, -1):
            self._slide(header)
            self._short.append(_Stored(NO_PICTURE, (header.frame_num - back) % limit, 0))
        if missing:
            self._last_frame_num = (header.frame_num - 1) % limit

    def _order(self, header: SliceHeader) -> int:
        """The picture order count of a frame (8.2.1): the lesser of its fields'."""
        sequence, deltas = header.sequence, header.order_deltas
        if sequence.order_type == 0:
            if header.is_idr:
                self._last_msb = self._last_lsb = 0
            limit = 1 << sequence.order_bits
            step, msb = header.order_lsb - self._last_lsb, self._last_msb
            msb += limit if step <= -limit // 2 else -limit if step > limit // 2 else 0
            if header.is_reference:
                self._last_msb, self._last_lsb = msb, header.order_lsb
            return msb + header.order_lsb + min(0, deltas[0])
        if header.is_idr:
            self._frame_num_offset = 0
        elif header.frame_num < self._frame_num_before:
            self._frame_num_offset += 1 << sequence.frame_num_bits
        self._frame_num_before = header.frame_num
        count = self._frame_num_offset + header.frame_num
        if sequence.order_type == 2:
            return 2 * count - (not header.is_reference)
        cycle = sequence.order_cycle
        count = count - (not header.is_reference) if count and cycle else 0
        expected = 0
        if count > 0:
            whole, part = divmod(count - 1, len(cycle))
            expected = whole * sum(cycle) + sum(cycle[: part + 1])
        expected += 0 if header.is_reference else sequence.order_offset
        return expected + deltas[0]

    def _hypotheses(self, header: SliceHeader, order: int) -> list[Hypothesis]:
        lists = self._lists(header, order)
        weights = header.weights if header.weights[0] else None
        single: list[Hypothesis] = []
        for which, entries in enumerate(lists):
            for place, entry in enumerate(entries):
                if entry is None:
                    continue
                scale, offset = _explicit(weights[which][place]) if weights else (1.0, 0.0)
                single.append(
                    Hypothesis((entry.decode_index, None), (scale, 0.0), offset)
                    if which == 0
                    else Hypothesis((None, entry.decode_index), (0.0, scale), offset)
                )
        both: list[Hypothesis] = []
        for i, first in enumerate(lists[0]):
            for j, second in enumerate(lists[1]):
                if first is None or second is None:
                    continue
                scales, offset = (0.5, 0.5), 0.0
                if weights:
                    (scale0, offset0), (scale1, offset1) = _explicit(weights[0][i]), _explicit(weights[1][j])
                    scales, offset = (scale0 / 2, scale1 / 2), (offset0 + offset1) / 2
                elif header.bipred_mode == 2:
                    scales = _implicit(order, first, second)
                both.append(Hypothesis((first.decode_index, second.decode_index), scales, offset))
        return single + both

    def _lists(self, header: SliceHeader, order: int) -> tuple[list[_Stored | None], list[_Stored | None]]:
        """Both reference lists; None for entries that no decoded picture stands behind."""
        limit = 1 << header.sequence.frame_num_bits

        def number(picture: _Stored) -> int:  # PicNum
            return picture.frame_num - limit if picture.frame_num > header.frame_num else picture.frame_num

        long = [self._long[index] for index in sorted(self._long)]
        initial: tuple[list[_Stored], list[_Stored]]
        if header.kind == "P":
            initial = (sorted(self._short, key=number, reverse=True) + long, [])
        else:
            known = [picture for picture in self._short if picture.decode_index != NO_PICTURE]
            before = sorted((p for p in known if p.order < order), key=lambda p: p.order, reverse=True)
            after = sorted((p for p in known if p.order > order), key=lambda p: p.order)
            initial = (before + after + long, after + before + long)
            if len(initial[1]) > 1 and initial[0] == initial[1]:
                initial[1][:2] = initial[1][1::-1]
        result: tuple[list[_Stored | None], list[_Stored | None]] = ([], [])
        for which in (0, 1):
            entries: list[_Stored | None] = list(initial[which][: header.active[which]])
            entries += [None] * (header.active[which] - len(entries))
            prediction, place = header.frame_num, 0
            for command, value in header.changes[which]:
                if command == 2:
                    found = self._long.get(value)
                else:
                    prediction = (prediction + (value + 1) * (1 if command else -1)) % limit
                    wanted = prediction - limit if prediction > header.frame_num else prediction
                    found = next((p for p in self._short if number(p) == wanted), None)
                if found is None or place >= len(entries):
                    continue
                rest = [entry for entry in entries[place:] if entry != found]
                entries[place:] = [found, *rest][: len(entries) - place]
                place += 1
            result[which].extend(None if e is None or e.decode_index == NO_PICTURE else e for e in entries)
        return result

    def _mark(self, header: SliceHeader, picture: _Stored) -> None:
        """Take a reference picture into the buffer and let others go (8.2.5)."""
        self._last_frame_num = header.frame_num
        if header.is_idr:
            if header.is_long_term_idr:
                self._long[0] = replace(picture, long_index=0)
            else:
                self._short.append(picture)
            return
        if header.marking is None:
            self._slide(header)
        limit = 1 << header.sequence.frame_num_bits
        for command, first, second in header.marking or ():
            number = (header.frame_num - first - 1) % limit
            if command == 1:
                self._short = [p for p in self._short if p.frame_num != number]
            elif command == 2:
                self._long.pop(first, None)
            elif command == 3:
                for found in [p for p in self._short if p.frame_num == number]:
                    self._short.remove(found)
                    self._long[second] = replace(found, long_index=second)
            elif command == 4:
                self._long = {index: p for index, p in self._long.items() if index < first}
            elif command == 5:
                self._short.clear()
                self._long.clear()
                picture = replace(picture, frame_num=0, order=0)
                self._last_frame_num = self._frame_num_before = self._frame_num_offset = 0
                self._last_msb = self._last_lsb = 0
            elif command == 6:
                picture = replace(picture, long_index=first)
        if picture.long_index is None:
            self._short.append(picture)
        else:
            self._long[picture.long_index] = picture

    def _slide(self, header: SliceHeader) -> None:
        while self._short and len(self._short) + len(self._long) >= max(1, header.sequence.max_references):
            del self._short[0]


def _explicit(weight: Weight) -> tuple[float, float]:
    return weight.scale / (1 << weight.shift), float(weight.offset)


def _implicit(order: int, first: _Stored, second: _Stored) -> tuple[float, float]:
    """Weights by distance in picture order (8.4.2.3.1)."""
    distance = max(-128, min(127, second.order - first.order))
    if distance == 0 or first.long_index is not None or second.long_index is not None:
        return 0.5, 0.5
    part = max(-128, min(127, order - first.order))
    inverse = int((16384 + abs(int(distance / 2))) / distance)
    scale = max(-1024, min(1023, (part * inverse + 32) >> 6)) >> 2
    return (0.5, 0.5) if not -64 <= scale <= 128 else ((64 - scale) / 64, scale / 64)

"""Slice headers and picture parameter sets of H.264, as far as references depend on them (7.3.2.2 and 7.3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .parameter_sets import Bits, SequenceParameters, nal_length_size, parse_sps, split_nal_units

_SLICE, _IDR_SLICE, _SPS, _PPS = 1, 5, 7, 8
_MOST_REFERENCES = 32
_HEADER_BYTES = (48, 1024)  # that hold most slice headers, and all


@dataclass(frozen=True)
class PictureParameters:
    """The part of a picture parameter set that references depend on.

    `active` are the default lengths of both reference lists, `bipred_mode` is weighted_bipred_idc (2: implicit).
    """

    identifier: int
    sequence: int
    has_order_delta: bool
    active: tuple[int, int]
    is_weighted: bool
    bipred_mode: int
    has_redundant_count: bool


@dataclass(frozen=True)
class Weight:
    """Explicit luma weight of one list entry: `(sample * scale >> shift) + offset`."""

    scale: int
    offset: int
    shift: int


@dataclass(slots=True)
class SliceHeader:
    """One slice header.

    `kind` is 'P', 'B' or 'I' (SP and SI count as P and I); `active` the lengths of both lists; `changes` the list
    modification commands (modification_of_pic_nums_idc, value) of each list; `weights` the explicit luma weights of
    each list, empty where there are none; `marking` the memory management commands (operation, value, value), None
    where old references leave by the sliding window. `order_deltas` are delta_pic_order_cnt_bottom or, with
    pic_order_cnt_type 1, delta_pic_order_cnt.
    """

    sequence: SequenceParameters
    kind: str
    is_idr: bool
    is_reference: bool
    frame_num: int
    order_lsb: int
    order_deltas: tuple[int, int]
    is_field: bool
    active: tuple[int, int]
    changes: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
    weights: tuple[tuple[Weight, ...], tuple[Weight, ...]]
    bipred_mode: int
    marking: tuple[tuple[int, int, int], ...] | None
    is_long_term_idr: bool


class SliceReader:
    """Reads the slice headers of a stream's packets, by the parameter sets that came before them."""

    def __init__(self, extradata: bytes | None) -> None:
        self._length_size = nal_length_size(extradata)
        self._sequences: dict[int, SequenceParameters] = {}
        self._pictures: dict[int, PictureParameters] = {}
        if not extradata:
            return
        if self._length_size is None:
            self.read(split_nal_units(extradata, None))
            return
        at = 6
        for count in (extradata[5] & 31, None):  # avcC (ISO/IEC 14496-15): sequence, then picture parameter sets
            if count is None:
                count, at = (extradata[at] if at < len(extradata) else 0), at + 1
            for _ in range(count):
                size = int.from_bytes(extradata[at : at + 2], "big")
                self._take_parameters(extradata[at + 2 : at + 2 + size])
                at += 2 + size

    def read(self, units: Iterable[memoryview]) -> list[SliceHeader]:
        """The headers of the primary slices among a packet's NAL units; those are left out that are damaged or lack
        their parameters."""
        headers = []
        for unit in units:
            kind = unit[0] & 31 if len(unit) > 1 else 0
            if kind in (_SLICE, _IDR_SLICE):
                header = self._header_of(unit)
                if header is not None:
                    headers.append(header)
            elif kind in (_SPS, _PPS):
                self._take_parameters(bytes(unit))
        return headers

    def _header_of(self, unit: memoryview) -> SliceHeader | None:
        for most in _HEADER_BYTES:
            try:
                return self._header(unit[0], Bits(bytes(unit[:most])))
            except EOFError:
                if len(unit) <= most:
                    break
            except KeyError:
                break
        return None

    def _take_parameters(self, unit: bytes) -> None:
        if not unit:
            return
        if unit[0] & 31 == _SPS:
            sequence = parse_sps(unit)
            if sequence is not None:
                self._sequences[sequence.identifier] = sequence
        elif unit[0] & 31 == _PPS:
            try:
                picture = _parse_pps(Bits(unit))
            except EOFError:
                return
            self._pictures[picture.identifier] = picture

    def _header(self, first: int, bits: Bits) -> SliceHeader | None:
        """The header in a NAL unit that has this `first` byte; None where the slice is redundant."""
        is_idr, is_reference = first & 31 == _IDR_SLICE, first >> 5 & 3 > 0
        bits.ue()  # first_mb_in_slice
        kind = "PBIPI"[bits.ue() % 5]
        picture = self._pictures[bits.ue()]
        sequence = self._sequences[picture.sequence]
        if sequence.has_separate_planes:
            bits.u(2)
        frame_num = bits.u(sequence.frame_num_bits)
        is_field = not sequence.is_frames_only and bool(bits.u(1))
        if is_field:
            bits.u(1)
        if is_idr:
            bits.ue()
        order_lsb, order_deltas = _read_order(bits, sequence, picture.has_order_delta and not is_field)
        if picture.has_redundant_count and bits.ue():
            return None
        active = picture.active
        if kind == "B":
            bits.u(1)
        if kind != "I" and bits.u(1):
            active = bits.ue() + 1, bits.ue() + 1 if kind == "B" else 0
        active = (active[0] if kind != "I" else 0), (active[1] if kind == "B" else 0)
        if max(active) > _MOST_REFERENCES:
            raise EOFError
        changes = (_read_changes(bits) if kind != "I" else ()), (_read_changes(bits) if kind == "B" else ())
        weights: tuple[tuple[Weight, ...], tuple[Weight, ...]] = (), ()
        if (kind == "P" and picture.is_weighted) or (kind == "B" and picture.bipred_mode == 1):
            weights = _read_weights(bits, active, sequence.chroma > 0)
        marking, is_long_term_idr = None, False
        if is_reference and is_idr:
            bits.u(1)
            is_long_term_idr = bool(bits.u(1))
        elif is_reference and bits.u(1):
            marking = _read_marking(bits)
        return SliceHeader(
            sequence, kind, is_idr, is_reference, frame_num, order_lsb, order_deltas, is_field, active, changes,
            weights, picture.bipred_mode, marking, is_long_term_idr,
        )  # fmt: skip


def _parse_pps(bits: Bits) -> PictureParameters:
    identifier, sequence = bits.ue(), bits.ue()
    bits.u(1)
    has_order_delta = bool(bits.u(1))
    if bits.ue():
        raise EOFError  # slice groups, which FFmpeg does not decode either
    active = bits.ue() + 1, bits.ue() + 1
    is_weighted, bipred_mode = bool(bits.u(1)), bits.u(2)
    bits.se(), bits.se(), bits.se(), bits.u(2)  # quantisers; deblocking control, constrained intra prediction
    return PictureParameters(identifier, sequence, has_order_delta, active, is_weighted, bipred_mode, bool(bits.u(1)))


def _read_order(bits: Bits, sequence: SequenceParameters, has_delta: bool) -> tuple[int, tuple[int, int]]:
    if sequence.order_type == 0:
        return bits.u(sequence.order_bits), (bits.se() if has_delta else 0, 0)
    if sequence.has_order_deltas:
        return 0, (bits.se(), bits.se() if has_delta else 0)
    return 0, (0, 0)


def _read_changes(bits: Bits) -> tuple[tuple[int, int], ...]:
    changes: list[tuple[int, int]] = []
    if bits.u(1):
        while (command := bits.ue()) != 3:
            changes.append((command, bits.ue()))
    return tuple(changes)


def _read_weights(
    bits: Bits, active: tuple[int, int], has_chroma: bool
) -> tuple[tuple[Weight, ...], tuple[Weight, ...]]:
    shift = bits.ue()
    if shift > 7:
        raise EOFError
    if has_chroma:
        bits.ue()

    def one() -> Weight:
        weight = Weight(bits.se(), bits.se(), shift) if bits.u(1) else Weight(1 << shift, 0, shift)
        if has_chroma and bits.u(1):
            for _ in range(4):
                bits.se()
        return weight

    return tuple(one() for _ in range(active[0])), tuple(one() for _ in range(active[1]))


def _read_marking(bits: Bits) -> tuple[tuple[int, int, int], ...]:
    commands = []
    while command := bits.ue():
        first = bits.ue() if command in (1, 2, 3, 4, 6) else 0
        commands.append((command, first, bits.ue() if command == 3 else 0))
    return tuple(commands)

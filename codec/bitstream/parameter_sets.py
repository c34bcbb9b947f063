"""What H.264 headers say about references, interlacing and cropping (ITU-T H.264, 7.3.1 and 7.3.2.1.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_IDR_TYPE = 5
_SPS_TYPE = 7
_MOST_MACROBLOCKS = 1055  # along one side (A.3.1)
_MOST_REFERENCES = _MOST_BITS = 16
_SLICE_TYPES = frozenset({1, 2, 5})
_EXTENDED_ASPECT = 255
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


@dataclass(frozen=True)
class SequenceParameters:
    """The part of a sequence parameter set that motion depends on.

    `max_references` is max_num_ref_frames; `is_frames_only` frame_mbs_only_flag; `crop_left` and `crop_top` the pixels
    that are cut off the coded picture before it is shown; with `has_frame_num_gaps` reference pictures may have been
    left out on purpose (temporal layers). The rest is what slice headers are read by: `chroma` is ChromaArrayType,
    `order_type` pic_order_cnt_type, `order_bits` the width of pic_order_cnt_lsb; `has_order_deltas`
    is false where delta_pic_order_always_zero_flag is set, `order_offset` is offset_for_non_ref_pic and `order_cycle`
    offset_for_ref_frame. `chroma_location` is chroma_sample_loc_type_top_field of the VUI (E.2.1; 0, left, where none
    is stated).
    """

    profile: int
    max_references: int
    is_frames_only: bool
    crop_left: int
    crop_top: int
    identifier: int
    chroma: int
    has_separate_planes: bool
    frame_num_bits: int
    order_type: int
    has_frame_num_gaps: bool = False
    order_bits: int = 0
    has_order_deltas: bool = False
    order_offset: int = 0
    order_cycle: tuple[int, ...] = ()
    chroma_location: int = 0


def split_nal_units(data: bytes, length_size: int | None) -> list[memoryview]:
    """The NAL units of one packet: length-prefixed with `length_size` bytes (MP4), or Annex B where that is None."""
    view = memoryview(data)
    units: list[memoryview] = []
    if length_size is None:
        start = data.find(b"\0\0\1")
        while start >= 0:
            end = data.find(b"\0\0\1", start + 3)
            units.append(view[start + 3 : end if end >= 0 else len(data)])
            start = end
        return units
    at = 0
    while at + length_size < len(data):
        begin = at + length_size
        at = begin + int.from_bytes(data[at:begin], "big")
        units.append(view[begin:at])
    return units


def nal_length_size(extradata: bytes | None) -> int | None:
    """Bytes of the length prefix that `avcC` extradata announces; None for Annex B or no extradata."""
    return (extradata[4] & 3) + 1 if extradata and len(extradata) > 6 and extradata[0] == 1 else None


def parameters_of_extradata(extradata: bytes | None) -> SequenceParameters | None:
    """The first sequence parameter set of a decoder's extradata, `avcC` (ISO/IEC 14496-15) or Annex B; None if none."""
    if not extradata:
        return None
    if nal_length_size(extradata) is None:
        return parameters_of_packet(split_nal_units(extradata, None))
    size = int.from_bytes(extradata[6:8], "big")
    return parse_sps(extradata[8 : 8 + size]) if extradata[5] & 31 else None


def parameters_of_packet(units: Iterable[memoryview]) -> SequenceParameters | None:
    """The first sequence parameter set among a packet's NAL units, or None."""
    for unit in units:
        if len(unit) > 4 and unit[0] & 31 == _SPS_TYPE:
            return parse_sps(bytes(unit))
    return None


def is_reference(units: Iterable[memoryview]) -> bool:
    """Whether later pictures may refer to the one of these NAL units: nal_ref_idc of its first slice (7.4.1)."""
    for unit in units:
        if len(unit) and unit[0] & 31 in _SLICE_TYPES:
            return bool(unit[0] >> 5 & 3)
    return True


def is_instantaneous_refresh(units: Iterable[memoryview]) -> bool:
    """Whether the picture of these NAL units is an IDR picture, before which nothing is referred to (7.4.1.2.4)."""
    return any(len(unit) and unit[0] & 31 == _IDR_TYPE for unit in units)


def parse_sps(unit: bytes) -> SequenceParameters | None:
    """Parse a sequence parameter set, NAL header included; None where it is damaged."""
    try:
        return _parse(Bits(unit))
    except EOFError:
        return None


class Bits:
    """Bits of a NAL unit after its header byte, most significant first, with Exp-Golomb codes (H.264, 7.3.1 and 9.1).

    Reading past the end raises EOFError.
    """

    def __init__(self, unit: bytes) -> None:
        data = unit[1:].replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def u(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb code."""
        left = self._left
        rest = self._value & ((1 << left) - 1)
        length = rest.bit_length()  # of the code without its zeros, and of all after it
        self._left = left = 2 * length - left - 1
        if not length or left < 0:
            raise EOFError
        return (rest >> left) - 1

    def se(self) -> int:
        """A signed Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _parse(bits: Bits) -> SequenceParameters:
    profile = bits.u(8)
    bits.u(16)  # constraint flags and level
    identifier = bits.ue()
    chroma, separate = 1, 0
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            separate = bits.u(1)
        bits.ue(), bits.ue(), bits.u(1)  # bit depths, lossless flag
        if bits.u(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    frame_num_bits = bits.ue() + 4
    order_type = bits.ue()
    order_bits = order_offset = always_zero = 0
    cycle: list[int] = []
    if order_type == 0:
        order_bits = bits.ue() + 4
    elif order_type == 1:
        always_zero, order_offset, _ = bits.u(1), bits.se(), bits.se()
        cycle = [bits.se() for _ in range(bits.ue())]
    references = bits.ue()
    has_gaps = bits.u(1)
    width, height = bits.ue() + 1, bits.ue() + 1  # in macroblocks
    frames_only = bits.u(1)
    if not frames_only:
        bits.u(1)
    bits.u(1)  # direct_8x8_inference
    left = right = top = bottom = 0
    if bits.u(1):
        left, right, top, bottom = (bits.ue() for _ in range(4))
    chroma = 0 if separate else chroma
    unit_x, unit_y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1) * (2 - frames_only)
    is_sound = (
        max(width, height) <= _MOST_MACROBLOCKS
        and (left + right) * unit_x < 16 * width
        and (top + bottom) * unit_y < 16 * height * (2 - frames_only)
        and references <= _MOST_REFERENCES
        and max(frame_num_bits, order_bits) <= _MOST_BITS
    )
    if not is_sound:
        raise EOFError
    chroma_location = _chroma_location(bits)
    return SequenceParameters(
        profile=profile,
        max_references=references,
        is_frames_only=bool(frames_only),
        crop_left=left * unit_x,
        crop_top=top * unit_y,
        identifier=identifier,
        chroma=chroma,
        has_separate_planes=bool(separate),
        frame_num_bits=frame_num_bits,
        has_frame_num_gaps=bool(has_gaps),
        order_type=order_type,
        order_bits=order_bits,
        has_order_deltas=order_type == 1 and not always_zero,
        order_offset=order_offset,
        order_cycle=tuple(cycle),
        chroma_location=chroma_location,
    )


def _chroma_location(bits: Bits) -> int:
    """What the VUI says of where chroma lies (E.1.1), from vui_parameters_present_flag on."""
    try:
        if not bits.u(1):
            return 0
        if bits.u(1) and bits.u(8) == _EXTENDED_ASPECT:
            bits.u(32)
        if bits.u(1):
            bits.u(1)  # overscan_appropriate_flag
        if bits.u(1):
            bits.u(4)  # video_format, video_full_range_flag
            if bits.u(1):
                bits.u(24)  # colour_primaries, transfer_characteristics, matrix_coefficients
        return bits.ue() if bits.u(1) else 0
    except EOFError:
        return 0


def _skip_scaling_list(bits: Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            following = (last + bits.se()) % 256
        last = following or last

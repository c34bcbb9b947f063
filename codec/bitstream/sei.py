"""Supplemental enhancement information that tells where decoding may begin (ITU-T H.264, annex D)."""

from __future__ import annotations

from collections.abc import Iterator

from .parameter_sets import Bits, split_nal_units

_SEI_TYPE = 6
_USER_DATA, _RECOVERY_POINT = 5, 6


def recovery_frame_count(packet: bytes, length_size: int | None) -> int | None:
    """recovery_frame_cnt of the packet's recovery point (D.1.8): frames until pictures are right; None if none."""
    for kind, payload in _payloads(packet, length_size):
        if kind == _RECOVERY_POINT:
            try:
                return Bits(b"\0" + payload).ue()
            except EOFError:
                return None
    return None


def announces_intra_refresh(packet: bytes, length_size: int | None) -> bool:
    """Whether x264's account of its settings, in the first packet, says that it codes no further keyframes."""
    return any(kind == _USER_DATA and b"intra_refresh=1" in payload for kind, payload in _payloads(packet, length_size))


def _payloads(packet: bytes, length_size: int | None) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of each message."""
    for unit in split_nal_units(packet, length_size):
        if len(unit) < 3 or unit[0] & 31 != _SEI_TYPE:
            continue
        data = bytes(unit[1:]).replace(b"\0\0\3", b"\0\0")
        at = 0
        while at + 2 <= len(data):
            numbers = []
            for _ in range(2):
                number = 0
                while at < len(data) and data[at] == 0xFF:
                    number, at = number + 255, at + 1
                numbers.append(number + (data[at] if at < len(data) else 0))
                at += 1
            kind, size = numbers
            yield kind, data[at : at + size]
            at += size

"""Supplemental enhancement information that tells where decoding may begin (ITU-T H.264, annex D)."""

from __future__ import annotations

from collections.abc import Iterable

from .parameter_sets import Bits

_SEI_TYPE = 6
_USER_DATA, _RECOVERY_POINT = 5, 6


def recovery_frame_count(units: Iterable[memoryview]) -> int | None:
    """recovery_frame_cnt of the recovery point among a packet's NAL units (D.1.8): frames until pictures are right;
    None if there is none."""
    for unit in units:
        for kind, payload in _payloads(unit):
            if kind == _RECOVERY_POINT:
                try:
                    return Bits(b"\0" + payload).ue()
                except EOFError:
                    return None
    return None


def announces_intra_refresh(units: Iterable[memoryview]) -> bool:
    """Whether x264's account of its settings, in the first packet, says that it codes no further keyframes."""
    return any(
        kind == _USER_DATA and b"intra_refresh=1" in payload for unit in units for kind, payload in _payloads(unit)
    )


def _payloads(unit: memoryview) -> list[tuple[int, bytes]]:
    """Type and bytes of each message of a NAL unit, none if it holds something else."""
    found: list[tuple[int, bytes]] = []
    if len(unit) < 3 or unit[0] & 31 != _SEI_TYPE:
        return found
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
        found.append((kind, data[at : at + size]))
        at += size
    return found

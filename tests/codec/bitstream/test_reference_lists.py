"""The decoded picture buffer, followed through headers: hand-worked cases, and what x264 must have done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gopseg.codec import open_video
from gopseg.codec.bitstream.parameter_sets import Bits, SequenceParameters, split_nal_units
from gopseg.codec.bitstream.reference_lists import CodedPicture, DecodedPictures
from gopseg.codec.bitstream.slices import PictureParameters, SliceHeader, SliceReader, Weight

SEQUENCE = SequenceParameters(
    profile=77,
    max_references=3,
    is_frames_only=True,
    crop_left=0,
    crop_top=0,
    identifier=0,
    chroma=1,
    has_separate_planes=False,
    frame_num_bits=4,
    order_type=0,
    order_bits=6,
)
P = SliceHeader(
    sequence=SEQUENCE,
    kind="P",
    is_idr=False,
    is_reference=True,
    frame_num=0,
    order_lsb=0,
    order_deltas=(0, 0),
    is_field=False,
    active=(3, 0),
    changes=((), ()),
    weights=((), ()),
    bipred_mode=0,
    marking=None,
    is_long_term_idr=False,
)
IDR = replace(P, kind="I", is_idr=True, active=(0, 0))


def decode(*headers: SliceHeader) -> list[CodedPicture]:
    buffer = DecodedPictures()
    return [buffer.decode(index, [header]) for index, header in enumerate(headers)]


def ps(*frame_nums: int, **changes: Any) -> list[SliceHeader]:
    return [replace(P, frame_num=n % 16, order_lsb=2 * n % 64, **changes) for n in frame_nums]


def lists(picture: CodedPicture) -> tuple[list[int], list[int]]:
    """The pictures of list 0 and of list 1, in their order."""
    first = [h.pictures[0] for h in picture.hypotheses if h.pictures[1] is None]
    second = [h.pictures[1] for h in picture.hypotheses if h.pictures[0] is None]
    return [p for p in first if p is not None], [p for p in second if p is not None]


def test_the_nearest_pictures_come_first_and_the_oldest_leaves() -> None:
    pictures = decode(IDR, *ps(*range(1, 40)))
    assert [lists(p)[0] for p in pictures[:5]] == [[], [0], [1, 0], [2, 1, 0], [3, 2, 1]]
    assert all(lists(p)[0] == [n - 1, n - 2, n - 3] for n, p in enumerate(pictures) if n > 2)  # frame_num wraps twice
    assert pictures[39].stored == (37, 38, 39)
    assert [p.order for p in pictures] == [2 * n for n in range(40)]


def test_an_idr_picture_empties_the_buffer() -> None:
    pictures = decode(IDR, *ps(1, 2), IDR, *ps(1))
    assert pictures[3].stored == (3,)
    assert lists(pictures[4])[0] == [3]


def test_b_pictures_look_both_ways() -> None:
    b = replace(P, kind="B", is_reference=False, active=(2, 2), frame_num=3)
    pictures = decode(
        IDR,
        replace(P, frame_num=1, order_lsb=8),
        replace(P, frame_num=2, order_lsb=16),
        replace(b, order_lsb=4, bipred_mode=2),
        replace(b, order_lsb=12),
    )
    assert lists(pictures[3]) == ([0, 1], [1, 2])
    assert lists(pictures[4]) == ([1, 0], [2, 1])
    weights = {h.pictures: h.scales for h in pictures[3].hypotheses if None not in h.pictures}
    assert weights[0, 1] == (0.5, 0.5)
    assert weights[0, 2] == (0.75, 0.25)  # a quarter of the way from 0 to 16
    assert {h.scales for h in pictures[4].hypotheses if None not in h.pictures} == {(0.5, 0.5)}
    assert not pictures[4].is_reference
    assert pictures[4].stored == (0, 1, 2)


def test_equal_lists_have_their_first_entries_swapped() -> None:
    b = replace(P, kind="B", is_reference=False, active=(2, 2), frame_num=3, order_lsb=20)
    assert lists(decode(IDR, *ps(1, 2), b)[3]) == ([2, 1], [1, 2])


def test_lists_are_modified_by_difference_of_frame_numbers() -> None:
    wanted = replace(P, frame_num=3, changes=(((0, 2), (1, 0)), ()))  # 3 before this one: 0; then one after that: 1
    assert lists(decode(IDR, *ps(1, 2), wanted)[3])[0] == [0, 1, 2]


def test_an_entry_may_be_there_twice_with_two_weights() -> None:
    twice = replace(
        P,
        frame_num=2,
        active=(2, 0),
        changes=(((0, 0), (0, 15)), ()),
        weights=((Weight(64, 0, 6), Weight(48, 5, 6)), ()),
    )
    found = decode(IDR, *ps(1), twice)[2].hypotheses
    assert [(h.pictures[0], h.scales[0], h.offset) for h in found] == [(1, 1.0, 0), (1, 0.75, 5)]


def test_memory_management() -> None:
    kept = replace(ps(2)[0], marking=((3, 1, 4),))  # picture 0, two frames before, becomes long-term number 4
    dropped = replace(ps(3)[0], marking=((1, 0, 0),))  # forget the frame before
    pictures = decode(IDR, *ps(1), kept, dropped, *ps(4, 5), replace(ps(6)[0], marking=((2, 4, 0),)), *ps(7))
    assert pictures[2].stored == (1, 2, 0)
    assert pictures[3].stored == (1, 3, 0)
    assert lists(pictures[4])[0] == [3, 1, 0]
    assert lists(pictures[5])[0] == [4, 3, 0]
    assert 0 not in pictures[6].stored
    assert lists(pictures[7])[0] == [6, 5, 4]


def test_everything_can_be_forgotten() -> None:
    pictures = decode(IDR, *ps(1), replace(ps(2)[0], marking=((5, 0, 0),)), *ps(1))
    assert pictures[2].stored == (2,)
    assert lists(pictures[3])[0] == [2]


def test_lost_pictures_leave_their_places_empty() -> None:
    pictures = decode(IDR, *ps(1, 2), *ps(4))
    assert lists(pictures[3])[0] == [2, 1]
    assert decode(IDR, *ps(1, 2), *ps(9))[3].stored == (3,)


def test_pictures_without_a_header_keep_the_buffer() -> None:
    buffer = DecodedPictures()
    buffer.decode(0, [IDR])
    damaged = buffer.decode(1, [])
    assert (damaged.hypotheses, damaged.stored) == ((), (0, 1))
    assert buffer.decode(2, ps(1)).stored == (0, 2)


@pytest.mark.parametrize(("order_type", "last"), [(1, 3), (2, 5)])
def test_orders_without_a_counter(order_type: int, last: int) -> None:
    sequence = replace(SEQUENCE, order_type=order_type, order_cycle=(2,) if order_type == 1 else (), order_offset=-1)
    headers = [replace(h, sequence=sequence) for h in (IDR, *ps(1, 2))]
    b = replace(headers[2], is_reference=False, frame_num=3)
    assert [p.order for p in decode(*headers, b)] == [0, 2, 4, last]


X264 = {
    "defaults": "",
    "pyramid": "b-pyramid=strict:bframes=7:ref=5:b-adapt=0",
    "no pyramid": "b-pyramid=none:bframes=2",
    "open": "open-gop=1:bframes=3:b-adapt=0",
    "slices": "slices=3:ref=4",
    "p only": "bframes=0:ref=6",
}


@pytest.mark.parametrize("container", ["mp4", "h264"])
@pytest.mark.parametrize("name", X264)
def test_streams_of_x264(make: Any, name: str, container: str) -> None:
    path = make.clip(
        f"lists {name}.{container}", make.sliding(96, 128, 36, (3, 2)), options={"x264-params": X264[name]}, gop=12
    )
    with open_video(path, references=True) as video:
        frames = list(video)
        most = video.reference_frames
    assert most is not None
    assert sorted(f.decode_index for f in frames) == list(range(36))
    shown = {f.decode_index: f for f in frames}
    before: set[int] = set()
    for index in range(36):
        coded = shown[index].coded
        assert coded is not None
        first, second = lists(coded)
        assert {*first, *second} <= before
        assert len(coded.stored) <= most
        if shown[index].pict_type == "P":
            assert first
            assert not second
            assert first[0] == max(i for i in before if shown[i].pict_type != "B")
        elif shown[index].pict_type == "B":  # x264 looks back in list 0 and ahead in list 1
            assert first
            assert second
            assert all(shown[i].index < shown[index].index for i in first)
            assert all(shown[i].index > shown[index].index for i in second)
            assert all(sum(h.scales) == 1 for h in coded.hypotheses)
        before = set(coded.stored)
    orders = [f.coded.order for f in frames if f.coded is not None]
    idr = [f.index for f in frames if f.coded is not None and f.coded.stored == (f.decode_index,)]
    for start, end in zip(idr, [*idr[1:], 36], strict=True):
        assert orders[start:end] == sorted(orders[start:end])


def test_fades_are_weighted(make: Any) -> None:
    images = make.sliding(96, 128, 12, (1, 0))
    faded = [(image * (1 - 0.06 * i)).astype(np.uint8) for i, image in enumerate(images)]
    path = make.clip("fade.mp4", faded, options={"x264-params": "weightp=2:bframes=0:ref=3", "crf": "18"})
    with open_video(path, references=True) as video:
        frames = list(video)
    scales = {h.scales[0] for f in frames if f.coded for h in f.coded.hypotheses}
    assert min(scales) < 0.97
    for frame in frames[2:]:
        assert frame.references is not None
        assert np.median(frame.references.error) < 2  # unweighted, 6 % of the brightness would be missing


def test_damaged_headers_are_left_out() -> None:
    rng = np.random.default_rng(0)
    reader = SliceReader(None)
    for _ in range(300):
        junk = rng.integers(0, 256, int(rng.integers(1, 60)), np.uint8).tobytes()
        kind = bytes([rng.choice([0x67, 0x68, 0x65, 0x41, 0x01])])
        reader.read(split_nal_units(b"\0\0\1" + kind + junk, None))
    reader = SliceReader(b"\x01\x64\x00\x1f\xff\xe1\x00\x40\x67")
    assert reader.read(split_nal_units(b"\0\0\0\2\x65", 4)) == []


def packed(text: str) -> bytes:
    """Bits, filled up with ones, in a NAL unit of a P-frame."""
    count = -(-len(text) // 8)
    data = int("0" + text.ljust(8 * count, "1"), 2).to_bytes(count, "big")
    return b"\x41" + data.replace(b"\0\0\3", b"\0\0\3\3")


def codes(*numbers: int) -> str:
    return "".join("0" * ((n + 1).bit_length() - 1) + f"{n + 1:b}" for n in numbers)


def test_exp_golomb_codes() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        numbers = [int(2**e) - 1 for e in rng.uniform(0, 20, 12)]
        bits = Bits(packed(codes(*numbers)))
        assert [bits.ue() for _ in numbers] == numbers
        kept = codes(*numbers)[: 8 * int(rng.integers(1, len(codes(*numbers)) // 8 + 1))]
        bits = Bits(packed(kept))
        whole = [n for place, n in enumerate(numbers) if len(codes(*numbers[: place + 1])) <= len(kept)]
        assert [bits.ue() for _ in whole] == whole
        if len(codes(*whole)) < len(kept):  # part of the next code
            with pytest.raises(EOFError):
                bits.ue()
    with pytest.raises(EOFError):
        Bits(b"\x41\0\0").ue()


def test_headers_that_are_longer_than_most() -> None:
    """A long list of marking commands, which ends behind the bytes that are looked at first, and damaged at its end."""
    reader = SliceReader(None)
    reader._sequences[0], reader._pictures[0] = SEQUENCE, PictureParameters(0, 0, False, (1, 0), False, 0, False)

    commands = [(1, 40 + n, 0) for n in range(60)]
    text = codes(0, 0, 0) + "0101" + "000010" + "0" + "0" + "1" + codes(*(v for c in commands for v in c[:2]), 0)
    unit = packed(text)
    assert len(unit) > 64
    (header,) = reader.read([memoryview(unit + bytes(range(1, 200)))])
    assert (header.frame_num, header.order_lsb, header.marking) == (5, 2, tuple(commands))
    assert reader.read([memoryview(unit[:60])]) == []

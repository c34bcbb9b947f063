"""Rotated, mirrored and cropped videos: images, vectors and quantisers agree with what is displayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from gopseg.codec import MotionChain, MotionField, MotionVectors, Orientation, open_video
from gopseg.codec.reading.sidedata import VECTOR_DTYPE

ALL = [Orientation(t, x, y) for t in (False, True) for x in (False, True) for y in (False, True)]


def ids(orientation: Orientation) -> str:
    names = ("transpose", "mirror_x", "mirror_y")
    return "+".join(name for name in names if getattr(orientation, name)) or "upright"


def matrix_bytes(a: int, b: int, c: int, d: int) -> bytes:
    return np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], "<i4").tobytes()


@pytest.mark.parametrize(
    ("matrix", "orientation", "turn", "as_shown"),
    [
        ((1, 0, 0, 1), Orientation(), 0, lambda p: p),
        ((0, 1, -1, 0), Orientation(True, True, False), 90, lambda p: np.rot90(p, -1)),
        ((-1, 0, 0, -1), Orientation(False, True, True), 180, lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), Orientation(True, False, True), 270, lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), Orientation(False, True, False), 0, np.fliplr),
        ((1, 0, 0, -1), Orientation(False, False, True), 180, np.flipud),
        ((0, 1, 1, 0), Orientation(True, False, False), 90, lambda p: p.swapaxes(0, 1)),
        ((0, -1, -1, 0), Orientation(True, True, True), 270, lambda p: np.rot90(p, 2).swapaxes(0, 1)),
    ],
)
def test_the_eight_display_matrices(matrix: Any, orientation: Orientation, turn: int, as_shown: Any) -> None:
    """x' = a x + c y and y' = b x + d y send each pixel where it is shown."""
    assert Orientation.from_display_matrix(matrix_bytes(*matrix)) == orientation
    assert orientation.rotation_degrees == turn
    coded = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    shown = orientation.array(coded)
    assert shown.flags.c_contiguous
    assert np.array_equal(shown, as_shown(coded))
    a, b, c, d = matrix
    for y in range(5):
        for x in range(7):
            to_x, to_y = a * x + c * y, b * x + d * y
            to_x, to_y = to_x % shown.shape[1], to_y % shown.shape[0]  # a negative coordinate counts from the far end
            if a + c < 0:
                to_x = (to_x - 1) % shown.shape[1]
            if b + d < 0:
                to_y = (to_y - 1) % shown.shape[0]
            assert np.array_equal(shown[to_y, to_x], coded[y, x])


def test_no_matrix_and_odd_angles() -> None:
    assert Orientation.from_display_matrix(None).is_identity
    assert Orientation.from_display_matrix(
        np.array([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30], "<i4").tobytes()
    ).is_identity


@pytest.mark.parametrize("size_hw", [(48, 80), (45, 78), (41, 67)])
@pytest.mark.parametrize("orientation", ALL, ids=ids)
def test_vectors_turn_with_the_picture(orientation: Orientation, size_hw: tuple[int, int]) -> None:
    """Rasterising turned vectors is turning what each pixel's block says; cells take their centre's."""
    rng = np.random.default_rng(4)
    height, width = size_hw
    blocks = [(x, y) for y in range(0, height, 16) for x in range(0, width, 16) if rng.random() < 0.8]
    array = np.zeros(len(blocks), VECTOR_DTYPE)
    dense = np.zeros((*size_hw, 2), np.int64)
    known = np.zeros(size_hw, bool)
    for record, (x, y) in zip(array, blocks, strict=True):
        mx, my = rng.integers(-60, 61, 2)
        record["source"], record["w"], record["h"], record["motion_scale"] = -1, 16, 16, 4
        record["dst_x"], record["dst_y"], record["motion_x"], record["motion_y"] = x + 8, y + 8, mx, my
        record["src_x"], record["src_y"] = x + 8 + mx // 4, y + 8 + my // 4
        dense[y : y + 16, x : x + 16] = mx, my
        known[y : y + 16, x : x + 16] = True
    turned = orientation.vectors(MotionVectors(array, size_hw))
    assert turned.size_hw == orientation.size(size_hw)
    field = MotionField.from_vectors(turned)
    shown, is_known = orientation.array(dense), orientation.array(known)
    if orientation.transpose:
        shown = shown[..., ::-1]
    shown = shown * [-1 if orientation.mirror_x else 1, -1 if orientation.mirror_y else 1]
    rows, cols = field.unreferenced.shape
    y, x = (
        np.minimum(np.arange(rows) * 8 + 4, turned.size_hw[0] - 1),
        np.minimum(np.arange(cols) * 8 + 4, turned.size_hw[1] - 1),
    )
    inner = np.s_[: rows - 1, : cols - 1]  # the centre of a last, cut cell may belong to either neighbour
    assert np.array_equal(field.displacement[inner] * 4, shown[np.ix_(y, x)][inner])
    assert np.array_equal(field.unreferenced[inner], ~is_known[np.ix_(y, x)][inner])
    step = np.stack([turned.array["src_x"] - turned.array["dst_x"], turned.array["src_y"] - turned.array["dst_y"]], 1)
    whole = np.stack([turned.array["motion_x"], turned.array["motion_y"]], 1) / 4
    assert np.abs(step - whole).max() < 1


@pytest.mark.parametrize("size_hw", [(144, 176), (150, 202)], ids=["multiple-of-16", "any"])
@pytest.mark.parametrize(
    ("degrees", "hflip", "vflip"), [(0, 1, 0), (0, 0, 1), (-90, 0, 0), (90, 0, 0), (180, 0, 0), (90, 1, 0)]
)
def test_a_turned_video(
    make: Any, tmp_path: Path, size_hw: tuple[int, int], degrees: int, hflip: bool, vflip: bool
) -> None:
    """The same packets with and without a display matrix: all that is read is turned alike, and motion still fits."""
    frames = make.sliding(*size_hw, 8, (3, 2))
    plain = make.clip(f"turn{size_hw[0]}.mp4", frames, profile="ippp")
    path = tmp_path / "turned.mp4"
    with av.open(str(plain)) as opened, av.open(str(path), "w") as written:
        stream = opened.streams.video[0]
        target = written.add_stream_from_template(stream)
        target.set_display_rotation(degrees, hflip=bool(hflip), vflip=bool(vflip))
        for packet in opened.demux(stream):
            if packet.size:
                packet.stream = target
                written.mux(packet)
    with open_video(plain, qp=True) as upright, open_video(path, qp=True) as video:
        matrix = av.open(str(path)).decode(video=0).__next__().side_data["DISPLAYMATRIX"]
        orientation = Orientation.from_display_matrix(bytes(matrix))
        assert not orientation.is_identity
        assert video.rotation_degrees == orientation.rotation_degrees
        assert video.size_hw == orientation.size(size_hw)
        if not (hflip or vflip):
            assert video.rotation_degrees == -degrees % 360  # PyAV counts anticlockwise
        chain = MotionChain(video.size_hw)
        for a, b in zip(upright, video, strict=True):
            assert np.array_equal(b.image, orientation.array(a.image))
            assert b.image.shape[:2] == b.size_hw == video.size_hw
            assert a.qp is not None
            assert np.array_equal(b.qp, orientation.array(a.qp))
            if b.motion is None:
                key = b.image
                continue
            chain.push(MotionField.from_vectors(b.motion))
            motion = chain.compose("pixel").displacement
            y, x = np.mgrid[: b.size_hw[0], : b.size_hw[1]].astype(np.float32)
            warped = cv2.remap(key, x + motion[..., 0], y + motion[..., 1], cv2.INTER_LINEAR)
            inner = np.s_[40:-40, 40:-40]
            assert make.psnr(warped[inner], b.image[inner]) > 33
            assert make.psnr(key[inner], b.image[inner]) < 26


@pytest.mark.parametrize(("left", "top"), [(6, 10), (16, 8)])
def test_a_cropped_video(make: Any, tmp_path: Path, left: int, top: int) -> None:
    """FFmpeg places exported blocks in the picture before it is cropped; what is read is in the picture shown."""
    source = make.clip("to_crop.mp4", make.sliding(160, 208, 8, (3, 2)), profile="ippp", options={"crf": "14"})
    path = tmp_path / "cropped.mp4"
    with av.open(str(source)) as opened, av.open(str(path), "w") as written:
        stream = opened.streams.video[0]
        target = written.add_stream_from_template(stream)
        crop = BitStreamFilterContext(f"h264_metadata=crop_left={left}:crop_top={top}", stream, target)
        for packet in opened.demux(stream):
            for changed in crop.filter(packet if packet.size else None):
                changed.stream = target
                written.mux(changed)
    with open_video(source, qp=True) as whole, open_video(path, qp=True) as video:
        assert video.size_hw == (160 - top, 208 - left)
        for a, b in zip(whole, video, strict=True):
            inner = np.s_[2:, 2:]  # chroma is interpolated up to the border
            assert np.array_equal(a.image[top:, left:][inner], b.image[inner])
            assert b.qp is not None
            assert b.qp.shape == (-(-(160 - top) // 16), -(-(208 - left) // 16))
            if a.motion is None or b.motion is None:
                assert a.motion is b.motion
                continue
            assert np.array_equal(b.motion.array["dst_x"], a.motion.array["dst_x"] - left)
            assert np.array_equal(b.motion.array["src_y"], a.motion.array["src_y"] - top)
            field = MotionField.from_vectors(b.motion)
            assert field.unreferenced.shape == (-(-(160 - top) // 8), -(-(208 - left) // 8))
            assert not field.unreferenced[1:-3, 1:-3].any()

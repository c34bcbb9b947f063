"""RGB against the standards' own equations: every matrix, range, subsampling and depth."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from gopseg.codec import Orientation, open_video
from gopseg.codec.reading.colour import RgbConverter, matrix_of

# H.273, MatrixCoefficients: K_R and K_B of BT.709, BT.601 and BT.2020
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
SUBSAMPLING = {"420": (2, 2), "422": (1, 2), "444": (1, 1)}


def to_yuv(rgb: np.ndarray, space: int, full: bool, bits: int) -> np.ndarray:
    """(..., 3) RGB in 0..255 to integer Y, Cb, Cr (ITU-R BT.601, BT.709, BT.2020)."""
    kr, kb = WEIGHTS[space]
    r, g, b = np.moveaxis(rgb / 255.0, -1, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    step, top = 2 ** (bits - 8), 2**bits - 1
    if full:
        planes = (y * top, cb * top + 128 * step, cr * top + 128 * step)
    else:
        planes = ((16 + 219 * y) * step, (128 + 224 * cb) * step, (128 + 224 * cr) * step)
    return np.clip(np.rint(np.stack(planes)), 0, top).astype(np.uint16 if bits > 8 else np.uint8)


def picture_of(rgb: np.ndarray, space: int, full: bool, bits: int, sub: str) -> av.VideoFrame:
    """A decoded picture as a decoder would give it, from exact RGB that is constant over each chroma sample."""
    height, width = rgb.shape[:2]
    planes = to_yuv(rgb, space, full, bits)
    sub_y, sub_x = SUBSAMPLING[sub]
    picture = av.VideoFrame(width, height, f"yuv{sub}p{'' if bits == 8 else f'{bits}le'}")
    for index, (target, values) in enumerate(zip(picture.planes, planes, strict=True)):
        if index:
            values = values[::sub_y, ::sub_x]
        rows = np.zeros((target.height, target.line_size // values.itemsize), values.dtype)
        rows[:, : target.width] = values
        target.update(rows.tobytes())
    picture.colorspace, picture.color_range = space, 2 if full else 1
    return picture


def patches(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour patches of 16x16 and a mask of pixels far enough from their borders for any chroma interpolation."""
    rng = np.random.default_rng(3)
    rows, cols = -(-height // 16), -(-width // 16)
    colours = rng.integers(20, 236, (rows, cols, 3))
    colours.reshape(-1, 3)[:6] = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]
    image = np.kron(colours, np.ones((16, 16, 1), int))[:height, :width]
    y, x = np.mgrid[:height, :width] % 16
    return image, (y >= 4) & (y < 12) & (x >= 4) & (x < 12)


@pytest.mark.parametrize("size", [(64, 96), (61, 83)], ids=["even", "odd"])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("sub", SUBSAMPLING)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("space", WEIGHTS)
def test_rgb_is_what_the_standards_say(space: int, full: bool, sub: str, bits: int, size: tuple[int, int]) -> None:
    rgb, inner = patches(*size)
    image = RgbConverter().convert(picture_of(rgb, space, full, bits, sub), Orientation())
    assert (image.shape, image.dtype, image.flags.c_contiguous) == ((*size, 3), np.uint8, True)
    error = np.abs(image.astype(int) - rgb)[inner]
    assert error.max() <= (3 if bits == 8 else 2)  # rounding of Y, Cb and Cr costs up to 2 levels by itself
    assert error.mean() < 0.9


@pytest.mark.parametrize("space", [0, 2, 3])
@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((480, 720), Colorspace.ITU601),
        ((576, 1024), Colorspace.ITU601),
        ((360, 480), Colorspace.ITU601),
        ((720, 1280), Colorspace.ITU709),
        ((480, 1280), Colorspace.ITU709),
        ((2160, 3840), Colorspace.ITU709),
    ],
)
def test_an_unstated_matrix_goes_by_size(space: int, size: tuple[int, int], matrix: Colorspace) -> None:
    assert matrix_of(space, size) == matrix


def test_a_stated_matrix_beats_the_size() -> None:
    assert matrix_of(1, (64, 64)) == Colorspace.ITU709
    assert matrix_of(6, (2160, 3840)) == Colorspace.ITU601
    assert matrix_of(9, (64, 64)) == Colorspace.BT2020


@pytest.mark.parametrize("space", WEIGHTS)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(("sub", "bits"), [("420", 8), ("422", 8), ("444", 8), ("420", 10), ("444", 10)])
def test_through_a_lossless_h264_file(make: Any, space: int, full: bool, sub: str, bits: int) -> None:
    """The same through encoder, container and decoder: what the stream states is what is used."""
    rgb, inner = patches(64, 96)
    path = make.folder / f"colour{space}{full}{sub}{bits}.mp4"
    picture = picture_of(rgb, space, full, bits, sub)
    names = {1: "bt709", 6: "smpte170m", 9: "bt2020nc"}
    params = f"colormatrix={names[space]}:range={'pc' if full else 'tv'}:bframes=0"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0", "x264-params": params})
        stream.width, stream.height, stream.pix_fmt = 96, 64, picture.format.name
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 2 if full else 1
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with open_video(path) as video:
        image = next(video).image
    assert np.abs(image.astype(int) - rgb)[inner].max() <= 3


def test_limited_and_full_grey() -> None:
    """swscale takes any grey picture for full range; one that states limited range is stretched."""
    values = np.tile(np.arange(16, 236, dtype=np.uint8), (64, 1))
    picture = av.VideoFrame.from_ndarray(values, format="gray")
    converter = RgbConverter()
    picture.color_range = 2
    assert np.array_equal(converter.convert(picture, Orientation())[..., 1], values)
    picture.color_range = 1
    stretched = converter.convert(picture, Orientation())
    assert np.abs(stretched[..., 0] - (values - 16.0) * 255 / 219).max() <= 0.51


def test_rgb_coded_video_is_untouched(make: Any) -> None:
    frames = make.sliding(96, 128, 3, (2, 1))
    path = make.clip("rgb.mp4", frames, codec="libx264rgb", pix_fmt="rgb24", options={"qp": "0"})
    with open_video(path) as video:
        assert video.pixel_format == "gbrp"
        assert all(np.array_equal(f.image, original) for f, original in zip(video, frames, strict=True))


def test_grey_ramp_stays_grey(make: Any) -> None:
    ramp = np.repeat(np.tile(np.arange(0, 256, 2, dtype=np.uint8), (64, 1))[..., None], 3, 2)
    path: Path = make.clip("ramp.mp4", [ramp] * 2, options={"qp": "0", "x264-params": "bframes=0"})
    with open_video(path) as video:
        image = next(video).image.astype(int)
    assert np.abs(image - ramp).max() <= 1
    assert np.ptp(image, axis=2).max() <= 1


def test_converting_from_several_threads(sliding_clip: Path) -> None:
    with open_video(sliding_clip) as video:
        expected = [f.image for f in video]
    with open_video(sliding_clip) as video:
        frames = list(video)
    got: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda part: got.update({f.index: f.image for f in part}), args=(frames[i::4],))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(got[i], image) for i, image in enumerate(expected))

"""The overlay blended in YUV beside the one in RGB, for every kind of picture that a decoder gives."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from gopseg.codec import Frame, Planes, open_video
from gopseg.pipelines import Prediction
from gopseg.pipelines.outputs import OverlayVideo, Painter
from gopseg.pipelines.outputs.overlay import yuv_of

COLOURS = np.array([[128, 64, 128], [220, 20, 60], [0, 0, 142], [107, 142, 35], [255, 255, 255]], np.uint8)
SPACES = {1: Colorspace.ITU709, 6: Colorspace.ITU601, 9: Colorspace.BT2020}


def scene(size_hw: tuple[int, int]) -> np.ndarray:
    """A smooth picture, whose chroma does not depend on how it is subsampled."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    planes = 120 + 60 * np.sin(x / 31), 110 + 50 * np.cos(y / 23), 130 + 40 * np.sin((x + y) / 41)
    return np.stack(planes, 2).astype(np.uint8)


def coded(
    file: Path,
    size_hw: tuple[int, int] = (96, 128),
    format: str = "yuv420p",
    matrix: int = 6,
    *,
    full: bool = False,
    turned: int = 0,
    codec: str = "libx264",
) -> Path:
    with av.open(str(file), "w") as output:
        stream = output.add_stream(codec, rate=25, options={"bf": "0", "refs": "1", "crf": "4"})
        context = stream.codec_context
        context.height, context.width, context.pix_fmt = *size_hw, format
        context.colorspace = matrix
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        if turned:
            stream.set_display_rotation(turned)
        picture = av.VideoFrame.from_ndarray(scene(size_hw), "rgb24").reformat(
            format=format,
            dst_colorspace=SPACES.get(matrix, Colorspace.ITU601),
            src_color_range=ColorRange.JPEG,
            dst_color_range=context.color_range,
        )
        picture.pts, picture.time_base = 0, Fraction(1, 25)
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return file


def first_frame(file: Path) -> tuple[Frame, Any]:
    with open_video(file) as video:
        return next(video), video.colour


def drawn(tmp_path: Path, frame: Frame, colour: Any, labels: np.ndarray, occluded: np.ndarray | None) -> np.ndarray:
    """The overlay video's first picture, in RGB as a player would show it."""
    output = OverlayVideo(
        tmp_path / "out.mp4",
        Painter(COLOURS, 0.4),
        Fraction(25),
        lambda *_: None,
        colour=colour,
        show_occlusion=occluded is not None,
    )
    output.start()
    output.write(frame, Prediction(frame, labels, occluded=occluded))
    output.finish()
    return first_frame(output.part)[0].image


def halves(size_hw: tuple[int, int]) -> np.ndarray:
    """Labels in large parts, whose borders lie on even columns and rows, as 4:2:0 has them."""
    labels = np.zeros(size_hw, np.uint8)
    labels[: size_hw[0] // 4 * 2, size_hw[1] // 4 * 2 :] = 1
    labels[size_hw[0] // 4 * 2 :, : size_hw[1] // 4 * 2] = 2
    labels[size_hw[0] // 4 * 2 :, size_hw[1] // 4 * 2 :] = 3
    return labels


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"matrix": 1},
        {"matrix": 1, "full": True},
        {"matrix": 9},
        {"matrix": 2},
        {"matrix": 2, "size_hw": (128, 1280)},
        {"format": "yuv422p"},
        {"format": "yuv444p", "matrix": 1},
        {"format": "yuv420p10le"},
        {"format": "yuv422p10le", "matrix": 1},
        {"size_hw": (95, 127), "format": "yuv444p"},
        {"size_hw": (96, 127), "format": "yuv444p", "matrix": 1, "full": True},
        {"turned": 90},
        {"turned": 180, "format": "yuv422p"},
    ],
    ids=str,
)
@pytest.mark.parametrize("hatches", [False, True])
def test_blending_planes_equals_blending_rgb(tmp_path: Path, settings: dict[str, Any], hatches: bool) -> None:
    frame, colour = first_frame(coded(tmp_path / "in.mp4", **settings))
    labels = halves(frame.size_hw)
    occluded = None
    if hatches:
        occluded = np.zeros((4, 4), np.bool_)
        occluded[:2, :2] = True
    expected = Painter(COLOURS, 0.4).overlay(frame.image, labels, occluded)
    fresh = replace(frame, load_image=None)  # RGB is not touched
    found = drawn(tmp_path, fresh, colour, labels, occluded)
    assert not fresh.has_image
    apart = np.abs(found.astype(int) - expected)
    inner = cv2.erode((cv2.Laplacian(labels, cv2.CV_16S) == 0).astype(np.uint8), np.ones((5, 5))) > 0
    inner[:2], inner[-2:], inner[:, :2], inner[:, -2:] = False, False, False, False
    if hatches:  # lines of two pixels have half their chroma
        inner[: labels.shape[0] // 2 + 2, : labels.shape[1] // 2 + 2] = False
    assert np.percentile(apart[inner], 99) <= 5
    assert apart[inner].mean() < 1.5
    assert cv2.PSNR(found, expected) > (27 if hatches else 33)


def test_a_source_without_planes_is_blended_in_rgb(tmp_path: Path) -> None:
    image = scene((64, 96))
    frame = Frame(0, 0, Fraction(1, 25), "I", True, 0, (64, 96), load_image=lambda: image)
    assert frame.planes(subsampled=True) is None
    found = drawn(tmp_path, frame, first_frame(coded(tmp_path / "in.mp4"))[1], halves((64, 96)), None)
    assert cv2.PSNR(found, Painter(COLOURS, 0.4).overlay(image, halves((64, 96)))) > 33


def test_planes_are_those_decoded(tmp_path: Path) -> None:
    frame, _ = first_frame(coded(tmp_path / "in.mp4", turned=90))
    planes = frame.planes(subsampled=True)
    assert planes is not None
    assert (planes.y.shape, planes.u.shape, planes.v.shape) == ((128, 96), (64, 48), (64, 48))
    assert np.array_equal(planes.y, frame.luma)
    assert (planes.matrix, planes.full_range) == (6, False)
    whole = frame.planes(subsampled=False)
    assert whole is not None
    assert whole.u.shape == (128, 96)
    assert np.abs(whole.u[::2, ::2].astype(int) - planes.u).max() <= 3


def test_a_picture_of_another_matrix_is_brought_to_the_first_ones(tmp_path: Path) -> None:
    first, colour = first_frame(coded(tmp_path / "a.mp4", matrix=6))
    second, _ = first_frame(coded(tmp_path / "b.mp4", matrix=1, full=True))
    labels = halves((96, 128))
    output = OverlayVideo(tmp_path / "out.mp4", Painter(COLOURS), Fraction(25), lambda *_: None, colour=colour)
    output.start()
    for index, frame in enumerate((first, second)):
        shown = replace(frame, pts=index, time_base=Fraction(1, 25))
        output.write(shown, Prediction(shown, labels))
    output.finish()
    with open_video(output.part) as video:
        for frame, shown in zip((first, second), video, strict=True):
            assert cv2.PSNR(shown.image, Painter(COLOURS).overlay(frame.image, labels)) > 31


@pytest.mark.parametrize(("matrix", "space"), SPACES.items())
@pytest.mark.parametrize("full", [False, True])
def test_the_palette_in_yuv(matrix: int, space: Colorspace, full: bool) -> None:
    """Against swscale, and for grey by definition."""
    colours = np.random.default_rng(0).integers(0, 256, (64, 3)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(np.repeat(colours[None], 64, 0), "rgb24").reformat(
        format="yuv444p",
        dst_colorspace=space,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
    )
    expected = picture.to_ndarray()[:, 0].T.astype(int)
    assert np.abs(yuv_of(colours, matrix, full) - expected).max() <= 2
    greys = np.repeat(np.array([[0], [255]], np.uint8), 3, 1)
    assert yuv_of(greys, matrix, full).tolist() == (
        [[0, 128, 128], [255, 128, 128]] if full else [[16, 128, 128], [235, 128, 128]]
    )


def test_blending_writes_into_the_encoders_picture() -> None:
    plane = np.full((4, 6), 100, np.uint8)
    planes = Planes(plane, plane[:2, :3], plane[:2, :3], 6, False)
    targets = np.zeros((4, 8), np.uint8)[:, :6], np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    Painter(np.array([[255, 255, 255]], np.uint8), 0.5).blend(planes, np.zeros((4, 6), np.uint8), targets)
    assert [int(target[0, 0]) for target in targets] == [168, 114, 114]
    assert all((target == target[0, 0]).all() for target in targets)

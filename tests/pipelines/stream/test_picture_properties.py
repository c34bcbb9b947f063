"""Pixel aspect and colour tags of a source in its overlay video, and HDR."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

FACTS = ("sample_aspect_ratio", "colorspace", "color_primaries", "color_trc", "color_range")


def tagged(
    file: Path,
    images: Any,
    *,
    aspect: Fraction | None = None,
    matrix: int = 2,
    primaries: int = 2,
    transfer: int = 2,
    full: bool = False,
    turned: int = 0,
) -> Path:
    with av.open(str(file), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"bf": "0", "refs": "1", "crf": "5"})
        context = stream.codec_context
        context.height, context.width = images[0].shape[:2]
        context.pix_fmt = "yuv420p"
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        for index, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, "rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709 if matrix == 1 else Colorspace.ITU601,
                src_color_range=ColorRange.JPEG,
                dst_color_range=context.color_range,
            )
            picture.pts, picture.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return file


def facts(file: str) -> dict[str, Any]:
    with av.open(file) as container:
        context = container.streams.video[0].codec_context
        next(container.decode(video=0))
        return {name: getattr(context, name) for name in FACTS} | {"size": (context.height, context.width)}


def first_picture(file: str, matrix: Colorspace, full: bool) -> np.ndarray:
    with av.open(file) as container:
        picture = next(container.decode(video=0))
        return picture.reformat(
            format="rgb24",
            src_colorspace=matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        ).to_ndarray()


@pytest.mark.parametrize(("turned", "expected"), [(0, Fraction(64, 45)), (90, Fraction(45, 64))])
def test_pixel_aspect_is_kept_and_turned(
    stream: Any, tmp_path: Path, square_images: Any, turned: int, expected: Fraction
) -> None:
    clip = tagged(tmp_path / "clip.mp4", square_images, aspect=Fraction(64, 45), turned=turned)
    assert stream(clip, "--mode", "frame", "-o", "x.mp4").exit_code == 0
    found = facts("x.mp4")
    assert found["sample_aspect_ratio"] == expected
    assert found["size"] == ((96, 64) if turned else (64, 96))


@pytest.mark.parametrize(
    ("matrix", "primaries", "transfer", "full"), [(1, 1, 1, False), (1, 1, 13, True), (6, 6, 6, False), (6, 5, 6, True)]
)
def test_colour_tags_are_kept(
    stream: Any, tmp_path: Path, square_images: Any, matrix: int, primaries: int, transfer: int, full: bool
) -> None:
    clip = tagged(
        tmp_path / "clip.mp4", square_images, matrix=matrix, primaries=primaries, transfer=transfer, full=full
    )
    result = stream(clip, "--mode", "frame", "-o", "x.mp4", "--opacity", "0")
    assert result.exit_code == 0, result.stderr
    found = facts("x.mp4")
    stated = {name: int(found[name]) for name in FACTS[1:]}
    assert stated == dict(zip(FACTS[1:], (matrix, primaries, transfer, 2 if full else 1), strict=True))
    space = Colorspace.ITU709 if matrix == 1 else Colorspace.ITU601
    picture = first_picture("x.mp4", space, full).astype(int)
    assert np.abs(picture - square_images[0]).mean() < 6, "the pixels are what the tags say"


def test_nothing_is_stated_where_the_source_says_nothing(stream: Any, tmp_path: Path, square_clip: Path) -> None:
    assert stream(square_clip, "--mode", "frame", "-o", "x.mp4").exit_code == 0
    found = facts("x.mp4")
    assert found["sample_aspect_ratio"] in (None, 0, 1)
    assert [int(found[name]) for name in FACTS[1:]] == [6, 2, 2, 1]


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused(stream: Any, tmp_path: Path, square_images: Any, transfer: int) -> None:
    clip = tagged(tmp_path / "clip.mp4", square_images, matrix=9, primaries=9, transfer=transfer)
    result = stream(clip, "--mode", "frame", "-o", "x.mp4")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "is HDR" in result.stderr
    assert "tonemap" in result.stderr
    assert not (tmp_path / "x.mp4").exists()

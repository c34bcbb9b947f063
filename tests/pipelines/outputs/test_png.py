"""Our PNG files, read by others."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from gopseg.pipelines.outputs import png
from gopseg.pipelines.outputs.png import png_of


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def packer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setattr(png, "pack_by_isal", None)
    elif png.pack_by_isal is None:
        pytest.skip("isal is not installed")


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (7, 1), (45, 60), (360, 641)])
@pytest.mark.parametrize("values", [1, 11, 256])
def test_others_read_what_was_written(size_hw: tuple[int, int], values: int) -> None:
    rng = np.random.default_rng(values)
    labels = cv2.resize(
        rng.integers(0, values, (3, 4)).astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST
    )
    palette = rng.integers(0, 256, (256, 3)).astype(np.uint8)
    grey, indexed = (Image.open(io.BytesIO(png_of(labels, table))) for table in (None, palette))
    assert (grey.mode, indexed.mode) == ("L", "P")
    for image in (grey, indexed):
        image.verify()
    grey, indexed = (Image.open(io.BytesIO(png_of(labels, table))) for table in (None, palette))
    assert np.array_equal(np.asarray(grey), labels)
    assert np.array_equal(np.asarray(indexed), labels)
    assert np.array_equal(np.asarray(indexed.convert("RGB")), palette[labels])
    by_opencv = cv2.imdecode(np.frombuffer(png_of(labels, palette), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(by_opencv[..., ::-1], palette[labels])


def test_noise_survives() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 70)).astype(np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_of(noise)))), noise)


def test_a_view_of_a_larger_array() -> None:
    values = np.arange(200, dtype=np.uint8).reshape(10, 20)[1:9, 3:17]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_of(values)))), values)


@pytest.mark.parametrize("size_hw", [(1, 1), (45, 61)])
def test_colours_are_read_as_written(size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    read = Image.open(io.BytesIO(png_of(image)))
    assert read.mode == "RGB"
    assert np.array_equal(np.asarray(read), image)


def test_several_threads_at_once() -> None:
    pictures = [np.full((40 + number % 3, 60), number, np.uint8) for number in range(60)]
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(png_of, pictures))
    for picture, file in zip(pictures, files, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), picture)

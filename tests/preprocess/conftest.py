"""Sources for the encode tests, and the command as a user runs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gopseg.preprocess.main import main


def moving(count: int, size_hw: tuple[int, int] = (96, 128), seed: int = 0) -> list[np.ndarray]:
    """A camera that moves over a smooth random texture, (H, W, 3) uint8 RGB."""
    height, width = size_hw
    noise = np.random.default_rng(seed).normal(0, 1, (height + 2 * count, width + 3 * count, 3))
    noise = cv2.GaussianBlur(noise, (0, 0), 2.0)
    world = np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(world[2 * i : 2 * i + height, 3 * i : 3 * i + width]) for i in range(count)]


def write_video(
    path: Path,
    images: list[np.ndarray],
    rate: int = 25,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w") as container:
        options = options or {"crf": "10", "preset": "veryfast"}
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


def write_folder(path: Path, images: list[np.ndarray], first: int = 1) -> Path:
    path.mkdir(parents=True)
    for number, image in enumerate(images, first):
        cv2.imwrite(str(path / f"f{number}.png"), image[..., ::-1])
    return path


class Maker:
    """What the tests make their sources with."""

    moving = staticmethod(moving)
    video = staticmethod(write_video)
    folder = staticmethod(write_folder)


@pytest.fixture(scope="session")
def make() -> Maker:
    return Maker()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of 128x96 at 25 a second, with B-frames."""
    return write_video(tmp_path_factory.mktemp("source") / "walk.mp4", moving(40))


def run_command(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def encode() -> Callable[..., Result]:
    """Runs `preprocess encode` with these arguments in this process."""
    return partial(run_command, "encode")


@pytest.fixture
def extract() -> Callable[..., Result]:
    """Runs `preprocess extract` with these arguments in this process."""
    return partial(run_command, "extract")


@pytest.fixture
def inspect() -> Callable[..., Result]:
    """Runs `preprocess inspect` with these arguments in this process."""
    return partial(run_command, "inspect")


@pytest.fixture
def clips() -> Callable[..., Result]:
    """Runs `preprocess clips` with these arguments in this process."""
    return partial(run_command, "clips")


@pytest.fixture
def stills() -> Callable[..., Result]:
    """Runs `preprocess stills` with these arguments in this process."""
    return partial(run_command, "stills")


@pytest.fixture(scope="session")
def corpus_video(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`video` encoded by `preprocess encode`: GOPs of 12, 12, 12 and 4 frames."""
    folder = tmp_path_factory.mktemp("corpus")
    result = run_command("encode", video, "-o", folder, "--bitrate", "3M")
    assert result.exit_code == 0, result.output
    return folder / "walk.mp4"


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Clips of 20 frames that are not encoded for us, by name."""
    folder = tmp_path_factory.mktemp("foreign")

    def make(name: str) -> Path:
        codec, options = {
            "bframes": ("libx264", {"x264-params": "bframes=3:b-adapt=0:keyint=10"}),
            "references": ("libx264", {"x264-params": "bframes=0:ref=3:keyint=10"}),
            "interlaced": ("libx264", {"x264-params": "interlaced=1:bframes=0:ref=1:keyint=10"}),
            "hevc": ("libx265", {"x265-params": "log-level=none:keyint=10:bframes=0"}),
        }[name]
        path = folder / f"{name}.mp4"
        if not path.exists():
            write_video(path, moving(20), codec=codec, options=options)
        return path

    return make

"""Clips for the codec tests: small ones encoded here, and the shared ones where they are."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from gopseg.data import SyntheticStreet

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PROFILES = {
    "ippp": {"x264-params": "ref=1:bframes=0:weightp=0:scenecut=0:open-gop=0"},
    "bframes": {"x264-params": "bframes=3:ref=1:scenecut=0"},
    "references": {"x264-params": "bframes=0:ref=3:weightp=0:scenecut=0"},
}
"""x264 settings by name."""


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    gop: int = 12,
    bit_rate: int = 0,
    profile: str | None = None,
    options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    rotation: tuple[float, bool, bool] | None = None,
    source_format: str = "rgb24",
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode (H, W, 3) RGB frames (or planes of `source_format`); `pts` in units of 1/rate second."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream, reformatter = None, VideoReformatter()
        for index, image in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(image, format=source_format)
            if stream is None:
                stream = container.add_stream(
                    codec, rate=rate, options=(PROFILES[profile] if profile else {}) | (options or {})
                )
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, pix_fmt
                stream.codec_context.gop_size = gop
                stream.thread_count = 1  # libx264's threads would give other bytes on every run
                stream.codec_context.time_base = Fraction(1, rate)
                if rotation is not None:
                    stream.set_display_rotation(rotation[0], hflip=rotation[1], vflip=rotation[2])
                if bit_rate:
                    stream.bit_rate = bit_rate
            picture.pts, picture.time_base = (index if pts is None else pts[index]), Fraction(1, rate)
            # converted here in one thread: encodings of the same frames by PyAV's conversion were seen to differ
            picture = reformatter.reformat(picture, format=pix_fmt, threads=1)
            container.mux(stream.encode(picture))
        assert stream is not None
        container.mux(stream.encode(None))
    return path


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random texture with detail that a motion search can lock on to, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    result = np.full((height, width, 3), 128, np.float32)
    for sigma, contrast, channels in ((2.0, 40.0, 1), (9.0, 15.0, 3)):  # detail in brightness, slow change in colour
        noise = rng.normal(0, 1, (height, width, channels)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), sigma).reshape(height, width, channels)
        result += noise * (contrast / noise.std())
    return np.clip(result, 0, 255).astype(np.uint8)


def sliding(height: int, width: int, count: int, step_xy: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """A camera that moves by `step_xy` pixels a frame over a texture: content moves by minus that."""
    dx, dy = step_xy
    reach_x, reach_y = abs(dx) * count, abs(dy) * count
    world = texture(height + reach_y, width + reach_x, seed)
    x0, y0 = (0 if dx >= 0 else reach_x), (0 if dy >= 0 else reach_y)
    return [
        np.ascontiguousarray(world[y0 + dy * i : y0 + dy * i + height, x0 + dx * i : x0 + dx * i + width])
        for i in range(count)
    ]


class Maker:
    """What the tests make their clips with."""

    texture = staticmethod(texture)
    sliding = staticmethod(sliding)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clip(self, name: str, frames: Iterable[np.ndarray], **options: object) -> Path:
        """`write_clip` into the session's folder; the same pictures and options are encoded once for each name."""
        pictures = list(frames)
        content = zlib.crc32(repr((len(pictures), sorted(options.items(), key=str))).encode())
        for picture in pictures:
            content = zlib.crc32(np.ascontiguousarray(picture), content)
        path = self.folder / f"{content:08x}" / name
        path.parent.mkdir(exist_ok=True)
        return path if path.exists() else write_clip(path, pictures, **options)

    @staticmethod
    def psnr(a: np.ndarray, b: np.ndarray) -> float:
        """Peak signal-to-noise ratio of 8-bit pictures in dB."""
        return float(10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-9)))


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def sliding_clip(make: Maker) -> Path:
    """24 frames of 176x144 at GOP 12, one reference, no B-frames; the camera moves 3 right and 2 down a frame."""
    return make.clip("sliding.mp4", sliding(144, 176, 24, (3, 2)), profile="ippp", options={"crf": "12"})


@pytest.fixture(scope="session")
def shared_video() -> Path:
    """The folder of shared videos; skips where it is absent."""
    folder = SHARED / "video"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the shared videos are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def street() -> list[np.ndarray]:
    """A GOP of 12 frames of 480x360 from a rendered drive at 15 frames/s, RGB: what shows what real video shows."""
    return [image for image, _ in SyntheticStreet(3, (360, 480), 15).frames(12)]


@pytest.fixture(scope="session")
def camvid_val() -> list[np.ndarray]:
    """CamVid's val frames in order, RGB; skips where they are absent."""
    folder = SHARED / "camvid" / "val"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the shared data is not part of the repository")
    return [cv2.imread(str(path))[..., ::-1] for path in sorted(folder.iterdir())]

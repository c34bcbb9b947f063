"""Small clips, a network that knows colours, and the command run in-process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch.nn.functional import avg_pool2d

from gopseg.pipelines import NetworkRunner
from gopseg.pipelines.carriers import AlteringRunner
from gopseg.pipelines.modes.building import AlteringBranch, HeadModel, LowBranch
from gopseg.pipelines.stream.main import main
from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    PropagationModel,
    PropagationSettings,
    SegmentationNetwork,
    SwiftNet,
    build_fusion,
    save_model,
)

torch.set_num_threads(1)  # the pictures are tiny, and a busy machine makes threads wait for each other

OURS = {"bf": "0", "refs": "1", "preset": "fast", "crf": "10", "x264-params": "scenecut=0:weightp=0:open-gop=0"}
COLOURS = ((40, 40, 40), (230, 60, 60), (60, 60, 230))


class ColourNetwork(SegmentationNetwork):
    """Logits are minus the distance of each 4x4 cell's mean colour to each class's colour."""

    feature_channels = 3
    feature_stride = 4
    classes = ("ground", "red", "blue")

    def __init__(self) -> None:
        super().__init__()
        self.colours = torch.tensor(COLOURS).float().view(1, 3, 3, 1, 1)
        self.calls = 0

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return avg_pool2d(images, 4, ceil_mode=True)

    def classify(self, p: torch.Tensor) -> torch.Tensor:
        return -(p[:, None] - self.colours).abs().mean(2)

    @property
    def mean(self) -> torch.Tensor:
        return torch.zeros(1, 3, 1, 1)

    @property
    def std(self) -> torch.Tensor:
        return torch.ones(1, 3, 1, 1)


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Grey ground with a texture that an encoder can follow, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-12, 13, (height, width, 1))
    return np.clip(noise + 40, 0, 255).repeat(3, 2).astype(np.uint8)


def moving_square(count: int, size_hw: tuple[int, int] = (64, 96)) -> list[np.ndarray]:
    """A red square of 24 pixels that moves 2 pixels right a frame over a still ground."""
    rng = np.random.default_rng(1)
    square = np.clip(np.array(COLOURS[1]) + rng.integers(-12, 13, (24, 24, 1)), 0, 255).astype(np.uint8)
    images = []
    for i in range(count):
        image = textured(*size_hw)
        x = 8 + 2 * i % (size_hw[1] - 32)
        image[16:40, x : x + 24] = square
        images.append(image)
    return images


def write_clip(
    file: Path,
    images: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    gop: int = 6,
    rate: Fraction = Fraction(25),
    time_base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    container: str | None = None,
    muxer: dict[str, str] | None = None,
    crf: str = "10",
) -> Path:
    """Encode pictures; by default as our own encoder would."""
    with av.open(str(file), "w", format=container, options=muxer or {}) as output:
        stream = output.add_stream(codec, rate=rate, options={**OURS, "crf": crf} if options is None else options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.gop_size = pixel_format, gop
        stream.codec_context.time_base = stream.time_base = time_base or 1 / rate
        for i, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = (i if pts is None else pts[i]), stream.codec_context.time_base
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return file


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture(scope="session")
def square_images() -> list[np.ndarray]:
    return moving_square(12)


@pytest.fixture(scope="session")
def square_clip(tmp_path_factory: pytest.TempPathFactory, square_images: list[np.ndarray]) -> Path:
    """12 frames, 64x96, 25 a second, GOP 6, our kind of stream."""
    return write_clip(tmp_path_factory.mktemp("clips") / "square.mp4", square_images)


@pytest.fixture
def network() -> ColourNetwork:
    return ColourNetwork()


@pytest.fixture
def runner(network: ColourNetwork) -> NetworkRunner:
    """A runner whose LR and AR branches are made of the same network; fusion and head are not trained."""
    runner = NetworkRunner(network, device="cpu", precision="fp32")
    torch.manual_seed(0)
    low = LowResolution(ColourNetwork(), 0.5)
    branch = AlteringResolution(low, build_fusion("evidence", low)).eval()
    runner.adopt(LowBranch(0.5), NetworkRunner(low, device="cpu", precision="fp32"))
    runner.adopt(AlteringBranch(0.5), AlteringRunner(runner, branch))
    settings = PropagationSettings(classes=network.classes, stride=4, width=8)
    runner.adopt(HeadModel(), PropagationModel(settings).eval())
    return runner


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SwiftNet with random weights on disk."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("models") / "random.safetensors"
    save_model(SwiftNet(("ground", "red", "blue")), file, "swiftnet18")
    return file


@pytest.fixture
def stream(tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `segment-stream` in an empty folder with the random model, in fp32 on the CPU."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any, model: Any = None) -> Result:
        common = ["--model", str(model or model_file), "--device", "cpu", "--precision", "fp32"]
        return CliRunner().invoke(main, [*common, *map(str, arguments)])

    return call

"""Carriers of an accelerator on the CPU: the labels of the CPU's own carriers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gopseg.codec import Frame, MotionField, open_video
from gopseg.pipelines import MODES, KeyframePipeline, NetworkRunner, Prediction
from gopseg.pipelines.carriers import (
    AlteringRunner,
    BothWays,
    Carrier,
    DeviceFeatures,
    DeviceProbabilities,
    Features,
    Passenger,
    Probabilities,
)
from gopseg.pipelines.modes.building import AlteringBranch, HeadModel
from gopseg.pipelines.motion import CodecMotion
from gopseg.pipelines.on_device import DeviceScores
from gopseg.pipelines.refresh import Refresh
from gopseg.pipelines.timing import unclocked
from tests.pipelines.conftest import ColourNetwork, moving_square

TIES = 1e-3
"""Share of pixels whose best classes are so near to each other that rounding decides."""
B_FRAMES = {"bf": "2", "x264-params": "scenecut=0:b-adapt=0:open-gop=0:weightp=0:b-pyramid=0", "crf": "10"}


class OnDevice(NetworkRunner):
    """A runner that does on the CPU what it would do on an accelerator."""

    @property
    def stays_on_device(self) -> bool:
        return True


@pytest.fixture
def on_device() -> OnDevice:
    return OnDevice(ColourNetwork(), device="cpu", precision="fp32")


class At(Refresh[Any]):
    """The network looks at the frames of these numbers."""

    def __init__(self, *frames: int) -> None:
        self.frames = frames

    def choose(self, frame: Frame, field: MotionField, carrier: Carrier[Any]) -> Carrier[Any] | None:
        return None if frame.index in self.frames else carrier


def carried(clip: Path, runner: NetworkRunner, carrier: Carrier[Any]) -> list[Prediction]:
    with open_video(clip, references=True) as video:
        return list(KeyframePipeline(runner, CodecMotion(4), carrier, At(7)).run(list(video)))


@pytest.mark.parametrize("options", [None, B_FRAMES], ids=["vectors", "references"])
@pytest.mark.parametrize(
    ("make", "make_on_device"),
    [
        (Probabilities, DeviceProbabilities),
        (Features, DeviceFeatures),
        (lambda *a, **k: BothWays(Probabilities(*a, **k)), lambda *a, **k: BothWays(DeviceProbabilities(*a, **k))),
    ],
    ids=["probabilities", "features", "both ways"],
)
def test_a_stream_gets_the_same_labels(
    make_clip: Callable[..., Path],
    tmp_path: Path,
    runner: NetworkRunner,
    on_device: OnDevice,
    options: Any,
    make: Any,
    make_on_device: Any,
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", moving_square(14), gop=250, options=options)
    expected = carried(clip, runner, make(runner, mix_lost=True))
    found = carried(clip, on_device, make_on_device(on_device, mix_lost=True))
    assert [one.from_network for one in found] == [one.index in (0, 7) for one in found]
    differ = [np.mean(one.labels != other.labels) for one, other in zip(expected, found, strict=True)]
    assert max(differ) <= TIES
    for one, other in zip(expected, found, strict=True):
        assert (one.occluded is None) == (other.occluded is None)
        assert one.occluded is None or np.array_equal(one.occluded, other.occluded)


@pytest.mark.parametrize("mode", ["motion", "guided", "ar"])
def test_whoever_wants_logits_gets_them(
    square_clip: Path, runner: NetworkRunner, on_device: OnDevice, mode: str
) -> None:
    on_device.adopt(HeadModel(), runner.companion(HeadModel()))
    branch = runner.companion(AlteringBranch(0.5)).branch
    on_device.adopt(AlteringBranch(0.5), AlteringRunner(on_device, branch))
    both = []
    for its_runner in (runner, on_device):
        pipeline = MODES[mode].pipeline(its_runner)
        pipeline.keep_logits = True
        with open_video(square_clip, references=True) as video:
            both.append(list(pipeline.run(itertools.islice(video, 4))))
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(other.logits, one.logits, atol=2e-3)
        assert np.mean(one.labels != other.labels) <= TIES
        assert (one.occluded is None) == (other.occluded is None)
        assert one.occluded is None or np.array_equal(one.occluded, other.occluded)


@pytest.mark.parametrize("mix_lost", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.75])
@pytest.mark.parametrize("kinds", [(Probabilities, DeviceProbabilities), (Features, DeviceFeatures)])
def test_any_motion_leads_to_the_same_scores(
    runner: NetworkRunner, on_device: OnDevice, mix_lost: bool, scale: float, kinds: Any
) -> None:
    """In quarter pixels, far beyond the border as well, a third of the cells lost."""
    rng = np.random.default_rng(0)
    image = moving_square(1, (64, 96))[0]
    frame = Frame(0, None, Fraction(1), "I", True, 0, (64, 96), load_image=lambda: image)
    motion = MotionField(
        rng.integers(-160, 161, (16, 24, 2)).astype(np.float32) / 4, rng.random((16, 24)) < 0.3, (64, 96), (4, 4)
    )
    both = []
    for kind, its_runner in zip(kinds, (runner, on_device), strict=True):
        carrier = kind(its_runner, mix_lost=mix_lost, key_scale=scale)
        seen = carrier.see(frame, unclocked)
        passenger = Passenger(frame, motion, seen.payload, carrier)
        both += [seen.logits, carrier.carry([passenger], unclocked)[0].scores]
    looked, brought, looked_there, brought_there = both
    assert isinstance(looked_there, DeviceScores)
    assert isinstance(brought_there, DeviceScores)
    np.testing.assert_allclose(looked_there.full(), looked, atol=1e-3)
    full = brought if isinstance(brought, np.ndarray) else brought.full()
    np.testing.assert_allclose(brought_there.full(), full, atol=2e-3)


def test_the_later_look_counts_by_cell(runner: NetworkRunner, on_device: OnDevice) -> None:
    rng = np.random.default_rng(1)
    maps = [rng.dirichlet(np.ones(3), (16, 24)).astype(np.float32) for _ in range(2)]
    fields = [
        MotionField(
            rng.integers(-40, 41, (16, 24, 2)).astype(np.float32) / 4, rng.random((16, 24)) < 0.2, (64, 96), (4, 4)
        )
        for _ in range(2)
    ]
    part = rng.random((16, 24)).astype(np.float32)
    frame = Frame(1, None, Fraction(1), "P", False, 1, (64, 96))
    own = Probabilities(runner, mix_lost=True)
    expected = own.carry_mixed(Passenger(frame, fields[0], maps[0], own), fields[1], maps[1], part)
    there = DeviceProbabilities(on_device, mix_lost=True)
    payloads = [torch.from_numpy(each).permute(2, 0, 1)[None] for each in maps]
    found = there.carry_mixed(Passenger(frame, fields[0], payloads[0], there), fields[1], payloads[1], part)
    assert isinstance(found, DeviceScores)
    np.testing.assert_allclose(found.full(), expected, atol=1e-5)

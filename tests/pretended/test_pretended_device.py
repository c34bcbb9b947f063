"""Device correctness without a GPU: modes and training on a pretended device, which refuses to mix with the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="the extra segformer is not installed")

from tests.tools.train.test_processes import camvid  # noqa: F401 - a fixture

HERE = Path(__file__).parent
MODES = (
    "frame",
    "lr",
    "motion",
    "motion, smaller keyframes",
    "motion, features",
    "auto",
    "flow, dis",
    "flow, features",
)
MODES += ("guided", "guided, light flow", "ar, evidence", "ar, creff", "clip")
FRAMES, LABELS, PLANES, CELLS = 8, 64 * 96, 64 * 96 * 3 // 2, 16 * 24
ROUTER = 5 * CELLS
"""What the router is told of a look: a label of one byte and a doubt of four for each cell."""
FLOW = 3 * 4 * CELLS
TIES, ROUNDED = 1e-4, {"flow, features": 1e-3, "ar, creff": 1e-3}
"""Shares of pixels whose best classes are so near to each other that rounding decides; OpenCV, on the CPU, rounds where
flow leads to 1/32 of a cell."""


def run(script: str, *arguments: object) -> Any:
    """What a script here prints last, as JSON; in a process of its own, since a backend is registered for good."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1], env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def environment() -> dict[str, str]:
    """The tests' own helpers are importable from the repository root."""
    paths = [str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run("modes.py", tmp_path_factory.mktemp("modes"))


@pytest.fixture(scope="module")
def training(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: F811
    return run("training.py", camvid, tmp_path_factory.mktemp("training") / "out")


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_gives_the_cpus_labels_and_mixes_no_devices(modes: Any, mode: str) -> None:
    found = modes[mode]
    assert found["differ"] <= ROUNDED.get(mode, TIES) * FRAMES * LABELS
    assert found["same_looks"]
    assert found["masks"], "where motion could not tell"
    assert found["occluded"] == FRAMES - len(found["looks"])
    assert found["frames"] == FRAMES
    assert found["classes"] > 1 or mode == "lr"


@pytest.mark.parametrize("mode", MODES)
def test_one_map_of_labels_comes_from_the_device_for_a_frame(modes: Any, mode: str) -> None:
    found = modes[mode]
    looks = len(found["looks"])
    others = {
        "auto": [["torch.uint8", ROUTER]] * looks,
        "guided, light flow": [["torch.float32", FLOW]] * (FRAMES - looks),
    }.get(mode, [])
    masks = FRAMES - looks if mode == "guided" else 0  # the shipped form of a head tells where it doubts
    labels = [["torch.uint8", LABELS]] * (FRAMES - masks) + [["torch.uint8", LABELS + CELLS]] * masks
    assert sorted(found["down"]) == sorted(labels + others)
    assert found["waits"] == ["event"] * (FRAMES + len(others)), "one for each copy, and none for anything else"
    assert not found["waited_for"], "copies are pinned and asynchronous"


@pytest.mark.parametrize("mode", MODES)
def test_planes_go_up_and_motion_on_cells(modes: Any, mode: str) -> None:
    found = modes[mode]
    pictures = [size for kind, size in found["up"] if kind == "torch.uint8"]
    sees_all = mode in ("frame", "lr", "clip") or mode.startswith(("guided", "ar"))
    assert pictures == [PLANES] * (FRAMES if sees_all else len(found["looks"]))
    motion = [size for kind, size in found["up"] if kind == "torch.float32"]
    assert (len(motion) > 0) == (mode not in ("frame", "lr", "clip"))
    lost = [size for kind, size in found["up"] if kind == "torch.int32"]
    assert (len(lost) > 0) == (mode.startswith("motion") or mode == "guided"), "lost cells' nearest ones"


def test_a_look_between_keyframes_is_carried_back(modes: Any) -> None:
    found = modes["auto"]
    assert 3 in found["looks"], "where something is new"
    up = [size for kind, size in found["up"] if kind == "torch.float32"]
    motion, shares = up.count(2 * 4 * CELLS), up.count(4 * CELLS)
    assert motion == FRAMES - len(found["looks"]) + 2, "of two frames also the way to the later look"
    assert shares == 2


def test_every_mode_is_there(modes: Any) -> None:
    assert set(modes) == set(MODES)


def test_the_pretended_device_notices_what_a_gpu_would(tmp_path: Path) -> None:
    script = tmp_path / "mixing.py"
    script.write_text(
        "from tests.pretended.device import MixedDevicesError, pretend_device\n"
        "import json, torch\n"
        "own, other = torch.ones(2, device=pretend_device()), torch.ones(2)\n"
        "found = []\n"
        "for attempt in (lambda: own + other, lambda: torch.cat([own, other]), lambda: own.numpy()):\n"
        "    try:\n"
        "        attempt()\n"
        "    except (MixedDevicesError, RuntimeError, TypeError) as error:\n"
        "        found.append(type(error).__name__)\n"
        "total, scaled = own + other.to(own.device), own * torch.tensor(3.0)\n"
        "print(json.dumps([found, total.cpu().tolist(), scaled.cpu().tolist()]))\n"
    )
    errors, total, scaled = run(str(script))
    assert errors[:2] == ["MixedDevicesError", "MixedDevicesError"]
    assert len(errors) == 3
    assert total == [2.0, 2.0]
    assert scaled == [3.0, 3.0]
    assert torch.ones(1).device.type == "cpu"


@pytest.mark.parametrize("name", ["hr", "lr", "temporal", "ar", "propagation", "clip"])
def test_a_training_step_gives_the_cpus_gradients(training: Any, name: str) -> None:
    assert training[name]["parameters"] > 30
    assert training[name]["difference"] < (1e-2 if name == "clip" else 1e-5)  # MRCFA's choice of tokens is discrete

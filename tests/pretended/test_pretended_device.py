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
MODES = ("frame", "lr", "motion", "motion, features", "flow, dis", "flow, features", "guided", "ar, evidence")
MODES += ("ar, creff", "clip")


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
    assert found["equal"]
    assert found["frames"] == 8
    assert found["classes"] > 1 or mode == "lr"
    assert found["to"] > 0
    assert found["from"] > 0


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

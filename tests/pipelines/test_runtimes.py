"""Every mode on OpenVINO labels as in torch; what runs is chosen, told, and part of what a run can be resumed by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from torch.utils.flop_counter import FlopCounterMode

from gopseg.codec import open_video
from gopseg.errors import InputError
from gopseg.pipelines import MODES, NetworkRunner, StreamRequest, StreamUsageError
from gopseg.pipelines.carriers import AlteringRunner
from gopseg.pipelines.modes.building import AlteringBranch, HeadModel, LowBranch
from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    ModelError,
    PropagationModel,
    PropagationSettings,
    RuntimeNetwork,
    SegmentationNetwork,
    build_fusion,
    in_torch,
)

CASES: list[tuple[str, dict[str, Any]]] = [
    ("frame", {}),
    ("motion", {}),
    ("motion", {"carry": "features"}),
    ("flow", {}),
    ("lr", {}),
    ("ar", {}),
    ("guided", {}),
]


def made_for(runtime: Any, kind: type[SegmentationNetwork]) -> NetworkRunner:
    """A runner with branches and a head that are not trained, the same in each runtime."""
    runner = NetworkRunner(kind(), device="cpu", precision="fp32", runtime=runtime)
    torch.manual_seed(0)
    branch = AlteringResolution(LowResolution(kind(), 0.5), build_fusion("evidence", kind())).eval()
    low = NetworkRunner(LowResolution(kind(), 0.5), device="cpu", precision="fp32", runtime=runtime)
    runner.adopt(LowBranch(0.5), low)
    runner.adopt(AlteringBranch(0.5), AlteringRunner(runner, branch))
    settings = PropagationSettings(classes=runner.classes, stride=4, width=8)
    runner.adopt(HeadModel(), PropagationModel(settings).eval())
    return runner


@pytest.fixture(scope="module")
def runners(request: pytest.FixtureRequest) -> dict[str, NetworkRunner]:
    return {}


@pytest.mark.parametrize(("mode", "options"), CASES, ids=[f"{mode} {' '.join(o)}" for mode, o in CASES])
def test_modes_label_as_in_torch(
    mode: str,
    options: dict[str, Any],
    network: SegmentationNetwork,
    square_clip: Path,
    runners: dict[str, NetworkRunner],
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    found = {}
    for runtime in ("torch", "openvino"):
        runner = runners.get(runtime) or runners.setdefault(runtime, made_for(runtime, type(network)))
        assert runner.runtime == runtime
        with open_video(square_clip, motion=True) as video:
            found[runtime] = list(MODES[mode].pipeline(runner, keep_logits=True, **options).run(video))
    for ours, theirs in zip(found["openvino"], found["torch"], strict=True):
        np.testing.assert_allclose(ours.logits, theirs.logits, atol=2e-3)
        assert (ours.labels == theirs.labels).mean() > 0.999


def test_branches_run_there_too(network: SegmentationNetwork) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    runner = made_for("openvino", type(network))
    assert isinstance(runner.network, RuntimeNetwork)
    assert isinstance(runner.companion(LowBranch(0.5)).network.network, RuntimeNetwork)
    altering = runner.companion(AlteringBranch(0.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(altering.branch, "fuse", None)  # not called
        patch.setattr(runner.companion(HeadModel()).head, "step", None)
        for mode in ("ar", "guided"):
            MODES[mode].pipeline(runner).warm_up((67, 93))
    creff = AlteringResolution(LowResolution(type(network)(), 0.5), build_fusion("creff", type(network)())).eval()
    assert isinstance(AlteringRunner(runner, creff).branch.low.network, RuntimeNetwork)


def test_operations_of_branches_are_counted_in_torch(network: SegmentationNetwork, square_clip: Path) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    counts = {}
    for runtime in ("torch", "openvino"):
        runner = made_for(runtime, type(network))
        for mode in ("ar", "guided"):
            pipeline = MODES[mode].pipeline(runner)
            with in_torch(), FlopCounterMode(display=False) as counter, open_video(square_clip, motion=True) as video:
                list(pipeline.run(video))
            counts[runtime, mode] = counter.get_total_flops()
    assert counts["openvino", "ar"] == counts["torch", "ar"] > 0
    assert counts["openvino", "guided"] == counts["torch", "guided"] > 0


@pytest.mark.parametrize(("mode", "parts"), [("frame", {"logits"}), ("ar", {"features", "classify"})])
def test_warming_up_compiles_what_the_mode_runs_and_nothing_else(
    mode: str, parts: set[str], network: SegmentationNetwork
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    runner = made_for("openvino", type(network))
    requests: dict[str, Any] = runner.network.engine._requests  # type: ignore[union-attr]  # of the branch's, too
    requests.clear()
    MODES[mode].pipeline(runner).warm_up((67, 93))
    assert set(requests) == parts


def test_precisions_that_a_runtime_has_not_are_refused(network: SegmentationNetwork) -> None:
    with pytest.raises(StreamUsageError, match="--precision int8 is for --runtime openvino"):
        NetworkRunner(network, device="cpu", precision="int8")
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    with pytest.raises(StreamUsageError, match="--precision fp16 needs a CUDA device"):
        NetworkRunner(network, device="cpu", precision="fp16", runtime="openvino")
    with pytest.raises(ModelError, match="no weight file beside which a quantised graph could lie"):
        NetworkRunner(network, device="cpu", precision="int8", runtime="openvino")
    with pytest.raises(ModelError, match="no weight file beside which a quantised graph could lie"):
        NetworkRunner(network, device="cpu", precision="int8", runtime="auto")


def test_the_runtime_is_told_and_recorded(
    stream: Callable[..., Result], square_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stats = tmp_path / "stats.json"
    result = stream(square_clip, "--runtime", "openvino", "--precision", "fp32", "-v", "--stats", stats)
    assert result.exit_code == 0, result.output
    assert "computed by openvino in fp32 on the CPU" in result.stderr
    assert json.loads(stats.read_text())["runtime"] == "openvino"


def test_a_run_is_resumed_on_its_own_runtime_only() -> None:
    mode = MODES["frame"]
    asked = [
        StreamRequest(source="x.mp4", runtime=runtime).asked("frame", mode.parse({})) for runtime in ("torch", "onnx")
    ]
    assert {key for key in asked[0] if asked[0][key] != asked[1][key]} == {"runtime"}
    with pytest.raises(InputError, match="--runtime tensorrt: unknown; take one of auto, torch"):
        StreamRequest(source="x.mp4", runtime="tensorrt")  # type: ignore[arg-type]

import json

import pytest
import torch
from click.testing import CliRunner

from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.benchmark.main import segnet as main

torch.set_num_threads(1)  # the pictures are tiny, and a busy machine makes threads wait for each other


def test_memory_of_two_runs(tmp_path):
    torch.manual_seed(0)
    file = tmp_path / "random.safetensors"
    save_model(SwiftNet(3), file, "swiftnet18")
    result = CliRunner().invoke(main, ["memory", "--model", str(file), "--short", "4", "--long", "60"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert set(report["peak_mib"]) == {"4", "60"}
    assert 50 < report["peak_mib"]["60"] < 4000
    assert report["growth"] == pytest.approx(report["peak_mib"]["60"] / report["peak_mib"]["4"] - 1, abs=1e-3)

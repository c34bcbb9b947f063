"""`benchmark-segnet network` and `threads`: rows in turns, figures side by side, what is missing named."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.segnet import ModelError
from gopseg.tools.benchmark import networks
from gopseg.tools.benchmark.commands import network, threads
from gopseg.tools.benchmark.threads import compare_alone


def test_calls_take_turns_after_one_that_warms_up():
    order = []
    timed = networks.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert set(timed["a"]) == {"wall_ms", "cpu_ms"}


def test_rows_are_compared_with_the_first_and_what_cannot_be_made_is_named(monkeypatch):
    def make(model, row, image):
        assert image.shape == (24, 32, 3)
        if row.startswith("onnx"):
            raise ModelError("onnx is not installed")
        return lambda: sum(range(20_000 if row.startswith("torch") else 200_000))

    monkeypatch.setattr(networks, "make_call", make)
    result = CliRunner().invoke(
        network,
        ["--model", "m", "--size", "32x24", "--repeats", "3", "--rows", "torch as loaded,openvino fp32,onnx fp32"],
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["size_hw"] == [24, 32]
    assert report["left_out"] == {"m: onnx fp32": "onnx is not installed"}
    assert report["networks"]["m: torch as loaded"]["times_first"] == 1
    assert report["networks"]["m: openvino fp32"]["times_first"] < 1
    assert "m: onnx fp32" in result.stderr


def test_the_plain_network_and_the_loaded_one_are_run():
    image = np.zeros((16, 20, 3), np.uint8)
    for row in networks.ROWS[:2]:
        assert networks.make_call("swiftnet-lite0-camvid", row, image)() is not None


@pytest.mark.parametrize(
    ("command", "arguments", "reason"),
    [
        (network, ["--rows", "tensorrt"], "unknown row 'tensorrt'; there are: torch fp32 eager"),
        (threads, [__file__, "--threads", "1,none"], "'1,none' is no list of numbers of threads"),
    ],
)
def test_what_cannot_be_is_refused(command, arguments, reason):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_the_network_alone_is_split_among_threads_in_both_ways():
    image = np.zeros((16, 20, 3), np.uint8)
    before = torch.get_num_threads()
    found = compare_alone("swiftnet-lite0-camvid", "torch", image, (1, 2), 1)
    assert [(each["threads_a_picture"], each["in_flight"]) for each in found] == [(1, 1), (2, 1), (1, 2)]
    assert all(each["pictures_per_second"] > 0 and each["cpu_ms_per_picture"] > 0 for each in found)
    assert torch.get_num_threads() == before

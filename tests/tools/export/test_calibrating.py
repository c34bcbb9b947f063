"""Branches and heads are calibrated on what they are given for frames of drives past pictures."""

import cv2
import numpy as np
import pytest
import torch

from gopseg.data import SyntheticStreet
from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    PropagationModel,
    PropagationSettings,
    branch_graphs,
    build_fusion,
    build_network,
    head_graph,
)
from gopseg.tools.export.calibrating import of_branch, of_head

SIZE_HW = (64, 96)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("swiftnet-lite0", ("road", "car", "sky")).eval()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        picture, _ = SyntheticStreet(seed=i).frame(0)
        small = cv2.resize(picture, SIZE_HW[::-1], interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{i}.png"), small[..., ::-1])
    return folder


def test_a_branch_is_given_the_last_frames_of_drives(network, pictures):
    branch = AlteringResolution(LowResolution(network, 0.5), build_fusion("evidence-light", network)).eval()
    graph = branch_graphs(branch, ())[0].graph
    shown, record = of_branch(branch, graph, network, pictures, 3)
    assert record["pictures"] == ["0.png", "1.png", "2.png"]
    assert [float(each["distance"][0]) for each in shown] == [1, 2, 3]
    for each in shown:
        assert list(each) == list(graph.inputs)
        assert each["small"].shape == (1, 3, 32, 48)
        assert each["displacement"].shape == (1, 16, 24, 2)
        assert each["unreferenced"].mean() + np.abs(each["displacement"]).mean() > 0  # something moves


def test_a_head_is_given_the_last_steps_of_drives(network, pictures):
    settings = PropagationSettings(classes=network.classes, stride=4, width=8, photometric=True)
    model = PropagationModel(settings).eval()
    graph = head_graph(model, ()).graph
    shown, _ = of_head(model, graph, network, pictures, 1)
    assert list(shown[0]) == list(graph.inputs)
    assert shown[0]["scores"].shape == (1, 3, 16, 24)
    assert not np.array_equal(shown[0]["frame"], shown[0]["reference"])

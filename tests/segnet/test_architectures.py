"""The torch-free part of the face: names of architectures and of shipped weights."""

import subprocess
import sys

import pytest

from gopseg.segnet import DEFAULT_MODEL, ModelError, architecture_names, build_network, find_weights, shipped_models

LISTING = """
import sys
from gopseg.segnet import ARCHITECTURES, DEFAULT_MODEL, architecture_names, read_card, shipped_models
assert all(ARCHITECTURES[name].help for name in architecture_names())
assert DEFAULT_MODEL in shipped_models() and read_card(DEFAULT_MODEL)
heavy = {"torch", "safetensors", "transformers", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_names_are_listed_without_torch():
    subprocess.run([sys.executable, "-c", LISTING], check=True)


def test_shipped_models_are_the_networks_without_what_belongs_to_them():
    assert DEFAULT_MODEL in shipped_models()
    assert f"{DEFAULT_MODEL}-guided" not in shipped_models()
    assert find_weights(f"{DEFAULT_MODEL}-guided").is_file()


def test_a_network_knows_what_it_was_built_by():
    assert "swiftnet18" in architecture_names()
    assert build_network("swiftnet18", 2).architecture == "swiftnet18"
    with pytest.raises(ModelError, match=r"unknown architecture 'x'; there are: camvid-bise18, "):
        build_network("x", 2)

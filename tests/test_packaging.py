"""The wheel: built from the tree, unpacked elsewhere, imported there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_SOURCE = (".*", "shared", "build", "demo", "dist", "runs", "tests", "__pycache__", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy of the tree, which setuptools writes into."""
    pytest.importorskip("setuptools", reason="setuptools is not installed (extra test)")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*NOT_SOURCE))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(folder), "./source"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folders = [ROOT.joinpath(*package.split(".")[1:]) for package in setup["options"]["packages"].split()]
    wanted = {
        "gopseg/" + file.relative_to(ROOT).as_posix()
        for folder in folders
        for pattern in ("*.py", "*.pyi", "*.safetensors", "*.xml", "*.bin")
        for file in folder.glob(pattern)
    }
    wanted |= {f"gopseg/segnet/weights/{file.name}" for file in (ROOT / "segnet/weights").glob("*.json")}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert held == wanted | {"gopseg/py.typed"}
    assert wheel.stat().st_size < 100 << 20
    for line in ("Author: The gopseg authors", "Classifier: Typing :: Typed", "Requires-Dist: opencv-python-headless"):
        assert line in metadata


def test_the_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = (
        "import gopseg, gopseg.__main__, pathlib\n"
        "from gopseg.segnet import shipped_models\n"
        "print(pathlib.Path(gopseg.__file__).parent, gopseg.__version__, *shipped_models())\n"
        "network = gopseg.load_network('swiftnet18-camvid')\n"
        "print(len(network.classes), gopseg.open_video.__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.split()[0] == str(tmp_path / "site" / "gopseg")
    assert "swiftnet18-camvid" in first.split()
    assert second.split()[0] == "11"
    scripts = zipfile.ZipFile(wheel).read(f"{wheel.name.split('-py3')[0]}.dist-info/entry_points.txt").decode()
    assert "gopseg = gopseg.__main__:main" in scripts

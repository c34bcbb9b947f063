"""The house in order: packages, faces, floors, and the sizes of folders and modules."""

from __future__ import annotations

import ast
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("codec", "data", "pipelines", "preprocess", "segnet", "tools")
MOST_MODULES = 12
MOST_LINES = 500


@pytest.fixture(scope="module")
def setup() -> ConfigParser:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def packages() -> list[str]:
    """Every package in the tree, by its folder."""
    found = [file.parent.relative_to(ROOT) for room in ROOMS for file in (ROOT / room).rglob("__init__.py")]
    return sorted("gopseg." + ".".join(folder.parts) for folder in found)


def folder_of(package: str) -> Path:
    return ROOT.joinpath(*package.split(".")[1:])


def test_the_packages_listed_are_those_in_the_tree(setup: ConfigParser) -> None:
    assert setup["options"]["packages"].split() == ["gopseg", *packages()]
    modules = {file.parent for room in ROOMS for file in (ROOT / room).rglob("*.py")}
    assert {folder_of(package) for package in packages()} == modules


def test_every_room_is_entered_by_its_face(setup: ConfigParser) -> None:
    contracts = {
        section["protected_modules"].strip(): section["allowed_importers"].strip()
        for name, section in setup.items()
        if name.startswith("importlinter:contract:face-")
    }
    with_modules = [
        package for package in packages() if any(file.name != "__init__.py" for file in folder_of(package).glob("*.py"))
    ]
    assert contracts == {f"{package}.*": package for package in with_modules}


def test_mypy_and_the_hooks_see_every_root_module() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = next(line for line in makefile.splitlines() if line.startswith("MODULES := ")).split(" := ")[1].split()
    assert sorted(listed) == sorted(file.stem for file in ROOT.glob("*.py") if file.stem != "__init__")


@pytest.mark.parametrize("package", ["gopseg", *packages()])
def test_faces(package: str) -> None:
    """What a stub gives is spelled once, re-exported on purpose, and shadows neither a module nor a folder."""
    stub = folder_of(package) / "__init__.pyi"
    if not stub.exists():
        body = ast.parse((folder_of(package) / "__init__.py").read_text()).body
        assert not [node for node in body if isinstance(node, ast.ImportFrom)], "a face without a stub"
        return
    assert "attach_stub" in stub.with_suffix(".py").read_text()
    aliases = [
        alias for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    names = [alias.asname for alias in aliases]
    assert names == [alias.name for alias in aliases]
    assert len(set(names)) == len(names)
    children = {file.stem for file in stub.parent.glob("*.py")} | {
        folder.name for folder in stub.parent.iterdir() if (folder / "__init__.py").exists()
    }
    assert not children & set(names)


@pytest.mark.parametrize("package", ["gopseg", *packages()])
def test_folders_and_modules_stay_small(package: str) -> None:
    modules = [file for file in folder_of(package).glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES
    for file in modules:
        assert len(file.read_text().splitlines()) <= MOST_LINES, file

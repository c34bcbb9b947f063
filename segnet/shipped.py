"""Weights by name or file, without reading tensors: neither torch nor NumPy is imported for it."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from .errors import ModelError

DEFAULT_MODEL = "swiftnet-lite0-camvid"
"""The shipped network that commands take where none is named."""

SUFFIX = ".safetensors"


def shipped_weights() -> tuple[str, ...]:
    """Names of all weights that come with the package: networks, and what belongs to them (branches and heads)."""
    files = resources.files("gopseg.segnet.weights").iterdir()
    return tuple(sorted(f.name.removesuffix(SUFFIX) for f in files if f.name.endswith(SUFFIX)))


def shipped_models() -> tuple[str, ...]:
    """Names of the networks that come with the package."""
    return tuple(name for name in shipped_weights() if read_card(name).get("kind", "hr") == "hr")


def find_weights(name_or_file: str | Path) -> Path:
    """The path of a `.safetensors` file or of shipped weights by name; ModelError if there is none."""
    path = Path(name_or_file)
    if path.suffix == SUFFIX:
        if path.is_file():
            return path
        raise ModelError(f"model file '{path}' does not exist")
    if str(name_or_file) in shipped_weights():
        return Path(str(resources.files("gopseg.segnet.weights") / f"{name_or_file}{SUFFIX}"))
    if path.is_file():
        raise ModelError(f"'{path}' holds no network, which is in a {SUFFIX} file{_hint(path)}")
    if path.is_dir():
        raise ModelError(f"'{path}' is a folder, and a model is a {SUFFIX} file{_hint(path / 'best')}")
    raise ModelError(
        f"unknown model '{name_or_file}'; give a .safetensors file, hf:NAME_OR_FOLDER or one of: "
        f"{', '.join(shipped_models()) or '(none)'}"
    )


def _hint(path: Path) -> str:
    """What to give instead of something that is no weight file, as the end of a message."""
    beside = path.with_suffix(SUFFIX)
    if beside.is_file():
        return f"; give '{beside}'"
    if path.suffix in (".pt", ".pth"):
        return "; give best.safetensors of a run of train-segnet, or convert a published checkpoint by import-segnet"
    if path.with_name("config.json").is_file():
        return f"; for a model of transformers give hf:{path.parent}"
    return f"; give one, hf:NAME_OR_FOLDER or one of: {', '.join(shipped_models())}"


def read_card(name_or_file: str | Path) -> dict[str, Any]:
    """The model card beside the weights (data, seed, command, metrics), or an empty dict where there is none.

    A path may be of any model; a name is one of shipped weights, or a weight file's.
    """
    file = name_or_file if isinstance(name_or_file, Path) else find_weights(name_or_file)
    card = file.with_suffix(".json")
    loaded: dict[str, Any] = json.loads(card.read_text()) if card.is_file() else {}
    return loaded

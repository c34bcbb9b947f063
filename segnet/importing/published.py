"""Published checkpoints into our networks: strictly, whatever wraps them.

Keys may carry `module.` from nn.DataParallel. Some published networks register one tensor under two names: an alias
may be absent, and must agree with its target otherwise. The tensors of CReFF (`fuse_attention.*`) come along where a
file has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..architectures import ARCHITECTURES, build_network
from ..errors import ModelError, reading_foreign
from ..fusion import CReFF
from ..network import SegmentationNetwork

FUSION = "fuse_attention."
WRAPPERS = ("module.", "student.")
TRAINING_ONLY = ("flow", "teacher.", "criterion")
"""What begins the names of tensors that only ETC's trainer needs: flow network, teacher, losses."""
COUNTER = "num_batches_tracked"
SHOWN = 4
DETECTED = ("mrcfa-", "segformer-")
"""Beginnings of the architectures that `importing_mrcfa` finds by shapes; to build them takes `transformers`."""


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The bare state dict in a PyTorch file (no code in it is run) or a safetensors file; ModelError if there is none.

    It may lie under the key `state_dict` or `model`. Of ETC's trainer's files only the student is taken.
    """
    loaded = read_tensors(file)
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise ModelError(f"'{file}' holds no state dict, but {describe(loaded)}; give a file of named tensors")
    strange = [key for key, value in loaded.items() if not isinstance(value, Tensor)]
    if strange:
        raise ModelError(
            f"'{file}' is no state dict: {names(strange)} {'is' if len(strange) == 1 else 'are'} no tensor"
        )
    return {unwrapped(key): value for key, value in loaded.items() if not unwrapped(key).startswith(TRAINING_ONLY)}


def read_tensors(file: Path) -> Any:
    """What a PyTorch file (no code in it is run) or a safetensors file holds; ModelError if it cannot be read."""
    what = f"'{file}' cannot be read as a checkpoint of tensors"
    with reading_foreign(what):
        if file.suffix == ".safetensors":
            return load_file(file)
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except UnpicklingError as error:  # torch's own words advise to run the file's code
            raise ModelError(f"{what}: {unread(error)}") from error


def unread(error: UnpicklingError) -> str:
    """Why a PyTorch file was not read, and what to do."""
    found = re.search(r"\bGLOBAL ([\w.]+)", str(error))
    if found is None:
        return "it is damaged, or PyTorch did not write it; copy or download it again"
    return (
        f"it needs code of {found[1]}, and gopseg runs no code of a file; load it where it was made, and save its "
        "tensors alone: torch.save(model.state_dict(), FILE)"
    )


def unwrapped(key: str) -> str:
    """A key without leading `module.`, and without the `student.` of ETC's training wrapper."""
    while key.startswith(WRAPPERS):
        key = key.partition(".")[2]
    return key


def import_network(tensors: Mapping[str, Tensor], architecture: str) -> tuple[SegmentationNetwork, CReFF | None]:
    """A published network, in eval mode and float32, and its CReFF where the state dict holds one.

    How many classes there are is read from the tensors; they have no names yet. Raises ModelError for missing or
    unexpected keys, shapes that do not fit, and aliases that disagree.
    """
    fusion_tensors = {k.removeprefix(FUSION): v for k, v in tensors.items() if k.startswith(FUSION)}
    own = resolve_aliases({k: v for k, v in tensors.items() if not k.startswith(FUSION)}, architecture)
    network = build_network(architecture, class_count(own, architecture))
    load_strictly(network, own, architecture)
    fusion = None
    if fusion_tensors:
        fusion = CReFF(network.feature_channels)
        load_strictly(fusion, fusion_tensors, f"CReFF of {architecture}", FUSION)
    return network.eval(), fusion


def resolve_aliases(tensors: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """The tensors under the names that our network has; ModelError where two names of one tensor disagree."""
    with torch.device("meta"):
        aliases = build_network(architecture, 2).published_aliases
    resolved = dict(tensors)
    for alias, target in aliases.items():
        for key in [key for key in tensors if key.startswith(alias)]:
            value = resolved.pop(key)
            name = target + key.removeprefix(alias)
            if not torch.equal(resolved.setdefault(name, value), value):
                raise ModelError(f"'{key}' and '{name}' are one tensor in {architecture}, but differ in the checkpoint")
    return resolved


def class_count(tensors: Mapping[str, Tensor], architecture: str) -> int:
    """The number of classes, by a tensor whose shape depends on it; ModelError where there is none."""
    with torch.device("meta"):
        two, three = (build_network(architecture, count).state_dict() for count in (2, 3))
    for key, value in two.items():
        if value.shape != three[key].shape and key in tensors and tensors[key].ndim == value.ndim:
            return next(n for n, a, b in zip(tensors[key].shape, value.shape, three[key].shape, strict=True) if a != b)
    raise ModelError(f"not a checkpoint of {architecture}: it has no classifier{hint(tensors)}")


def load_strictly(module: torch.nn.Module, tensors: Mapping[str, Tensor], what: str, prefix: str = "") -> None:
    """Load all tensors of a module; ModelError that names the keys or shapes that do not fit.

    The counters of batch norms may be absent, as from files that are older than they are.
    """
    own = module.state_dict()
    counters = {key for key in own if key.endswith(COUNTER) and key.removesuffix(COUNTER) + "running_var" in tensors}
    tensors = {key: own[key] for key in counters} | dict(tensors)
    missing = [prefix + key for key in own if key not in tensors]
    unexpected = [prefix + key for key in tensors if key not in own]
    if missing or unexpected:
        faults = [f"{word} {names(keys)}" for word, keys in (("missing", missing), ("unexpected", unexpected)) if keys]
        raise ModelError(f"not a checkpoint of {what}: {'; '.join(faults)}{hint(tensors)}")
    misfits = [
        f"'{prefix}{key}' is {tuple(tensors[key].shape)}, not {tuple(value.shape)}"
        for key, value in own.items()
        if tensors[key].shape != value.shape
    ]
    if misfits:
        raise ModelError(f"not a checkpoint of {what}: {shortened(misfits)}")
    module.load_state_dict(tensors)


def hint(tensors: Mapping[str, Tensor]) -> str:
    """Which architectures have all these keys, as the end of a message; empty where there is none."""
    found = []
    with torch.device("meta"):
        for name in ARCHITECTURES:
            if name.startswith(DETECTED):
                continue
            network = build_network(name, 2)
            known = set(network.state_dict())
            aliases = tuple(network.published_aliases)
            if all(key in known or (aliases and key.startswith(aliases)) for key in tensors):
                found.append(name)
    return f"; its keys are those of {' or '.join(found)}" if found and tensors else ""


def names(keys: Sequence[str]) -> str:
    """Some keys in quotation marks, with a count of the rest."""
    return shortened([f"'{key}'" for key in keys])


def shortened(items: Sequence[str]) -> str:
    """The first few, with a count of the rest."""
    rest = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def describe(loaded: Any) -> str:
    """What was found instead of a state dict."""
    return "nothing" if not loaded else f"a {type(loaded).__name__}"

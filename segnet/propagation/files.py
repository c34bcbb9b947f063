"""Weight files of propagation models: ours, and the published checkpoints of GSVNet and SwNet-seq."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ModelError
from ..importing import load_strictly, read_tensors, unwrapped
from ..networks import IMAGE_MEAN, IMAGE_STD, IMAGENET
from ..shipped import find_weights
from ..weight_files import fill, load_tensors, save_tensors
from .model import PropagationModel
from .settings import RGB, PropagationSettings

KIND = "propagation"
CLASSIFIER = "head.intra_net.intra_net.6.weight"
GUIDE = "head.guide.guide_conv.0.weight"


def _pixels(fractions: RGB) -> RGB:
    red, green, blue = fractions
    return 255 * red, 255 * green, 255 * blue


KEYFRAME_STATISTICS: dict[str, tuple[RGB, RGB]] = {
    "swiftnet": (IMAGE_MEAN, IMAGE_STD),
    "bisenet": (_pixels(IMAGENET.mean), _pixels(IMAGENET.std)),
}
"""Mean and deviation, RGB, 0..255, of the networks that the published heads were trained with."""


def save_propagation(model: PropagationModel, file: Path, *, half: bool = True) -> None:
    """Write weights as safetensors with the settings inside, in fp16, or in fp32 where not `half`."""
    metadata = {
        "kind": KIND,
        "architecture": "propagation",
        "classes": json.dumps(model.settings.classes),
        "settings": model.settings.to_json(),
    }
    save_tensors(model.state_dict(), file, metadata, half=half)


def load_propagation(
    name_or_file: str | Path, device: str | torch.device = "cpu", *, flow: str | None = None
) -> PropagationModel:
    """A model that `save_propagation` wrote, in eval mode, float32.

    `flow` (see `PropagationModel`) puts another motion source in the place of the one it was trained with; one that has
    weights ("light", "flownets", ...) must be the file's own. ModelError where the file is none of ours.
    """
    path = find_weights(name_or_file)
    tensors, metadata = load_tensors(path)
    if metadata.get("kind") != KIND:
        raise ModelError(f"'{path}' is no propagation model; make one with train-segnet propagation or import-segnet")
    settings = PropagationSettings.from_json(metadata.get("settings", "null"), path)
    model = PropagationModel(settings, flow=flow)
    if not any(key.startswith("flow.") for key in model.state_dict()):
        tensors = {key: value for key, value in tensors.items() if not key.startswith("flow.")}
    fill(model, tensors, path, f"a head with motion by '{model.settings.flow}'")
    model.weights_file = path
    return model.eval().to(device)


def read_propagation_checkpoint(file: Path) -> Mapping[str, Any]:
    """A published checkpoint's dict; no code in it is run, but its `args` (an argparse.Namespace) may be there.

    ModelError where it cannot be read.
    """
    with torch.serialization.safe_globals([argparse.Namespace]):
        loaded = read_tensors(file)
    if not isinstance(loaded, Mapping):
        raise ModelError(f"'{file}' holds no propagation checkpoint, but a {type(loaded).__name__}")
    return loaded


def import_propagation(
    checkpoint: Mapping[str, Any],
    keyframes: Literal["swiftnet", "bisenet"] = "swiftnet",
    names_by_count: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> PropagationModel:
    """A published checkpoint (`read_propagation_checkpoint`) as a model in eval mode.

    `checkpoint` holds `state_dict` (keys `grm.*`) and `state_dict_of` (the flow network's: light or FlowNetS);
    `keyframes` is the network it was trained with, whose normalisation it shares. Class count and edge channel are read
    off the shapes, and the classes named where `names_by_count` knows so many; everything else must fit strictly.
    ModelError names what does not.
    """
    parts = [checkpoint.get(name) for name in ("state_dict", "state_dict_of")]
    if not all(isinstance(part, Mapping) for part in parts):
        raise ModelError(
            f"no propagation checkpoint: it needs 'state_dict' and 'state_dict_of', but has {sorted(checkpoint)}"
        )
    head, flow = ({unwrapped(key): value for key, value in (part or {}).items()} for part in parts)
    tensors: dict[str, Tensor] = {f"head.{key.removeprefix('grm.')}": value for key, value in head.items()}
    tensors |= {f"flow.network.{key}": value for key, value in flow.items()}
    for key in (CLASSIFIER, GUIDE):
        if key not in tensors:
            raise ModelError(f"no propagation checkpoint: its 'state_dict' lacks '{key}'")
    classes, guides = tensors[CLASSIFIER].shape[0], tensors[GUIDE].shape[1]
    mean, std = KEYFRAME_STATISTICS[keyframes]
    settings = PropagationSettings.published(
        names_by_count.get(classes, classes),
        edges=guides > classes,
        flow="flownets" if "predict_flow2.weight" in flow else "light",
        mean=mean,
        std=std,
    )
    model = PropagationModel(settings)
    load_strictly(model, tensors, "a propagation head with its flow network")
    return model.eval()

"""`load_network`: the one way to a trained network."""

from __future__ import annotations

from pathlib import Path

import torch

from .importing import HF_PREFIX, load_hf
from .network import SegmentationNetwork
from .runtime import is_exported, load_exported
from .weight_files import load_model


def load_network(name_or_file: str | Path, device: str | torch.device = "cpu") -> SegmentationNetwork:
    """A trained network in eval mode, float32, channels-last, on `device`.

    `name_or_file` is the name of shipped weights (`shipped_models()`), a `.safetensors` file that gopseg wrote, or
    `hf:NAME_OR_FOLDER`: a semantic segmentation model of Hugging Face's transformers, from the hub or a folder, or a
    graph that export-segnet wrote (`.xml`, `.onnx`: a `RuntimeNetwork`, which runs on the CPU only). The
    network's `weights_file` says where its weights lie, `architecture` what it is. ModelError, which names what there
    is, for anything else.
    """
    name = str(name_or_file)
    network: SegmentationNetwork
    if is_exported(name):
        network = load_exported(Path(name_or_file))
    else:
        network = load_hf(name.removeprefix(HF_PREFIX)) if name.startswith(HF_PREFIX) else load_model(name_or_file)
    return network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

"""`hf:NAME_OR_FOLDER`: semantic segmentation models of Hugging Face's transformers as keyframe networks."""

from __future__ import annotations

from collections.abc import Mapping
from logging import getLogger
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError, reading_foreign
from ..network import SegmentationNetwork
from .adapter import InputSize, as_segmentation_network

HF_PREFIX = "hf:"
_VOID = 255  # which many label lists name, and no model has a logit for
_LOG = getLogger(__name__)
ADVICE = "give a folder or a name on the hub that holds a semantic segmentation model and its preprocessor_config.json"


def load_hf(name_or_folder: str) -> SegmentationNetwork:
    """What transformers' AutoModelForSemanticSegmentation makes of a folder or of a name on the hub.

    Class names are the model's `id2label` (`names_of`); of a model of one class see `as_segmentation_network`.
    Normalisation, scale, size and channel order are those of its image processor's `preprocessor_config.json`, which is
    read as it is: the processor itself, which may need torchvision, is not made, and its centre crop is left out, since
    every pixel wants a label. Pictures are resized as it says, to a fixed size too, which gives up their aspect ratio.
    A folder's heads lie beside it, as those of a weight file. ModelError where transformers is missing, or where the
    model cannot be loaded or used.
    """
    name = f"{HF_PREFIX}{name_or_folder}"
    try:
        from transformers import AutoConfig, AutoModelForSemanticSegmentation
        from transformers.image_processing_base import ImageProcessingMixin
        from transformers.utils import logging
    except ImportError as error:
        raise ModelError(f"model '{name}' needs transformers: pip install 'gopseg[segformer]' ({error})") from error
    logging.disable_progress_bar()
    with reading_foreign(f"model '{name}' cannot be loaded", ADVICE):
        config = AutoConfig.from_pretrained(name_or_folder)
        processor, _ = ImageProcessingMixin.get_image_processor_dict(name_or_folder)
    if type(config) not in AutoModelForSemanticSegmentation._model_mapping:
        raise ModelError(f"model '{name}' cannot be loaded: '{config.model_type}' segments no pictures; {ADVICE}")
    processing = read_processing(processor, name_or_folder)
    with reading_foreign(f"model '{name}' cannot be loaded", ADVICE):
        module = AutoModelForSemanticSegmentation.from_pretrained(name_or_folder, config=config, dtype=torch.float32)
    names = names_of(config.id2label)
    unheard = {id: text for id, text in config.id2label.items() if not 0 <= id < len(names) and id != _VOID}
    if unheard:
        _LOG.warning(
            "model '%s': its id2label names %s, beyond its %d classes; these names are left out",
            name,
            ", ".join(f"{id} ('{text}')" for id, text in sorted(unheard.items())),
            len(names),
        )
    network = as_segmentation_network(module, classes=names, **processing)
    if Path(name_or_folder).is_dir():
        network.weights_file = Path(name_or_folder)
    return network


def names_of(id2label: Mapping[int, str]) -> list[str]:
    """The names of a model's classes in the order of its logits, of which there are as many as entries.

    An id that is no number of a logit, as 255 for void, names none; a logit without a name is "class N".
    """
    return [str(id2label.get(index, f"class {index}")) for index in range(len(id2label))]


def read_processing(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`mean`, `std`, `input_size` and `bgr` of `as_segmentation_network`, from an image processor's configuration.

    What a configuration leaves out is as its processor has it: rescaling by 1/255, resizing and normalisation are on;
    MobileViT's swaps channels and does not normalise, and means the shorter side by a size of one number. ModelError
    where numbers are missing.
    """
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    is_mobilevit = kind.startswith("MobileViT")
    scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    mean, std = [0.0] * 3, [1.0] * 3
    if config.get("do_normalize", not is_mobilevit):
        if not config.get("image_mean") or not config.get("image_std"):
            raise ModelError(f"'{name}': its preprocessor_config.json has no image_mean or image_std; add them to it")
        mean, std = list(config["image_mean"]), list(config["image_std"])
    size = config.get("size") if config.get("do_resize", True) else None
    return {
        "mean": [value / scale for value in mean],
        "std": [value / scale for value in std],
        "input_size": _input_size(size, name, shorter_side=is_mobilevit),
        "bgr": bool(config.get("do_flip_channel_order", is_mobilevit)),
    }


def _input_size(size: Any, name: str, *, shorter_side: bool) -> InputSize:
    if size is None:
        return None
    if isinstance(size, int):
        return size if shorter_side else (size, size)
    if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
        return int(size["height"]), int(size["width"])
    if isinstance(size, Mapping) and "shortest_edge" in size:
        return int(size["shortest_edge"])
    raise ModelError(
        f"'{name}': its preprocessor_config.json has the size {size}, which is not known; give height, width"
    )

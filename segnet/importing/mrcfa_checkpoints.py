"""Published MRCFA and SegFormer checkpoints into our networks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ..architectures import build_network
from ..errors import ModelError
from ..networks import MRCFA, SIZES, SegFormer
from .published import load_strictly

_UNUSED = "decode_head.conv_seg."  # a second classifier, which the published networks never call
_COUNTER = "num_batches_tracked"
_FIRST = "backbone.patch_embed1.proj.weight"
_CLASSIFIER = "decode_head.linear_pred.weight"
_REDUCTION = "decode_head.sr2.weight"


def detect_architecture(tensors: Mapping[str, Tensor]) -> str:
    """'mrcfa-b0' to 'segformer-b5', by keys and shapes; ModelError where it is neither, or MRCFA for Cityscapes.

    The published Cityscapes variant keeps its tokens on the grid of stride 16, for which we have no network.
    """
    if _FIRST not in tensors or _CLASSIFIER not in tensors:
        raise ModelError(f"not a checkpoint of MRCFA or SegFormer: it has no '{_FIRST}' and '{_CLASSIFIER}'")
    depth = [
        len({found[1] for key in tensors if (found := re.match(rf"backbone\.block{stage}\.(\d+)\.", key))})
        for stage in (1, 2, 3, 4)
    ]
    width = tensors[_FIRST].shape[0]
    name = next((n for n, size in SIZES.items() if (width, tuple(depth)) == (size.channels[0], size.blocks)), None)
    if name is None:
        raise ModelError(f"no Mix Transformer has {width} channels and {depth} blocks; there are {', '.join(SIZES)}")
    if _REDUCTION not in tensors:
        return f"segformer-{name}"
    if tensors[_REDUCTION].shape[-1] != 4:
        raise ModelError("it is MRCFA for Cityscapes, with tokens on the grid of stride 16; take one trained on VSPW")
    return f"mrcfa-{name}"


def import_clip_network(tensors: Mapping[str, Tensor], architecture: str) -> MRCFA | SegFormer:
    """A published MRCFA or SegFormer in eval mode and float32; the number of classes is read from the tensors.

    Names lack `module.` (see `importing.read_checkpoint`). The classifier that is never used is left out, and counters
    may be absent. Raises ModelError for missing or unexpected keys and shapes that do not fit, and where the checkpoint
    is of another architecture.
    """
    found = detect_architecture(tensors)
    if found != architecture:
        raise ModelError(f"it is a checkpoint of {found}, not of {architecture}; take --arch {found}")
    network = build_network(architecture, tensors[_CLASSIFIER].shape[0])
    assert isinstance(network, MRCFA | SegFormer)
    own = {key: value for key, value in tensors.items() if not key.startswith(_UNUSED)}
    counters = {key: value for key, value in network.state_dict().items() if key.endswith(_COUNTER)}
    load_strictly(network, counters | own, architecture)
    return network.eval()

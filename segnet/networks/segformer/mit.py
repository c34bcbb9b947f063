"""Mix Transformers (MiT-b0 to b5; Xie et al., "SegFormer", NeurIPS 2021), by `transformers`' implementation.

The library names and orders tensors differently in each of its major versions. Here they go by the names of the
published checkpoints, whichever version is installed, so that weights outlive it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError
from .sizes import SIZES

_DEFAULT_EPS = re.compile(r"patch_embed|attn\.norm")
_IN_STAGE = {"patch_embeddings.proj": "proj", "patch_embeddings.layer_norm": "norm"}
_IN_BLOCK = {
    "layernorm_before": "norm1",
    "attention.q_proj": "attn.q",
    "attention.k_proj": "attn.kv",
    "attention.v_proj": "attn.kv",
    "attention.o_proj": "attn.proj",
    "attention.sequence_reduction.sequence_reduction": "attn.sr",
    "attention.sequence_reduction.layer_norm": "attn.norm",
    "layernorm_after": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "mlp.dwconv.dwconv": "mlp.dwconv.dwconv",
    # up to version 4
    "layer_norm_1": "norm1",
    "attention.self.query": "attn.q",
    "attention.self.key": "attn.kv",
    "attention.self.value": "attn.kv",
    "attention.output.dense": "attn.proj",
    "attention.self.sr": "attn.sr",
    "attention.self.layer_norm": "attn.norm",
    "layer_norm_2": "norm2",
    "mlp.dense1": "mlp.fc1",
    "mlp.dense2": "mlp.fc2",
}
_VERSION_5 = re.compile(r"stages\.(?P<stage>\d)\.(?:blocks\.(?P<block>\d+)\.)?(?P<inner>.+)")
_VERSION_4 = re.compile(r"encoder\.(?P<kind>patch_embeddings|block|layer_norm)\.(?P<stage>\d)\.(?P<inner>.+)")


def published_key(key: str) -> str:
    """The published name of a tensor of `SegformerModel`, as any version of the library names it.

    Keys and values of attention are two tensors there and one here, so both have the same name. ModelError for others.
    """
    if found := _VERSION_5.fullmatch(key):
        stage, block, inner = int(found["stage"]) + 1, found["block"], found["inner"]
    elif found := _VERSION_4.fullmatch(key):
        stage, block, inner = int(found["stage"]) + 1, None, found["inner"]
        if found["kind"] == "block":
            block, _, inner = inner.partition(".")
        else:
            inner = f"{found['kind']}.{inner}"
    else:
        raise ModelError(f"'{key}' is no tensor of a Mix Transformer that this version knows; update gopseg")
    name, _, leaf = inner.rpartition(".")
    if block is not None and name in _IN_BLOCK:
        return f"block{stage}.{block}.{_IN_BLOCK[name]}.{leaf}"
    if block is None and name in _IN_STAGE:
        return f"patch_embed{stage}.{_IN_STAGE[name]}.{leaf}"
    if block is None and name == "layer_norm":
        return f"norm{stage}.{leaf}"
    raise ModelError(f"'{key}' is no tensor of a Mix Transformer that this version knows; update gopseg")


def key_map(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Published names, each with the library's names of the tensors that it joins: one, or keys and values."""
    joined: dict[str, tuple[str, ...]] = {}
    for key in keys:
        name = published_key(key)
        joined[name] = tuple(sorted((*joined.get(name, ()), key)))
    return joined


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of `SegformerModel` under the published names; keys and values joined."""
    return {
        name: state[keys[0]] if len(keys) == 1 else torch.cat([state[key] for key in keys])
        for name, keys in key_map(state).items()
    }


def from_published(state: Mapping[str, Tensor], keys: Iterable[str]) -> dict[str, Tensor]:
    """Tensors under published names as those of a `SegformerModel` whose state dict has `keys`; others are kept."""
    found = dict(state)
    for name, own in key_map(keys).items():
        if name in found:
            value = found.pop(name)
            found.update(zip(own, value.chunk(len(own)), strict=True))
    return found


class MixTransformer(nn.Module):
    """A Mix Transformer: images to maps at strides 4, 8, 16 and 32, each after its stage's LayerNorm.

    `size` is 'b0' to 'b5'. The state dict has the published names and shapes. Raises ModelError where `transformers`
    is not installed (extra `segformer`).
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        config, model = _library()
        self.channels = SIZES[size].channels
        self.model: Any = model(
            config(hidden_sizes=list(SIZES[size].channels), depths=list(SIZES[size].blocks), output_hidden_states=True)
        )
        for name, module in self.model.named_modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-5 if _DEFAULT_EPS.search(published_key(f"{name}.weight")) else 1e-6
        self._register_state_dict_hook(_publish)  # type: ignore[no-untyped-call]
        self._register_load_state_dict_pre_hook(_adopt, with_module=True)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(N, 3, H, W), both sides at least 32, to maps (N, C_i, ceil(H / s), ceil(W / s)) at s = 4, 8, 16, 32."""
        one, two, three, four = self.model(images).hidden_states
        return one, two, three, four


def _library() -> tuple[Any, Any]:
    try:
        from transformers import SegformerConfig, SegformerModel
    except ImportError as error:
        raise ModelError("a Mix Transformer needs 'transformers'; pip install 'gopseg[segformer]'") from error
    return SegformerConfig, SegformerModel


def _publish(_module: nn.Module, state: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    inner = prefix + "model."
    own = {key.removeprefix(inner): state.pop(key) for key in [key for key in state if key.startswith(inner)]}
    state.update({prefix + name: value for name, value in to_published(own).items()})


def _adopt(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    assert isinstance(module, MixTransformer)
    own = {key.removeprefix(prefix): state.pop(key) for key in [key for key in state if key.startswith(prefix)]}
    keys = [name for name, _ in module.model.named_parameters()]
    state.update({f"{prefix}model.{name}": value for name, value in from_published(own, keys).items()})

"""Cross-frame affinities of MRCFA (Sun et al., "Mining Relations among Cross-Frame Affinities for Video Semantic
Segmentation", ECCV 2022): which tokens of reference frames explain which places of a target frame.

Tensors have the names of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...resize import resize_aligned

STRONGEST = 5
"""Affinities to target places whose sum is the importance of a reference token."""

# Output channels and kernel of each convolution; the first takes 1 channel, of a block that joins scales the last's.
_Block = tuple[tuple[int, int], ...]
_PLAIN: dict[str, _Block] = {
    "encoder_layer4": ((1, 3),),
    "encoder_layer3": ((1, 5),),
    "encoder_layer2": ((1, 5),),
    "encoder_layer4to3": ((1, 3),),
    "encoder_layer3to2": ((1, 3),),
}
_DOUBLE: dict[str, _Block] = {
    "encoder_layer4": ((1, 3), (2, 3)),
    "encoder_layer3": ((1, 3), (2, 3)),
    "encoder_layer2": ((1, 5), (2, 3)),
    "encoder_layer4to3": ((2, 3), (2, 3)),
    "encoder_layer3to2": ((2, 3), (1, 3)),
}


@dataclass(frozen=True)
class Tokens:
    """What is kept of a frame that is referred to, on the grid of stride 32 with S places.

    `keys` are (N, S, C) of the maps at strides 8, 16 and 32; `values` (N, S, 256). With R references side by side, all
    have (N, R, S, C).
    """

    keys: tuple[Tensor, Tensor, Tensor]
    values: Tensor

    @classmethod
    def stack(cls, frames: Sequence[Tokens]) -> Tokens:
        """R frames' tokens (N, S, C) side by side, (N, R, S, C)."""
        one, two, three = (torch.stack([frame.keys[i] for frame in frames], 1) for i in range(3))
        return cls((one, two, three), torch.stack([frame.values for frame in frames], 1))


class Convolution(nn.Module):
    """A convolution that keeps the size, under its published name."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv2 = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to (N, channels, h, w)."""
        convolved: Tensor = self.conv2(x)
        return convolved


def refinement(in_channels: int, block: _Block) -> nn.Sequential:
    """Convolution, GroupNorm of one group and ReLU, once for each entry of `block`."""
    layers: list[nn.Module] = []
    for channels, kernel in block:
        layers += [Convolution(in_channels, channels, kernel), nn.GroupNorm(1, channels), nn.ReLU()]
        in_channels = channels
    return nn.Sequential(*layers)


class Refinement(nn.Module):
    """Single-scale refinement (SAR) and multi-scale aggregation (MAA) of affinity maps; 92 parameters, 271 if `double`.

    Each token's affinity to all target places is a picture of one channel. GroupNorm takes each picture's strength
    away: a token whose maps are all multiplied by one positive number keeps its result.
    """

    def __init__(self, *, double: bool) -> None:
        super().__init__()
        blocks = _DOUBLE if double else _PLAIN
        joined = blocks["encoder_layer4"][-1][0]
        for name, block in blocks.items():
            self.add_module(name, refinement(joined if "to" in name else 1, block))

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """Affinities (M, 1, h, w) at strides 8, 16 and 32 to refined ones (M, 1, h, w) at stride 8, 0 or more."""
        refined = self._run("encoder_layer4", coarse)
        for scale, joint, affinity in (("3", "4to3", middle), ("2", "3to2", fine)):
            own = self._run(f"encoder_layer{scale}", affinity)
            height, width = own.shape[-2:]
            refined = self._run(f"encoder_layer{joint}", resize_aligned(refined, (height, width)) + own)
        return refined

    def _run(self, name: str, x: Tensor) -> Tensor:
        result: Tensor = self.get_submodule(name)(x)
        return result


class Affinity(nn.Module):
    """Queries of the target, keys of the references, and the affinities between them.

    `channels` are those of the maps at strides 8, 16 and 32; `kept` is the share of each reference's tokens that stay.
    """

    def __init__(self, channels: Sequence[int], *, kept: float, double: bool) -> None:
        super().__init__()
        self.kept = kept
        self.q1, self.q2, self.q3 = (nn.Linear(c, c) for c in channels)
        self.k1, self.k2, self.k3 = (nn.Linear(c, c) for c in channels)
        self.hpn = Refinement(double=double)

    def keys(self, reduced: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (N, C, h, w) on the grid of stride 32 to keys (N, S, C), finest first."""
        one, two, three = (
            linear(x.flatten(2).transpose(1, 2)) for linear, x in zip((self.k1, self.k2, self.k3), reduced, strict=True)
        )
        return one, two, three

    def forward(self, maps: Sequence[Tensor], references: Tokens) -> tuple[Tensor, Tensor]:
        """Refined affinities (N, R, s, h, w) at stride 8 of the s tokens that are kept of each of R references, and
        their places (N, R, s) in raster order.

        `maps` are the target's (N, C, h, w) at strides 8, 16 and 32; `references` have (N, R, S, C). Keys are chosen by
        `most_important` of the coarsest affinity. There is no scaling by the root of C.
        """
        coarse = affinities(self.q3, maps[2], references.keys[2])
        places = most_important(coarse, self.kept)
        coarse = chosen(coarse.flatten(3), places).view(*places.shape, *coarse.shape[3:])
        middle = affinities(self.q2, maps[1], chosen(references.keys[1], places))
        fine = affinities(self.q1, maps[0], chosen(references.keys[0], places))
        refined = self.hpn(*(a.flatten(0, 2)[:, None] for a in (fine, middle, coarse)))
        return refined.view(*places.shape, *refined.shape[-2:]), places


def affinities(query: nn.Linear, target: Tensor, keys: Tensor) -> Tensor:
    """Dot products of keys (N, R, s, C) with the queries of a target (N, C, h, w): (N, R, s, h, w)."""
    n, r, s, c = keys.shape
    queries = functional.conv2d(target, query.weight[..., None, None], query.bias).flatten(2)
    return torch.bmm(keys.reshape(n, r * s, c), queries).view(n, r, s, *target.shape[-2:])


def most_important(affinity: Tensor, kept: float) -> Tensor:
    """The places (N, R, s), ascending, of the s = floor(kept S) tokens with the largest importance, at least one.

    `affinity` is (N, R, S, h, w); a token's importance is the sum of its STRONGEST largest affinities to target places.
    """
    strongest = min(STRONGEST, affinity.shape[3] * affinity.shape[4])
    importance = affinity.detach().flatten(3).topk(strongest, -1).values.sum(-1)
    count = max(1, int(kept * affinity.shape[2]))
    return importance.topk(count, -1).indices.sort(-1).values


def chosen(tokens: Tensor, places: Tensor) -> Tensor:
    """The tokens (N, R, S, C) at `places` (N, R, s): (N, R, s, C)."""
    return tokens.gather(2, places[..., None].expand(-1, -1, -1, tokens.shape[-1]))

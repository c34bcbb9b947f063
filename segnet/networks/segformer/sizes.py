"""The six sizes of Mix Transformers (Xie et al., "SegFormer", NeurIPS 2021, table 6); a list that takes no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MixTransformerSize:
    """Channels of the four stages (strides 4, 8, 16 and 32), and blocks in each."""

    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]


_WIDE = (64, 128, 320, 512)
SIZES = {
    "b0": MixTransformerSize((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": MixTransformerSize(_WIDE, (2, 2, 2, 2)),
    "b2": MixTransformerSize(_WIDE, (3, 4, 6, 3)),
    "b3": MixTransformerSize(_WIDE, (3, 4, 18, 3)),
    "b4": MixTransformerSize(_WIDE, (3, 8, 27, 3)),
    "b5": MixTransformerSize(_WIDE, (3, 6, 40, 3)),
}

"""MRCFA (Sun et al., "Mining Relations among Cross-Frame Affinities for Video Semantic Segmentation", ECCV 2022).

A SegFormer whose features at stride 8 are completed by what up to three earlier frames know of the same scene. Tensors
have the names of the published checkpoints. What a frame gives as a reference does not depend on the target, so that a
stream computes it once for each frame (`Encoded.tokens`); the released code encodes four frames for every target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...network import class_names
from ...parameters import ParameterGroup
from ..normalised import IMAGENET, NormalisedNetwork, size_of
from .affinity import Affinity, Tokens, chosen
from .mit import MixTransformer
from .segformer import EMBEDDING, Maps, SegFormerHead, published_groups, upsample

MOST_REFERENCES = 3
MULTIPLE = 32
"""Sides are padded to multiples of this, so that all grids fit into each other."""


@dataclass(frozen=True)
class Encoded:
    """A frame as the network sees it: as target by `maps`, `features` (N, 256, h, w) at stride 4 and `reduced` at
    stride 8, as reference by `tokens`."""

    maps: Maps
    features: Tensor
    reduced: Tensor
    tokens: Tokens


class Related(NamedTuple):
    """What references say of a target: refined affinities (N, R, s, h, w) at stride 8, the places (N, R, s) of the
    tokens they belong to, and the target's features as each reference gives them, (N, R, 256, h, w)."""

    affinity: Tensor
    places: Tensor
    reconstructions: Tensor


class SmallDecoder(nn.Module):
    """Dropout and a linear classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.smalldecoder = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(EMBEDDING, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 256, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.smalldecoder(x)
        return logits


class MRCFAHead(SegFormerHead):
    """SegFormer's head, affinities, and classifiers of reconstructed (`deco1` to `deco3`) and final features."""

    def __init__(self, channels: Sequence[int], classes: int, *, kept: float, double: bool) -> None:
        super().__init__(channels, classes)
        self.hypercorre_module = Affinity(channels[1:], kept=kept, double=double)
        self.deco1, self.deco2, self.deco3, self.deco4 = (SmallDecoder(classes) for _ in range(4))
        self.sr2 = nn.Conv2d(channels[1], channels[1], 4, 4)
        self.sr3 = nn.Conv2d(channels[2], channels[2], 2, 2)
        self.sr1_feat = nn.Conv2d(EMBEDDING, EMBEDDING, 4, 4)

    def encode(self, maps: Maps) -> Encoded:
        """Everything of a frame that needs no other frame; sides of the picture must be multiples of 32."""
        features = self.fuse(maps)
        reduced = upsample(features, size_of(maps[1]))
        keys = self.hypercorre_module.keys([self.sr2(maps[1]), self.sr3(maps[2]), maps[3]])
        return Encoded(maps, features, reduced, Tokens(keys, self.sr1_feat(reduced).flatten(2).transpose(1, 2)))

    def relate(self, target: Encoded, references: Tokens) -> Related:
        """What references (N, R, S, C) say of a target."""
        affinity, places = self.hypercorre_module(target.maps[1:], references)
        weights = functional.softmax(affinity.flatten(3), dim=2)
        values = chosen(references.values, places)
        mixed = torch.bmm(values.flatten(0, 1).transpose(1, 2), weights.flatten(0, 1))
        return Related(affinity, places, mixed.view(*places.shape[:2], -1, *affinity.shape[-2:]))

    def decode(self, target: Encoded, related: Related) -> Tensor:
        """The target's logits (N, classes, h, w) at stride 4."""
        final = target.reduced + related.reconstructions.mean(1)
        return upsample(self.deco4(final), size_of(target.features))

    def decode_reconstructions(self, target: Encoded, related: Related) -> Tensor:
        """Logits (N, R, classes, h, w) at stride 4 of what each reference says of the target, for training."""
        decoders = (self.deco1, self.deco2, self.deco3)
        parts = related.reconstructions.unbind(1)
        size = size_of(target.features)
        return torch.stack([upsample(decode(x), size) for decode, x in zip(decoders, parts, strict=False)], 1)


class MRCFA(NormalisedNetwork):
    """MRCFA with a Mix Transformer of `size` 'b0' to 'b5'; 5,281,992 parameters with b0 at 124 classes.

    `classes` is the number of classes or their names. Of one picture alone it is a SegFormer: `p` has 256 channels at
    stride 4 before the linear classifier of the auxiliary, per-frame logits. For a stream, `encode` each frame once,
    keep its `tokens`, and ask `segment` with the tokens of 1 to 3 earlier frames. Pictures may have any size of at
    least 32 pixels each way: zeros are appended right and below, less than a cell of the coarsest grid, so that no
    token is of padding alone.
    """

    feature_channels = EMBEDDING
    feature_stride = 4
    linear_classifier = True
    encoder = ("backbone.",)

    def __init__(self, classes: int | Sequence[str] = 124, size: str = "b0") -> None:
        super().__init__(IMAGENET)
        self.classes = class_names(classes)
        self.backbone = MixTransformer(size)
        self.decode_head = MRCFAHead(
            self.backbone.channels, len(self.classes), kept=0.8 if size == "b0" else 0.5, double=size == "b1"
        )

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 256, ceil(H / 4), ceil(W / 4)), as SegFormer's."""
        return cropped(self.decode_head.fuse(self.backbone(padded(images))), size_of(images))

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 256, h, w) to per-frame logits (N, classes, h, w)."""
        return self.decode_head.classify(p)

    def parameter_groups(self) -> list[ParameterGroup]:
        """As published, which is as SegFormer's."""
        return published_groups(self)

    def encode(self, images: Tensor) -> Encoded:
        """Normalised RGB (N, 3, H, W) to what is needed of the frames, as targets and as references."""
        return self.decode_head.encode(self.backbone(padded(images)))

    def segment(self, target: Encoded, references: Sequence[Tokens], size_hw: tuple[int, int]) -> Tensor:
        """Logits (N, classes, ceil(H / 4), ceil(W / 4)) of a target of `size_hw`, seen with 1 to 3 references.

        A frame may be its own reference. Without any, the per-frame logits. Raises ValueError for more than 3.
        """
        if len(references) > MOST_REFERENCES:
            raise ValueError(f"{len(references)} references; MRCFA takes up to {MOST_REFERENCES}")
        if not references:
            return cropped(self.classify(target.features), size_hw)
        related = self.decode_head.relate(target, Tokens.stack(references))
        return cropped(self.decode_head.decode(target, related), size_hw)

    def segment_clip(self, clip: Tensor) -> Tensor:
        """Normalised clips (N, T, 3, H, W) of 1 to 4 frames, the target last: its logits at stride 4.

        Of one frame alone the per-frame logits, which the released code gives where references are missing.
        """
        if clip.shape[1] == 1:
            return self.forward(clip[:, 0])
        target, references = last_of(self.encode(clip.flatten(0, 1)), clip.shape[1])
        return cropped(self.decode_head.decode(target, self.decode_head.relate(target, references)), size_of(clip))

    def training_outputs(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised clips (N, T, 3, H, W) of 2 to 4 frames, the target last, to what is supervised, at stride 4.

        First the per-frame logits (N, T, classes, h, w), each for its own frame's labels; then, (N, T, classes, h, w)
        too and all for the target's labels, those of the T - 1 reconstructions and of the final features.
        """
        encoded = self.encode(clip.flatten(0, 1))
        per_frame = self.classify(encoded.features)
        per_frame = per_frame.view(*clip.shape[:2], *per_frame.shape[1:])
        target, references = last_of(encoded, clip.shape[1])
        related = self.decode_head.relate(target, references)
        of_target = [
            self.decode_head.decode_reconstructions(target, related),
            self.decode_head.decode(target, related)[:, None],
        ]
        return cropped(per_frame, size_of(clip)), cropped(torch.cat(of_target, 1), size_of(clip))


def last_of(clips: Encoded, length: int) -> tuple[Encoded, Tokens]:
    """Encoded clips, their frames in one batch (N T), to the last frames (N) and the tokens (N, T - 1, S, C) before."""

    def last(x: Tensor) -> Tensor:
        return x[length - 1 :: length]

    def before(x: Tensor) -> Tensor:
        return x.view(-1, length, *x.shape[1:])[:, :-1]

    (m1, m2, m3, m4), (k1, k2, k3), values = clips.maps, clips.tokens.keys, clips.tokens.values
    target = Encoded(
        (last(m1), last(m2), last(m3), last(m4)),
        last(clips.features),
        last(clips.reduced),
        Tokens((last(k1), last(k2), last(k3)), last(values)),
    )
    return target, Tokens((before(k1), before(k2), before(k3)), before(values))


def padded(images: Tensor) -> Tensor:
    """(N, C, H, W) with zeros right and below, up to multiples of 32."""
    height, width = size_of(images)
    return functional.pad(images, (0, -width % MULTIPLE, 0, -height % MULTIPLE))


def cropped(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """A map at stride 4 of a picture that was padded, without what the padding gave; `size_hw` is the picture's."""
    return x[..., : -(-size_hw[0] // 4), : -(-size_hw[1] // 4)]

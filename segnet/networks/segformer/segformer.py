"""SegFormer (Xie et al., NeurIPS 2021): a Mix Transformer and a head of linear maps, one picture at a time.

Tensors have the names of the published (mmsegmentation) checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ...network import SegmentationNetwork, class_names
from ...parameters import ParameterGroup, grouped
from ..normalised import IMAGENET, NormalisedNetwork, size_of
from .mit import MixTransformer

EMBEDDING = 256
DECODER_RATE = 10.0
Maps = tuple[Tensor, Tensor, Tensor, Tensor]
"""A Mix Transformer's maps at strides 4, 8, 16 and 32."""


class Projection(nn.Module):
    """A linear map of each position's channels to EMBEDDING."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, EMBEDDING)


class FuseUnit(nn.Module):
    """Convolution 1x1 without bias, and BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * EMBEDDING, EMBEDDING, 1, bias=False)
        self.bn = nn.BatchNorm2d(EMBEDDING)


class SegFormerHead(nn.Module):
    """Four maps to 256 features at stride 4, and a linear classifier of them."""

    def __init__(self, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.linear_c1, self.linear_c2, self.linear_c3, self.linear_c4 = (Projection(c) for c in channels)
        self.linear_fuse = FuseUnit()
        self.dropout = nn.Dropout2d(0.1)
        self.linear_pred = nn.Conv2d(EMBEDDING, classes, 1)

    def fuse(self, maps: Maps) -> Tensor:
        """Maps (N, C_i, h_i, w_i) to features (N, 256, h_1, w_1), each upsampled bilinearly and fused from coarse to
        fine. Projection and fusion are one linear map a scale, at its own resolution: the same values, as bilinear
        upsampling commutes with them, for a ninth of the operations."""
        weights = self.linear_fuse.conv.weight[..., 0, 0].chunk(4, 1)[::-1]
        projections = (self.linear_c1, self.linear_c2, self.linear_c3, self.linear_c4)
        size = size_of(maps[0])
        scales = [
            upsample(functional.conv2d(x, (w @ p.proj.weight)[..., None, None], w @ p.proj.bias), size)
            for x, p, w in zip(maps, projections, weights, strict=True)
        ]
        return functional.relu(self.linear_fuse.bn(scales[0] + scales[1] + scales[2] + scales[3]))

    def classify(self, features: Tensor) -> Tensor:
        """Features (N, 256, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.linear_pred(self.dropout(features))
        return logits


class SegFormer(NormalisedNetwork):
    """SegFormer with a Mix Transformer of `size` 'b0' to 'b5'; b0 has 3.8 million parameters at 124 classes.

    `classes` is the number of classes or their names. `p` has 256 channels at stride 4, before the linear classifier.
    Pictures must be at least 32 pixels each way.
    """

    feature_channels = EMBEDDING
    feature_stride = 4
    linear_classifier = True
    encoder = ("backbone.",)

    def __init__(self, classes: int | Sequence[str] = 124, size: str = "b0") -> None:
        super().__init__(IMAGENET)
        self.classes = class_names(classes)
        self.backbone = MixTransformer(size)
        self.decode_head = SegFormerHead(self.backbone.channels, len(self.classes))

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 256, ceil(H / 4), ceil(W / 4))."""
        return self.decode_head.fuse(self.backbone(images))

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 256, h, w) to logits (N, classes, h, w)."""
        return self.decode_head.classify(p)

    def parameter_groups(self) -> list[ParameterGroup]:
        """As published: see `published_groups`."""
        return published_groups(self)


def published_groups(network: SegmentationNetwork) -> list[ParameterGroup]:
    """The published recipe (Xie et al., NeurIPS 2021): AdamW, a head ten times as fast as the encoder, and the
    encoder's norms without weight decay."""
    parts: dict[str, list[tuple[str, nn.Parameter]]] = {"encoder": [], "decoder": []}
    for name, parameter in network.named_parameters():
        parts["encoder" if name.startswith(network.encoder) else "decoder"].append((name, parameter))
    encoder = grouped("encoder", parts["encoder"], decayed=lambda name, _: "norm" not in name)
    return encoder + grouped("decoder", parts["decoder"], rate=DECODER_RATE, decayed=lambda *_: True)


def upsample(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear, `align_corners=False`; `x` itself where it has that size."""
    if size_of(x) == size_hw:
        return x
    return functional.interpolate(x, size=size_hw, mode="bilinear", align_corners=False)

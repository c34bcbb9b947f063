"""SwiftNet's decoder (Orsic et al., CVPR 2019) on EfficientNet-Lite: `swiftnet-lite0`, `-lite1` and `-lite2`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..network import class_names
from .efficientnet_lite import EfficientNetLite
from .normalised import Normalisation, NormalisedNetwork, initialise_convolutions
from .swiftnet import NormReluConv, SpatialPyramidPooling, linear_heads

EFFICIENTNET_LITE = Normalisation((127 / 255,) * 3, (128 / 255,) * 3)


class Doubling(nn.Module):
    """The coarse map doubled in size, plus the projected skip, blended by a 3x3 convolution.

    Doubled exactly and cropped to the skip's size: every picture, of any size, is seen with the same geometry. Where
    the map has not as many channels as the output, a 1x1 convolution comes first, at the coarse size. `light`: the 3x3
    convolution is a depthwise one with a 1x1 convolution after it.
    """

    def __init__(self, in_channels: int, skip_channels: int, channels: int, *, light: bool = False) -> None:
        super().__init__()
        self.narrow = NormReluConv(in_channels, channels, 1) if in_channels != channels else nn.Identity()
        self.bottleneck = NormReluConv(skip_channels, channels, 1)
        self.blend_conv = LightConv(channels) if light else NormReluConv(channels, channels, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """`x` (N, in, ceil(H / 2), ceil(W / 2)) and `skip` (N, skip_channels, H, W) to (N, channels, H, W)."""
        skip = self.bottleneck(skip)
        height, width = skip.shape[-2:]
        x = functional.interpolate(self.narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = self.blend_conv(x[..., :height, :width] + skip)
        return out


class LightConv(nn.Module):
    """BatchNorm, ReLU, a depthwise 3x3 convolution and a 1x1 convolution: `NormReluConv` at a fraction of its cost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        out: Tensor = self.conv(self.depthwise(functional.relu(self.norm(x))))
        return out

    @torch.no_grad()
    def imitate(self, whole: NormReluConv) -> None:
        """Begin as near to `whole`, of as many channels, as can be.

        What its kernels make of one input channel is a matrix (outputs, 9); the first pair of its singular vectors,
        the best product of one spatial kernel and one weight for each output, takes its place.
        """
        self.norm.load_state_dict(whole.norm.state_dict())
        of_inputs = whole.conv.weight.transpose(0, 1)
        u, s, v = torch.linalg.svd(of_inputs.flatten(2), full_matrices=False)
        self.depthwise.weight.copy_(v[:, :1].unflatten(2, of_inputs.shape[-2:]))
        self.conv.weight.copy_((u[:, :, 0] * s[:, :1]).t()[..., None, None])


class SwiftNetLiteBackbone(nn.Module):
    """Encoder, pyramid pooling and decoder: everything up to `p`. `widths` are the decoder's at strides 16, 8 and 4;
    `light` as of `Doubling`."""

    def __init__(self, size: int, widths: tuple[int, int, int], *, light: bool = False) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(size, aligned=True)
        *skips, coarsest = self.encoder.channels
        self.spp = SpatialPyramidPooling(coarsest, widths[0], momentum=0.1)
        inputs = (widths[0], *widths[:-1])
        self.upsample = nn.ModuleList(
            Doubling(narrower, skip, width, light=light)
            for narrower, skip, width in zip(inputs, reversed(skips), widths, strict=True)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised RGB (N, 3, H, W) to (N, widths[2], ceil(H / 4), ceil(W / 4)), and to maps at strides 32, 16, 8."""
        *skips, x = self.encoder(images)
        decoded = [self.spp(x)]
        for unit, skip in zip(self.upsample, reversed(skips), strict=True):
            decoded.append(unit(decoded[-1], skip))
        *coarser, p = decoded
        return p, tuple(coarser)


class SwiftNetLite(NormalisedNetwork):
    """SwiftNet's decoder on EfficientNet-Lite `size` (0, 1 or 2).

    `classes` is the number of classes or their names. `p` has 64 channels at stride 4, before the classifier's
    BatchNorm-ReLU-conv1x1; the coarser decoder maps have 128 (128 at stride 4 as well would take 60 % of all
    operations). With `light` the decoder's 3x3 convolutions are depthwise, and it takes a third of its operations.
    Input of any size.
    """

    feature_channels = 64
    feature_stride = 4
    decoder_channels = 128
    encoder = ("backbone.encoder.",)

    def __init__(self, classes: int | Sequence[str] = 19, size: int = 0, *, light: bool = False) -> None:
        super().__init__(EFFICIENTNET_LITE)
        self.size = size
        self.classes = class_names(classes)
        widths = (self.decoder_channels, self.decoder_channels, self.feature_channels)
        self.backbone = SwiftNetLiteBackbone(size, widths, light=light)
        self.logits = NormReluConv(self.feature_channels, len(self.classes), 1, bias=True)
        initialise_convolutions(self)

    def imitate_decoder(self, whole: SwiftNetLite) -> None:
        """Begin with what a `light` decoder can have of that of a network which is not (`LightConv.imitate`)."""
        for own, theirs in zip(self.backbone.upsample, whole.backbone.upsample, strict=True):
            if isinstance(own.blend_conv, LightConv) and isinstance(theirs.blend_conv, NormReluConv):
                own.blend_conv.imitate(theirs.blend_conv)

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 64, ceil(H / 4), ceil(W / 4))."""
        return self.features_and_maps(images)[0]

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised RGB to `p`, and the decoder's maps (N, 128, ., .) at strides 32, 16 and 8."""
        p, maps = self.backbone(images)
        return p, maps

    def auxiliary(self) -> nn.ModuleList:
        """Fresh linear heads, three."""
        return linear_heads(self.decoder_channels, len(self.classes), 3)

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 64, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.logits(p)
        return logits

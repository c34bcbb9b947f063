"""PSPNet-18 as ETC has it (Liu et al., "Efficient Semantic Video Segmentation with Per-frame Inference", ECCV 2020)."""

from __future__ import annotations

from types import MappingProxyType

from torch import Tensor

from .psp_semseg import SemsegPSPNet


class ETCPSPNet(SemsegPSPNet):
    """ETC's PSPNet-18; 14,399,590 parameters at 19 classes, of which 595,219 are the auxiliary head's.

    The semseg layout with a head half as wide, and in the last two stages only the second convolution of each block is
    dilated. `p` has 256 channels at stride 8, before the linear classifier.
    """

    feature_channels = 256
    dilations = (((1, 2), (1, 2)), ((1, 4), (1, 4)))
    published_aliases = MappingProxyType({})

    def published_outputs(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, auxiliary logits, and the pyramid's map (N, 1024, h, w) that is distilled; all at stride 8."""
        third = self.third(images)
        pyramid: Tensor = self.ppm(self.layer4(third))
        return self.classify(self.cls[:-1](pyramid)), self.aux(third), pyramid

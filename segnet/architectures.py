"""The architectures that gopseg builds, by name; to list them takes no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import ModelError
from .networks import SIZES

if TYPE_CHECKING:
    from .network import SegmentationNetwork


@dataclass(frozen=True)
class Architecture:
    """How to build a network: `factory` is a name of `segnet.networks`, called with the classes and `options`."""

    factory: str
    help: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, classes: int | Sequence[str]) -> SegmentationNetwork:
        """A network with random weights, for so many classes or for classes of these names."""
        make = getattr(import_module(".networks", __package__), self.factory)
        network: SegmentationNetwork = make(classes, **self.options)
        return network


ARCHITECTURES: Mapping[str, Architecture] = {
    "swiftnet18": Architecture("SwiftNet", "SwiftNet-R18, single scale (Orsic et al., CVPR 2019)"),
    "swiftnet18-pyramid": Architecture("SwiftNetPyramid", "SwiftNet-R18 on an image pyramid (Orsic et al., CVPR 2019)"),
    **{
        f"swiftnet-lite{size}": Architecture(
            "SwiftNetLite", f"SwiftNet's decoder on EfficientNet-Lite{size}", {"size": size}
        )
        for size in (0, 1, 2)
    },
    "swiftnet-lite0-light": Architecture(
        "SwiftNetLite", "swiftnet-lite0 with a depthwise decoder, for LR branches", {"size": 0, "light": True}
    ),
    "gsvnet-bise18": Architecture("BiSeNetGSVNet", "BiSeNet-R18 as GSVNet has it (Lee et al., ICME 2021)"),
    "camvid-psp18": Architecture("PSPNet", "PSPNet-18 as AR-Seg has it on CamVid (Hu et al., CVPR 2023)"),
    "cityscapes-psp18": Architecture("SemsegPSPNet", "PSPNet-18 as AR-Seg has it on Cityscapes (Hu et al., CVPR 2023)"),
    "etc-psp18": Architecture("ETCPSPNet", "PSPNet-18 as ETC has it (Liu et al., ECCV 2020)"),
    "camvid-bise18": Architecture("camvid_bisenet", "BiSeNetV1-18 as AR-Seg has it on CamVid (Hu et al., CVPR 2023)"),
    "cityscapes-bise18": Architecture("BiSeNet", "BiSeNetV1-18 as AR-Seg has it on Cityscapes (Hu et al., CVPR 2023)"),
    **{
        f"segformer-{size}": Architecture("SegFormer", f"SegFormer-{size} (Xie et al., NeurIPS 2021)", {"size": size})
        for size in SIZES
    },
    **{
        f"mrcfa-{size}": Architecture("MRCFA", f"MRCFA on MiT-{size} (Sun et al., ECCV 2022)", {"size": size})
        for size in SIZES
    },
}
"""To add a network takes a class derived from `SegmentationNetwork` in `networks` and a line here."""


def architecture_names() -> tuple[str, ...]:
    """The names that `build_network` takes, sorted."""
    return tuple(sorted(ARCHITECTURES))


def build_network(architecture: str, classes: int | Sequence[str]) -> SegmentationNetwork:
    """A network with random weights, in training mode, whose `architecture` is that name.

    `classes` is their number (at least 1) or their names. ModelError if the architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise ModelError(f"unknown architecture '{architecture}'; there are: {', '.join(architecture_names())}")
    network = ARCHITECTURES[architecture].build(classes)
    network.architecture = architecture
    return network

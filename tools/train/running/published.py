"""The losses that published networks were trained with, in place of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import InputError


@dataclass(frozen=True, kw_only=True)
class PublishedLosses:
    """Cross-entropy without class weights at the size of the labels, and what is added to it.

    `deep` is the weight of the auxiliary heads together (PSPNet-18 on CamVid: of the binary cross-entropy of each class
    being in the picture); `confidence` that of OHEM (`SegmentationLoss`).
    """

    deep: float
    confidence: float | None = None


_BISENET = PublishedLosses(deep=2.0, confidence=0.7)  # 1 for each of two heads
PUBLISHED: Mapping[str, PublishedLosses] = {
    "camvid-psp18": PublishedLosses(deep=1.0),
    "cityscapes-psp18": PublishedLosses(deep=0.4),
    "camvid-bise18": _BISENET,
    "cityscapes-bise18": _BISENET,
}
"""By architecture, of AR-Seg (Hu et al., CVPR 2023)."""


def published_losses(architecture: str) -> PublishedLosses:
    """Those of an architecture; InputError for one that has none here."""
    if architecture not in PUBLISHED:
        names = ", ".join(PUBLISHED)
        raise InputError(f"--losses published: there are none for {architecture}, only for {names}; leave it out")
    return PUBLISHED[architecture]


def of_frames(architecture: str) -> dict[str, Any]:
    """Of a per-frame network: the options of `train-segnet hr` and `lr` that they stand for."""
    losses = published_losses(architecture)
    return {**_of_pixels(losses), "auxiliary": losses.deep, "lovasz": 0.0}


def of_fusion(architecture: str) -> dict[str, Any]:
    """Of an LR branch with its fusion: the options of `train-segnet ar` that they stand for.

    The fused result alone is supervised, beside the auxiliary heads of the LR branch. The mean squared error of its
    features counts once.
    """
    losses = published_losses(architecture)
    return {**_of_pixels(losses), "auxiliary": 0.0, "deep": losses.deep, "fst": 1.0}


def _of_pixels(losses: PublishedLosses) -> dict[str, Any]:
    return {"published": True, "balance": 0.0, "keep": 1.0, "confidence": losses.confidence}

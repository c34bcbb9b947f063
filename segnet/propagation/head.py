"""`PropagationHead`: a keyframe's scores carried to another frame and repaired there, as GSVNet and SwNet-seq do.

Lee et al., "GSVNet: Guided Spatially-Varying Convolution for Fast Semantic Segmentation on Video", ICME 2021;
SwNet-seq, "Video-sequence-semantic-segmentation", 2021 (code without a paper). `PropagationSettings` chooses the
published form, for their weights, or the clean one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..warp import mixed_with, warp_features
from .edges import score_edges
from .guided_filtering import GuidingNetwork, IdealDelays, IntraNetwork, guided_filter, normalise_kernels
from .settings import PropagationSettings

SELF_BIAS = 4.0
"""Log-odds of the unshifted map against each other map in a new head with softmax: it starts as almost a pure warp."""

EVIDENCE_SCALE = 0.1
"""Standard deviation, in log-odds, of the evidence that a new refining head adds."""

EVIDENCE_BY_DOUBT = 4.0
"""How fast the weight of evidence, at most 1, rises with 1 - validity: where motion explains what is seen, what was
carried stays."""

LEAST = 1e-3
"""Probability that a class has at least before evidence is added."""


@dataclass(frozen=True, eq=False)
class PropagationStep:
    """What one step of the head made, on its grid of h x w cells.

    `scores` (N, C, h, w), the result; `warped` (N, C, h, w) before repair; `shares` (N, maps + 1, h, w), which sum to
    1: the unshifted map's, the bank's, the intra network's; `edges` (N, 1, h, w) 0 or 1, None without the edge guide;
    `validity` (N, 1, h, w), 0..1, of the motion, None where it was not told.
    """

    scores: Tensor
    warped: Tensor
    shares: Tensor
    edges: Tensor | None
    validity: Tensor | None = None

    def __repr__(self) -> str:
        return f"PropagationStep(scores={tuple(self.scores.shape)}, shares={tuple(self.shares.shape)})"


class PropagationHead(nn.Module):
    """Warp, then a spatially-varying 3x3 convolution whose kernels are guided by the current frame.

    In each cell the result is a weighted sum of the warped scores, of their shifts to the eight neighbours, and of
    crude scores that a small network reads off the current frame. The weights are those of a guiding network, which
    sees the crude scores, where the warped labels have edges, and where the motion is not to be trusted; with
    `refining` the warped scores too, and then it also adds evidence to the result, where motion is in doubt.

    210,085 parameters and bank values in the published form at 19 classes (209,797 without the edge channel).
    """

    def __init__(self, settings: PropagationSettings) -> None:
        super().__init__()
        self.settings = settings
        self.ideal_dk = IdealDelays(dead_map=settings.dead_map)
        self.intra_net = IntraNetwork(len(settings.classes), settings.width)
        self.maps = len(self.ideal_dk.taps) + 1
        outputs = self.maps + settings.refining * len(settings.classes)
        self.guide = GuidingNetwork(settings.guides, outputs, settings.width, rectified=not settings.softmax)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
        if settings.softmax:
            norm = cast(nn.BatchNorm2d, self.guide.guide_decoder[1])
            nn.init.zeros_(norm.weight)
            with torch.no_grad():
                norm.bias[0] = SELF_BIAS
                norm.weight[self.maps :] = EVIDENCE_SCALE

    def forward(self, scores: Tensor, displacement: Tensor, frame: Tensor, validity: Tensor | None = None) -> Tensor:
        """The reference's scores (N, C, h, w) carried to `frame` (N, 3, h, w): (N, C, h, w); see `step`."""
        return self.step(scores, displacement, frame, validity).scores

    def step(
        self,
        scores: Tensor,
        displacement: Tensor,
        frame: Tensor,
        validity: Tensor | None = None,
        nearest: Tensor | None = None,
    ) -> PropagationStep:
        """Warp and repair.

        All on the head's grid: `scores` (N, C, h, w) of the reference (the previous frame, or the keyframe);
        `displacement` (N, h, w, 2), the backward map to it in cells, x before y; `frame` (N, 3, h, w), the current
        frame reduced and normalised (`FrameReducer`); `validity` (N, 1, h, w), 0..1, where the displacement can be
        trusted, all of it where None; `nearest` (N, h, w), for each cell the flat index of a cell that its warped
        scores are mixed with half and half, its own where its motion is known. ValueError if the grids differ.
        """
        warped = warp_features(scores, displacement, padding=self.settings.border)
        if nearest is not None:
            warped = mixed_with(warped, nearest)
        return self.repair(warped, frame, validity)

    def repair(self, warped: Tensor, frame: Tensor, validity: Tensor | None = None) -> PropagationStep:
        """`step` for scores (N, C, h, w) that have been warped already."""
        settings = self.settings
        intra = self.intra_net(frame)
        guides = [intra, warped] if settings.refining else [intra]
        edges = None
        if settings.edges is not None:
            edges = score_edges(warped, settings.edges)
            guides.append(edges)
        if settings.validity:
            guides.append(torch.zeros_like(warped[:, :1]) if validity is None else 1 - validity)
        raw = self.guide(torch.cat(guides, 1)).float()
        shares = normalise_kernels(raw[:, : self.maps], softmax=settings.softmax)
        pad_mode = "constant" if settings.border == "zeros" else "replicate"
        mixed = intra.softmax(1) if settings.probabilities else intra
        result = guided_filter(warped, mixed, shares, self.ideal_dk.taps, pad_mode=pad_mode)
        if settings.refining:
            evidence = settings.evidence * raw[:, self.maps :]
            if validity is not None:
                evidence = evidence * (EVIDENCE_BY_DOUBT * (1 - validity)).clamp(max=1)
            result = add_evidence(result, evidence, probabilities=settings.probabilities)
        return PropagationStep(result, warped, shares, edges, validity)


def add_evidence(scores: Tensor, evidence: Tensor, *, probabilities: bool) -> Tensor:
    """Scores (N, C, h, w) with `evidence` of the same shape added, to their logarithms where they are probabilities."""
    if not probabilities:
        return scores + evidence
    return (scores.float().clamp(min=LEAST).log() + evidence).softmax(1)

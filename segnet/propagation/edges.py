"""Edges of label maps, as SwNet-seq and GSVNet guide their propagation with."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

EdgeRule = Literal["index-difference", "any-neighbour"]


def label_edges(labels: Tensor, rule: EdgeRule = "any-neighbour") -> Tensor:
    """Class indices (N, H, W) to edges (N, 1, H, W), float32, 0 or 1.

    - "any-neighbour": a cell is an edge if one of its 8 neighbours is of another class; the frame's border is none.
    - "index-difference": GSVNet's published form. Eight times the class index minus the neighbours' indices is not 0,
      and what lies outside the frame counts as class 0; so the frame's border is an edge wherever the class is not 0,
      and differences of opposite sign may cancel.
    """
    index = labels[:, None].float()
    if rule == "index-difference":
        return (_window_sums(functional.pad(index, (1, 1, 1, 1))) != 9 * index).float()
    padded = functional.pad(index, (1, 1, 1, 1), mode="replicate")
    highest = functional.max_pool2d(padded, 3, 1)
    lowest = -functional.max_pool2d(-padded, 3, 1)
    return (highest != lowest).float()


def _window_sums(padded: Tensor) -> Tensor:
    """Sums over 3x3 windows; whole numbers, so exact in float32."""
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


@torch.no_grad()
def score_edges(scores: Tensor, rule: EdgeRule = "any-neighbour") -> Tensor:
    """`label_edges` of the best classes of scores (N, C, H, W); no gradient flows through it."""
    return label_edges(scores.argmax(1), rule)

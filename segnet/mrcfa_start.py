"""A start for MRCFA from a network that knows single frames only."""

from __future__ import annotations

import torch
from torch import nn

from .mrcfa import MRCFA


@torch.no_grad()
def warm_start(network: MRCFA) -> None:
    """Begin near the per-frame network: what only clips train is set to what is sensible for its features.

    References are averaged onto the coarse grid, keys and queries are one projection (so that affinity is likeness),
    refinements leave affinities as they are, and every classifier is the per-frame one; that of the final features,
    which are a sum of two, by half. The published start is random, which 160,000 steps make up for.
    """
    head = network.decode_head
    for pooling in (head.sr2, head.sr3, head.sr1_feat):
        pooling.weight.zero_()
        pooling.weight.diagonal().fill_(1 / pooling.weight[0, 0].numel())
        assert pooling.bias is not None
        pooling.bias.zero_()
    affinity = head.hypercorre_module
    for key, query in ((affinity.k1, affinity.q1), (affinity.k2, affinity.q2), (affinity.k3, affinity.q3)):
        key.load_state_dict(query.state_dict())
    for module in affinity.hpn.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
            assert module.bias is not None
            module.bias.zero_()
    for decoder, share in ((head.deco1, 1.0), (head.deco2, 1.0), (head.deco3, 1.0), (head.deco4, 0.5)):
        for classifier in decoder.smalldecoder.children():
            if isinstance(classifier, nn.Conv2d):
                classifier.load_state_dict(head.linear_pred.state_dict())
                classifier.weight.mul_(share)

"""A convolutional LSTM (Shi et al., NeurIPS 2015) in the form that ETC's multi-frame distillation has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConvLSTM(nn.Module):
    """One convolution of input and hidden state makes the input, forget and output gates and the candidate, in this
    order: `cell = forget * cell + input * candidate`, `hidden = output * tanh(cell)`; both states begin at zero."""

    def __init__(self, in_channels: int = 1, hidden_channels: int = 4, kernel: int = 3) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.Gates = nn.Conv2d(in_channels + hidden_channels, 4 * hidden_channels, kernel, padding=kernel // 2)

    def step(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """One input (N, in, h, w) and both states (N, hidden, h, w) to the next hidden and cell state."""
        enter, keep, leave, candidate = self.Gates(torch.cat([x, hidden], 1)).chunk(4, 1)
        cell = keep.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        return leave.sigmoid() * cell.tanh(), cell

    def forward(self, sequence: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs (N, in, h, w) in order to the last hidden and cell state, (N, hidden, h, w). IndexError if empty."""
        first = sequence[0]
        hidden = cell = first.new_zeros(len(first), self.hidden_channels, *first.shape[-2:])
        for x in sequence:
            hidden, cell = self.step(x, hidden, cell)
        return hidden, cell

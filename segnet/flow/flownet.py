"""FlowNetS in three published forms: FlowNet 2.0's, Deep Feature Flow's, and GSVNet's variant of the latter.

Dosovitskiy et al., "FlowNet: Learning Optical Flow with Convolutional Networks", ICCV 2015; Ilg et al., "FlowNet 2.0",
CVPR 2017; Zhu et al., "Deep Feature Flow for Video Recognition", CVPR 2017. No BatchNorm, LeakyReLU 0.1, parameter
names of the PyTorch ports.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

FlowNetForm = Literal["flownet2s", "dff", "gsvnet"]

_ENCODER = (
    ("conv1", 6, 64, 7, 2),
    ("conv2", 64, 128, 5, 2),
    ("conv3", 128, 256, 5, 2),
    ("conv3_1", 256, 256, 3, 1),
    ("conv4", 256, 512, 3, 2),
    ("conv4_1", 512, 512, 3, 1),
    ("conv5", 512, 512, 3, 2),
    ("conv5_1", 512, 512, 3, 1),
    ("conv6", 512, 1024, 3, 2),
    ("conv6_1", 1024, 1024, 3, 1),
)
_KEPT = {"conv2": 2, "conv3_1": 3, "conv4_1": 4, "conv5_1": 5}  # what the decoder's levels take from the encoder
_DECODER = ((5, 1024, 512), (4, 1026, 256), (3, 770, 128), (2, 386, 64))  # level, channels in, channels of the deconv
_FACTORS = {"flownet2s": 20.0, "dff": 2.5, "gsvnet": 1.0}


class FlowNetS(nn.Module):
    """An hourglass from a pair of frames, (N, 6, H, W), to flow; input of any size.

    `form` says whose it is, for they differ in what surrounds the same layers:

    - "flownet2s": order (image 1, image 2), flow from 1 to 2. Output at stride 4 in input pixels; 38,676,506
      parameters.
    - "dff": order (current, previous). The input is averaged over 2x2 pixels first and the last decoder map once more,
      so the output is at stride 16, in cells of 16 input pixels (x2.5); 38,676,514 parameters.
    - "gsvnet": GSVNet's published weights. Order (previous, current); output at stride 8 in quarter pixels of the
      input; no averaging of the input, and decoder maps cropped at their corner, which shifts each by a cell.

    Output: (N, 2, h, w), x before y.
    """

    def __init__(self, form: FlowNetForm = "flownet2s") -> None:
        super().__init__()
        self.form = form
        for name, before, channels, kernel, stride in _ENCODER:
            conv = nn.Conv2d(before, channels, kernel, stride, padding=kernel // 2)
            self.add_module(name, nn.Sequential(conv, nn.LeakyReLU(0.1)))
        for level, before, channels in _DECODER:
            self.add_module(f"predict_flow{level + 1}", nn.Conv2d(before, 2, 3, padding=1))
            self.add_module(
                f"deconv{level}", nn.Sequential(nn.ConvTranspose2d(before, channels, 4, 2), nn.LeakyReLU(0.1))
            )
            self.add_module(
                f"upsampled_flow{level + 1}_to_{level}", nn.ConvTranspose2d(2, 2, 4, 2, bias=form != "flownet2s")
            )
        self.predict_flow2 = nn.Conv2d(194, 2, 3, padding=1)

    def forward(self, pair: Tensor) -> Tensor:
        """The pair (N, 6, H, W) in the form's order and range to flow (N, 2, h, w) in the form's unit and stride."""
        x = functional.avg_pool2d(pair, 2) if self.form == "dff" else pair
        skips: dict[int, Tensor] = {}
        for name, *_ in _ENCODER:
            x = self.get_submodule(name)(x)
            if name in _KEPT:
                skips[_KEPT[name]] = x
        for level, *_ in _DECODER:
            flow = self.get_submodule(f"predict_flow{level + 1}")(x)
            flow = self._crop(self.get_submodule(f"upsampled_flow{level + 1}_to_{level}")(flow), skips[level])
            x = torch.cat([skips[level], self._crop(self.get_submodule(f"deconv{level}")(x), skips[level]), flow], 1)
        if self.form != "flownet2s":
            x = functional.avg_pool2d(x, 2)
        scaled: Tensor = self.predict_flow2(x) * _FACTORS[self.form]
        return scaled

    def _crop(self, x: Tensor, like: Tensor) -> Tensor:
        """Unpadded transposed convolution's output cut to `like`'s size, from its second row and column on."""
        first = 0 if self.form == "gsvnet" else 1
        height, width = like.shape[-2:]
        return x[..., first : first + height, first : first + width]


def flownet2s_input(first: Tensor, second: Tensor) -> Tensor:
    """RGB frames (N, 3, H, W), 0..255, as FlowNet 2.0's networks expect them: (N, 6, H, W).

    The mean of each channel over both frames is subtracted, then values are divided by 255.
    """
    both = torch.stack([first, second], 2)
    centred = (both - both.mean((2, 3, 4), keepdim=True)) / 255
    return torch.cat([centred[:, :, 0], centred[:, :, 1]], 1)

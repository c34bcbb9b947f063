"""Pictures on an accelerator: decoded planes go up, and become RGB there as FFmpeg's swscale makes it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...codec import Frame, Planes
from .transfers import sent, sent_together

_INVERSE = {
    1: (117489, 138438, 13975, 34925),
    4: (104448, 132798, 24759, 53109),
    5: (104597, 132201, 25675, 53279),
    6: (104597, 132201, 25675, 53279),
    7: (117579, 136230, 16907, 35559),
    9: (110013, 140363, 12277, 42626),
    10: (110013, 140363, 12277, 42626),
}
"""swscale's `ff_yuv2rgb_coeffs`, by code of ITU-T H.273: what V adds to red, U to blue, and U and V take from green, in
1 / 65536, for planes of limited range."""

_FRACTION = 9  # bits after the point, of Y, U and V; and 13 of the factors


def sent_picture(frame: Frame, device: torch.device) -> Tensor:
    """A frame's picture, (1, H, W, 3) uint8 RGB, on a device.

    Where it was decoded as 4:2:0 of 8 bits, its planes go there, 1.5 bytes a pixel, and are converted on the device:
    to the same values as `frame.image`. Otherwise, and at odd sizes, that goes.
    """
    planes = frame.planes(subsampled=True) if can_send_planes(frame) else None
    if planes is None:
        return sent(frame.image, device)[None]
    with torch.inference_mode():
        return rgb_of(sent_together((planes.y, planes.u, planes.v), device), planes)[None]


def can_send_planes(frame: Frame) -> bool:
    """Whether a frame's planes serve in place of its image, which need not be made then."""
    return frame.has_plain_planes and not any(side % 2 for side in frame.size_hw)


def rgb_of(flat: Tensor, planes: Planes) -> Tensor:
    """Y, U and V of 4:2:0 one after the other, (1.5 H W,) uint8, to RGB (H, W, 3) uint8; `planes` says how they are to
    be read. H and W are even.

    Chroma, which lies at the even columns and halfway between the rows, is interpolated bilinearly. All is done in
    whole numbers as in swscale's `yuv2rgb_full_1` (FFmpeg, libswscale/output.c), so that the result is the same.
    """
    height, width = planes.y.shape
    y, chroma = flat[: height * width].view(height, width), flat[height * width :].view(2, height // 2, width // 2)
    luma_factor, black, red, green_v, green_u, blue = _factors(planes.matrix, planes.full_range)
    u, v = ((_doubled(chroma) - (8 * 128)) << (_FRACTION - 3)).unbind(0)
    luma = ((y.int() << _FRACTION) - black) * luma_factor + (1 << 21)
    rgb = torch.stack([luma + v * red, luma + v * green_v + u * green_u, luma + u * blue], -1)
    return (rgb.clamp(0, (1 << 30) - 1) >> 22).to(torch.uint8)


def _doubled(chroma: Tensor) -> Tensor:
    """(2, h, w) uint8 at twice the size, times 8, int32; the border is repeated."""
    padded = functional.pad(chroma.float(), (0, 1, 1, 1), mode="replicate").int()
    own, above, below = 3 * padded[:, 1:-1], padded[:, :-2], padded[:, 2:]
    tall = torch.stack([own + above, own + below], 2).flatten(1, 2)
    left, right = tall[..., :-1], tall[..., 1:]
    return torch.stack([2 * left, left + right], 3).flatten(2, 3)


def _factors(matrix: int, full_range: bool) -> tuple[int, int, int, int, int, int]:
    """As `ff_yuv2rgb_c_init_tables` makes them: Y's factor, what is black, and what V adds to red, V and U to green and
    U to blue, in 1 / 8192."""
    red, blue, green_u, green_v = _INVERSE[matrix]
    luma, black = 1 << 16, 0
    if full_range:
        red, blue, green_u, green_v = (value * 224 // 255 for value in (red, blue, green_u, green_v))
    else:
        luma, black = luma * 255 // 219, 16 << _FRACTION

    def rounded(value: int) -> int:
        return (value + 4) >> 3

    return rounded(luma), black, rounded(red), rounded(-green_v), rounded(-green_u), rounded(blue)

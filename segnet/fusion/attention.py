"""Attention of every position to its neighbourhood, as CReFF uses it (Hu et al., AR-Seg, CVPR 2023).

For each position i and each offset o of a k x k window, S[i, o] = sum over c of Q[c, i] K[c, i + o], unscaled; A is the
softmax of S over o; the result is Y[c, i] = sum over o of A[i, o] V[c, i + o]. Neighbours outside the map score 0, stay
in the softmax, and contribute a zero value, so attention leaks out at borders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ..exportable import is_exporting

TILE_HW = (4, 8)
CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 256 << 20}


def local_attention(query: Tensor, key: Tensor, value: Tensor, window: int = 7) -> Tensor:
    """Local attention that needs little memory beside its inputs, forward and backward, on any device.

    `query` and `key` are (N, C, H, W), `value` is (N, D, H, W) with any D, all of one floating type; `window` is odd.
    Returns (N, D, H, W) in the memory format of `value`. Tiles of 4 x 8 queries meet the keys around them in matrix
    products, a few rows of tiles at a time; the backward pass computes the weights again. Raises ValueError where the
    shapes do not fit.
    """
    if is_exporting():
        return shifted_attention(query, key, value, window)
    check(query, key, value, window)
    if query.dtype == torch.float16:  # unscaled scores exceed its range
        return local_attention(query.float(), key.float(), value.float(), window).half()
    out: Tensor = TiledAttention.apply(query, key, value, window)  # type: ignore[no-untyped-call]
    return out


def local_attention_by_definition(query: Tensor, key: Tensor, value: Tensor, window: int = 7) -> Tensor:
    """What `local_attention` computes, written plainly: takes `window`^2 times the memory of its inputs."""
    check(query, key, value, window)
    weights = local_scores(query, key, window).softmax(-1)
    return torch.einsum("nhwo,ncohw->nchw", weights, neighbours(value, window))


def shifted_attention(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """The same, one shift of the maps after another: what exporters can follow, in little memory."""
    height, width, half = query.shape[-2], query.shape[-1], window // 2
    padding = (half, half, half, half)
    keys, values = functional.pad(key, padding), functional.pad(value, padding)
    places = [(row, column) for row in range(window) for column in range(window)]

    def shifted(x: Tensor, place: tuple[int, int]) -> Tensor:
        return x[:, :, place[0] : place[0] + height, place[1] : place[1] + width]

    weights = torch.cat([(query * shifted(keys, at)).sum(1, keepdim=True) for at in places], 1).softmax(1)
    parts = [weights[:, i : i + 1] * shifted(values, at) for i, at in enumerate(places)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def local_scores(query: Tensor, key: Tensor, window: int = 7) -> Tensor:
    """S of (N, C, H, W) maps: (N, H, W, window^2), offsets row by row."""
    return torch.einsum("nchw,ncohw->nhwo", query, neighbours(key, window))


def neighbours(x: Tensor, window: int) -> Tensor:
    """The window around each position of (N, C, H, W), zero outside: (N, C, window^2, H, W)."""
    batch, channels, height, width = x.shape
    return functional.unfold(x, window, padding=window // 2).view(batch, channels, window**2, height, width)


def check(query: Tensor, key: Tensor, value: Tensor, window: int) -> None:
    """ValueError where the maps do not fit each other, or the window has no centre."""
    if window < 1 or window % 2 == 0:
        raise ValueError(f"local attention: the window must be odd and positive, not {window}")
    if query.ndim != 4 or query.shape != key.shape or value.shape != (key.shape[0], value.shape[1], *key.shape[2:]):
        shapes = ", ".join(str(tuple(x.shape)) for x in (query, key, value))
        raise ValueError(f"local attention: query and key must be (N, C, H, W), value (N, D, H, W); got {shapes}")


@dataclass(frozen=True)
class Chunk:
    """Some rows of tiles in some images of a map: `rows` counts in positions from `top`."""

    first: int
    images: int
    top: int
    rows: int

    def padded_shape(self, x: Tensor, radius: int) -> tuple[int, int, int, int]:
        """The chunk with its border and whole tiles, channels last."""
        width = -(-x.shape[3] // TILE_HW[1]) * TILE_HW[1]
        return self.images, self.rows + 2 * radius, width + 2 * radius, x.shape[1]

    def in_map(self, x: Tensor, radius: int) -> tuple[Tensor, slice, slice]:
        """The part of `x` that the padded chunk covers, channels last, and the rows and columns it has there."""
        height, width = x.shape[2:]
        start, stop = max(0, self.top - radius), min(height, self.top + self.rows + radius)
        offset = start - (self.top - radius)
        part = x[self.first : self.first + self.images, :, start:stop].permute(0, 2, 3, 1)
        return part, slice(offset, offset + stop - start), slice(radius, radius + width)

    def read(self, x: Tensor, radius: int = 0) -> Tensor:
        """The chunk's tiles of `x` (N, C, H, W), `radius` wider on each side, zero outside: (tiles, positions, C)."""
        padded = x.new_empty(self.padded_shape(x, radius))
        part, rows, columns = self.in_map(x, radius)
        padded[:, rows, columns] = part
        padded[:, : rows.start] = padded[:, rows.stop :] = 0
        padded[:, :, : columns.start] = padded[:, :, columns.stop :] = 0
        return tile_views(padded, radius).reshape(-1, tile_size(radius), x.shape[1])

    def write(self, tiles: Tensor, x: Tensor) -> None:
        """Put tiles (tiles, positions, C) as `read` gives them with no radius into `x`."""
        shape = self.padded_shape(x, 0)
        views = tiles.view(shape[0], shape[1] // TILE_HW[0], shape[2] // TILE_HW[1], *TILE_HW, shape[3])
        part, rows, columns = self.in_map(x, 0)
        part.copy_(views.transpose(2, 3).reshape(shape)[:, rows, columns])

    def add(self, tiles: Tensor, x: Tensor, radius: int) -> None:
        """Add tiles as `read` gives them to `x`, each position as often as it is in a tile."""
        padded = x.new_zeros(self.padded_shape(x, radius))
        views = tile_views(padded, radius)
        tiles = tiles.view(views.shape)
        y_step, x_step = (-(-(side + 2 * radius) // side) for side in TILE_HW)
        for y in range(y_step):
            for z in range(x_step):
                views[:, y::y_step, z::x_step] += tiles[:, y::y_step, z::x_step]
        part, rows, columns = self.in_map(x, radius)
        part += padded[:, rows, columns]


def tile_size(radius: int) -> int:
    """Positions in a tile that is `radius` wider on each side."""
    return (TILE_HW[0] + 2 * radius) * (TILE_HW[1] + 2 * radius)


def tile_views(padded: Tensor, radius: int) -> Tensor:
    """Overlapping views (N, tiles down, tiles across, tile height, tile width, C) of a chunk (N, H, W, C)."""
    views = padded
    for dim, side in enumerate(TILE_HW, start=1):
        views = views.unfold(dim, side + 2 * radius, side)
    return views.permute(0, 1, 2, 4, 5, 3)


def chunks(query: Tensor, value: Tensor, radius: int) -> Iterator[Chunk]:
    """The map in parts whose tiles, with their scores, take about CHUNK_BYTES each, and at least one row of tiles."""
    batch, channels, height, width = query.shape
    floats = tile_size(radius) * (channels + value.shape[1] + tile_size(0))
    row_bytes = -(-width // TILE_HW[1]) * floats * query.element_size()
    budget = max(1, CHUNK_BYTES.get(query.device.type, CHUNK_BYTES["cuda"]) // row_bytes)
    tile_rows = -(-height // TILE_HW[0])
    images, rows = max(1, budget // tile_rows), min(budget, tile_rows)
    for first in range(0, batch, images):
        for row in range(0, tile_rows, rows):
            count = min(rows, tile_rows - row)
            yield Chunk(first, min(images, batch - first), row * TILE_HW[0], count * TILE_HW[0])


def reach(window: int, like: Tensor) -> Tensor:
    """(queries, keys) of one tile: 0 where the key lies in the query's window, else -inf."""
    radius = window // 2
    within = []
    for side in TILE_HW:
        around, own = (torch.arange(count, device=like.device) for count in (side + 2 * radius, side))
        offset = around.unsqueeze(0) - own.unsqueeze(1)
        within.append((offset >= 0) & (offset < window))
    rows, columns = within
    mask = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(tile_size(0), tile_size(radius))
    return like.new_zeros(mask.shape).masked_fill_(~mask, -torch.inf)


class TiledAttention(torch.autograd.Function):
    """`local_attention`; keeps nothing but its inputs for the backward pass."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
        """See `local_attention`."""
        ctx.save_for_backward(query, key, value)
        ctx.window, radius = window, window // 2
        mask = reach(window, query)
        out = torch.empty_like(value)
        with torch.autocast(query.device.type, enabled=False):
            for chunk in chunks(query, value, radius):
                attention = torch.baddbmm(mask, chunk.read(query), chunk.read(key, radius).mT).softmax(-1)
                chunk.write(attention @ chunk.read(value, radius), out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of query, key and value."""
        query, key, value = ctx.saved_tensors
        radius = ctx.window // 2
        mask = reach(ctx.window, query)
        grad_query, grad_key, grad_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        with torch.autocast(query.device.type, enabled=False):
            for chunk in chunks(query, value, radius):
                queries, keys, grad_out = chunk.read(query), chunk.read(key, radius), chunk.read(grad)
                attention = torch.baddbmm(mask, queries, keys.mT).softmax(-1)
                chunk.add(attention.mT @ grad_out, grad_value, radius)
                grad_attention = grad_out @ chunk.read(value, radius).mT
                grad_scores = attention * (grad_attention - (attention * grad_attention).sum(-1, keepdim=True))
                chunk.write(grad_scores @ keys, grad_query)
                chunk.add(grad_scores.mT @ queries, grad_key, radius)
        return grad_query, grad_key, grad_value, None

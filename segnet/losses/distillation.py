"""Distillation from a bigger network over one, two and several frames (ETC: Liu et al., ECCV 2020).

Students and teachers may differ in channels and in grid: the student's maps are resized to the teacher's (bilinear,
`align_corners=True`). Every function takes (N, C, h, w) and gives one number that is 0 where both networks agree.
Gradients reach the student only where the teacher's maps carry none. `compat` is the released code's form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks import size_of
from ..resize import resize_aligned
from .conv_lstm import ConvLSTM

NEIGHBOUR_WEIGHT = 0.4
"""What a neighbour of the labelled frame counts for in a triplet."""

EPSILON = 1e-6


def single_frame_distillation(
    student: Tensor, teacher: Tensor, *, temperature: float = 1.0, compat: bool = False
) -> Tensor:
    """SF: KL divergence of the teacher's probabilities from the student's, of logits, averaged over positions.

    Times the square of the temperature, which keeps the gradient's size (Hinton et al., 2015). `compat` averages over
    classes too, without that factor.
    """
    student = resize_aligned(student.float(), size_of(teacher))
    log_student, log_teacher = (x.div(temperature).log_softmax(1) for x in (student, teacher.float()))
    divergence = functional.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    return divergence.mean() if compat else divergence.sum(1).mean() * temperature**2


def affinity(first: Tensor, second: Tensor, *, compat: bool = False) -> Tensor:
    """Cosine similarity of every position of one map with every position of another, (N, h w, h w), in -1..1.

    `compat` divides entry (i, j) by the norms of positions j of the first and i of the second map, as the released code
    does, which leaves -1..1 and is the cosine only where both maps are the same.
    """
    first, second = (x.float().flatten(2) for x in (first, second))
    norms = [x.norm(dim=1) for x in (first, second)]
    if not compat:
        first, second = (x / norm.clamp(min=EPSILON)[:, None] for x, norm in zip((first, second), norms, strict=True))
    products = first.transpose(1, 2) @ second
    return products / (norms[1][:, :, None] * norms[0][:, None, :]) if compat else products


def pair_distillation(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], *, pool: int = 2, compat: bool = False
) -> Tensor:
    """PF: mean squared difference between the networks' affinities of a frame with its neighbour.

    Maps (logits or features) are averaged over squares of `pool` positions first; 1 leaves them as they are.
    """
    student_maps = pooled([resize_aligned(x, size_of(y)) for x, y in zip(student, teacher, strict=True)], pool)
    teacher_maps = pooled(teacher, pool)
    return functional.mse_loss(
        affinity(student_maps[0], student_maps[1], compat=compat),
        affinity(teacher_maps[0], teacher_maps[1], compat=compat),
    )


def self_affinity_distillation(
    student: Sequence[Tensor], teacher: Sequence[Tensor], weights: Sequence[float], *, pool: int = 2
) -> Tensor:
    """The pair loss of each frame with itself, times its weight: NEIGHBOUR_WEIGHT beside the labelled frame."""
    losses = [
        weight * pair_distillation((s, s), (t, t), pool=pool)
        for s, t, weight in zip(student, teacher, weights, strict=True)
    ]
    return torch.stack(losses).sum()


class MultiFrameDistillation(nn.Module):
    """MF: mean squared differences of what a ConvLSTM makes of both networks' self-affinities over consecutive frames.

    Maps are averaged over squares of `pool` positions (fewer where they are smaller); each frame's affinity with itself
    is a one-channel picture, and cells and hidden states after the last are compared. The ConvLSTM is a frozen random
    projection, drawn from `seed`: trained with the student it could map everything to one point.
    """

    def __init__(self, *, pool: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.pool = pool
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.convlstm = ConvLSTM()
        self.requires_grad_(False)

    def encode(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (N, C, h, w) in order of time to the last hidden and cell state, (N, 4, n, n) for n pooled positions."""
        hidden, cell = self.convlstm([affinity(x, x)[:, None] for x in pooled(maps, self.pool)])
        return hidden, cell

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Both networks' maps in order of time to the loss."""
        aligned = [resize_aligned(x, size_of(y)) for x, y in zip(student, teacher, strict=True)]
        ours, theirs = self.encode(aligned), self.encode(teacher)
        return functional.mse_loss(ours[0], theirs[0]) + functional.mse_loss(ours[1], theirs[1])


def pooled(maps: Sequence[Tensor], pool: int) -> list[Tensor]:
    """Means over squares of `pool` positions, or of the smaller side; what is left at the far sides is dropped."""
    return [functional.avg_pool2d(x.float(), min(pool, *x.shape[-2:])) for x in maps]

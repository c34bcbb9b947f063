"""Losses over known pixels: the mean of what two processes have is what one with all samples has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gopseg.segnet import PropagationLoss, SegmentationLoss, clip_loss, motion_loss, per_frame_loss
from gopseg.segnet.losses import mrcfa_loss, propagation_losses, segmentation, temporal
from gopseg.segnet.losses.propagation_losses import BoundaryAwareFocalLoss

CLASSES, SIZE = 3, (8, 12)
WEIGHTS = np.linspace(0.5, 1.5, CLASSES, dtype=np.float32)
Loss = Callable[[Tensor, Tensor], Tensor]


def clips(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Each picture as a clip of two equal frames."""
    return logits[:, None].expand(-1, 2, -1, -1, -1), labels.long()[:, None].expand(-1, 2, -1, -1)


def of_clips(logits: Tensor, labels: Tensor) -> Tensor:
    maps, truth = clips(logits, labels)
    return clip_loss(maps, maps.flip(1), truth, weights=torch.from_numpy(WEIGHTS))


def of_motion(logits: Tensor, labels: Tensor) -> Tensor:
    """Void stands for unknown motion."""
    images = torch.zeros(len(logits), 3, *SIZE)
    still = torch.zeros(len(logits), *SIZE, 2)
    return motion_loss(images, images, still, logits, logits.flip(1), (labels != 255).float()[:, None])


LOSSES: dict[str, Loss] = {
    "cross-entropy": SegmentationLoss(WEIGHTS),
    "clip": of_clips,
    "per frame": lambda logits, labels: per_frame_loss(*clips(logits, labels)),
    "motion": of_motion,
    "propagation": PropagationLoss(WEIGHTS.tolist(), distillation=0),
    "boundary": lambda logits, labels: BoundaryAwareFocalLoss()(logits, labels, (labels != 255).float()),
}


def two_processes(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[float], list[Tensor]]:
    """The losses of two pictures alone, the counts that each divided by first, and the losses of two processes."""
    logits, labels = pictures()
    counts: list[float] = []

    def apart(mean: Callable[[Tensor], Tensor]) -> list[Tensor]:
        for module in (mrcfa_loss, propagation_losses, segmentation, temporal):
            monkeypatch.setattr(module, "mean_over_processes", mean)
        return [loss(logits[i : i + 1], labels[i : i + 1]) for i in range(2)]

    def noted(count: Tensor) -> Tensor:
        counts.append(float(count))
        return count

    alone = apart(noted)
    half = len(counts) // 2
    means = iter([(a + b) / 2 for a, b in zip(counts[:half], counts[half:], strict=True)] * 2)
    return alone, [counts[0], counts[half]], apart(lambda _: torch.tensor(next(means)))


def pictures() -> tuple[Tensor, Tensor]:
    """Logits (2, CLASSES, *SIZE) and labels; of the second a quarter is known."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, CLASSES, *SIZE, generator=generator)
    labels = torch.randint(0, CLASSES, (2, *SIZE), generator=generator).to(torch.uint8)
    labels[1, :, 3:] = 255
    return logits, labels


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_of_two_processes_is_the_loss_of_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LOSSES[name](*pictures())
    alone, _, together = two_processes(LOSSES[name], monkeypatch)
    torch.testing.assert_close(sum(together) / 2, whole)
    assert not torch.allclose(sum(alone) / 2, whole, rtol=1e-3)


def test_the_hardest_pixels_of_all_processes_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, kept, together = two_processes(SegmentationLoss(WEIGHTS, keep=0.5), monkeypatch)
    assert kept == [48, 12]
    torch.testing.assert_close(sum(together) / 2, (kept[0] * alone[0] + kept[1] * alone[1]) / sum(kept))

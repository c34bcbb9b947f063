"""Training of propagation heads as published: presets, parameter groups, and a clip unrolled through the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..losses import PropagationLoss
from .model import PropagationModel


@dataclass(frozen=True, kw_only=True)
class PropagationPreset:
    """A published recipe: SGD, and the learning rate times `decay` every `decay_steps` steps.

    `lr` is that of the intra network, `lr_guide` and `lr_flow` those of the guiding network and of the motion source;
    `distances` are the numbers of steps from the keyframe to the labelled frame that clips are drawn with.
    """

    lr: float
    lr_guide: float
    lr_flow: float
    nesterov: bool
    scale: float
    distillation: float
    class_weighted: bool
    distances: tuple[int, ...] = (1, 2, 3, 4)
    batch: int = 8
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: float = 0.992
    decay_steps: int = 100
    gradient_steps: int = 2

    def optimiser_groups(self, model: PropagationModel) -> list[dict[str, Any]]:
        """Groups for an optimiser, each with its `lr`; the delay bank is frozen and in none."""
        groups = [
            {"params": list(model.head.intra_net.parameters()), "lr": self.lr},
            {"params": list(model.head.guide.parameters()), "lr": self.lr_guide},
        ]
        if model.flow is not None:
            groups.append({"params": list(model.flow.parameters()), "lr": self.lr_flow})
        return [group for group in groups if group["params"]]

    def optimiser(self, model: PropagationModel) -> tuple[torch.optim.SGD, torch.optim.lr_scheduler.StepLR]:
        """The optimiser and its schedule, which is stepped with every batch."""
        sgd = torch.optim.SGD(
            self.optimiser_groups(model),
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )
        return sgd, torch.optim.lr_scheduler.StepLR(sgd, self.decay_steps, self.decay)

    def loss(self, class_weights: Sequence[float]) -> PropagationLoss:
        """The recipe's loss; `class_weights` (classes,) are used if it weights classes."""
        weights = class_weights if self.class_weighted else None
        return PropagationLoss(weights, scale=self.scale, distillation=self.distillation)


PRESETS = {
    "paper": PropagationPreset(
        lr=0.002, lr_guide=0.002, lr_flow=0.002, nesterov=False, scale=1, distillation=0, class_weighted=False
    ),
    "code": PropagationPreset(
        lr=0.01, lr_guide=0.04, lr_flow=1e-4, nesterov=True, scale=10, distillation=10, class_weighted=True
    ),
    "swnet-seq": PropagationPreset(
        lr=0.002,
        lr_guide=0.02,
        lr_flow=0.02,
        nesterov=True,
        scale=10,
        distillation=10,
        class_weighted=True,
        distances=(1, 2),
    ),
}
"""GSVNet's recipe as its paper has it, as its released code has it, and SwNet-seq's released code's."""


class ClipPropagation(nn.Module):
    """A keyframe's scores carried through a clip, as one module, so that data-parallel wrappers see one call.

    Only the last `gradient_steps` steps run the head with gradients and batch statistics; earlier ones run it in eval
    mode without. The motion source stays in the mode that it is in at every step.
    """

    def __init__(self, model: PropagationModel, gradient_steps: int = 2) -> None:
        super().__init__()
        self.model = model
        self.gradient_steps = gradient_steps

    def forward(
        self,
        key_logits: Tensor,
        images: Tensor,
        displacements: Tensor | None = None,
        validities: Tensor | None = None,
        nearests: Tensor | None = None,
        output_hw: tuple[int, int] | None = None,
    ) -> Tensor:
        """The last frame's logits (N, C, H, W), or of the size `output_hw`.

        `key_logits` (N, C, ., .) are the keyframe network's; `images` (N, T, H, W, 3) RGB, 0..255, keyframe first. A
        model on the codec's motion needs `displacements` (N, T - 1, h, w, 2) in cells, each to the frame before, and
        may have `validities` (N, T - 1, 1, h, w) and `nearests` (N, T - 1, h, w). A head that is not recursive takes
        the last entry of each, which then leads to the keyframe. ModelError where motion is missing, or where it is not
        the codec's to give.
        """
        if self.model.needs_pictures == (displacements is not None):
            raise ModelError(
                f"a clip on motion from '{self.model.settings.flow}' takes displacements only from the codec"
            )
        frames = list(images.unbind(1))
        if not self.model.settings.recursive:
            frames = [frames[0], frames[-1]]
            displacements = None if displacements is None else displacements[:, -1:]
            validities = None if validities is None else validities[:, -1:]
            nearests = None if nearests is None else nearests[:, -1:]
        reference = self.model.prepare(frames[0])
        scores = self.model.start(key_logits, reference.size_hw)
        training = self.model.head.training
        for number, image in enumerate(frames[1:]):
            learning = number >= len(frames) - 1 - self.gradient_steps
            frame = self.model.prepare(image)
            self.model.head.train(training and learning)
            with torch.set_grad_enabled(torch.is_grad_enabled() and learning):
                scores = self.model.step(
                    scores,
                    frame,
                    reference=reference,
                    displacement=None if displacements is None else displacements[:, number],
                    validity=None if validities is None else validities[:, number],
                    nearest=None if nearests is None else nearests[:, number],
                ).scores
            reference = frame
        self.model.head.train(training)
        return self.model.logits(scores, output_hw or reference.size_hw)

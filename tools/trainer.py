"""The training loop of per-frame networks: deterministic samples, EMA, checkpoints and exact resume."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ..data.augment import Augmentation, augment
from ..data.sample import Sample
from ..segnet import ConfusionMatrix, SegmentationLoss, SegmentationNetwork, class_weights, resize_logits

SUPERVISED_MAPS = ("backbone.spp", "backbone.upsample.0", "backbone.upsample.1")
"""SwiftNet's decoder maps at strides 32, 16 and 8, which auxiliary heads classify in training."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything that decides the weights, beside the data. `crops` is (height, width, share of the run), in order."""

    epochs: int = 100
    batch: int = 8
    crops: tuple[tuple[int, int, float], ...] = ((360, 480, 1.0),)
    optimiser: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 200
    schedule: str = "flat-cosine"
    decay_share: float = 0.4
    ema: float = 0.998
    balance: float = 0.5
    keep: float = 1.0
    auxiliary: float = 0.4
    extra_share: float = 0.0
    seed: int = 0
    scale: tuple[float, float] = (0.5, 2.0)
    mix: float = 0.3
    validate_every: int = 5
    precision: str = "bf16"


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    best_miou: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


class AuxiliaryHeads(nn.Module):
    """Linear classifiers on SwiftNet's coarser decoder maps (deep supervision), used in training only."""

    def __init__(self, network: SegmentationNetwork, names: Sequence[str]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(network.feature_channels, len(network.classes), 1) for _ in names)
        self.maps: list[Tensor] = []
        for name in names:
            network.get_submodule(name).register_forward_hook(self.remember)

    def remember(self, module: nn.Module, _inputs: Any, out: Tensor) -> None:
        """Keep a map that training needs (copies of the network, which are only evaluated, share this hook)."""
        if module.training:
            self.maps.append(out)

    def forward(self) -> list[Tensor]:
        """Logits of the maps that the network's last forward left, coarse to fine."""
        maps, self.maps = self.maps, []
        return [head(torch.relu(m)) for head, m in zip(self.heads, maps, strict=True)]


class Supervised(nn.Module):
    """The network with its auxiliary heads: one module for the optimiser and for data-parallel wrapping."""

    def __init__(self, network: SegmentationNetwork, heads: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.auxiliary = AuxiliaryHeads(network, heads)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of the network, then of the auxiliary heads."""
        return [self.network(images), *self.auxiliary()]


class Trainer:
    """Trains `network` on `train`, keeps the exponential moving average of its weights, validates that on `val`.

    `extra` samples are drawn with probability `settings.extra_share`. Every random choice is a function of the seed
    and the sample's number, so a run that was killed and resumed goes on exactly as if it had not been.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        train: Sequence[Sample],
        val: Sequence[Sample],
        settings: TrainSettings,
        folder: Path,
        extra: Sequence[Sample] = (),
    ) -> None:
        self.settings, self.folder = settings, folder
        self.accelerator = Accelerator(mixed_precision=settings.precision if settings.precision != "fp32" else "no")
        self.train_samples, self.val_samples, self.extra = train, val, extra
        counts = np.zeros(256, np.int64)
        for sample in train:
            counts += np.bincount(sample.labels.ravel(), minlength=256)
        weights = class_weights(counts[: len(network.classes)], settings.balance)
        self.loss = SegmentationLoss(weights, settings.keep).to(self.accelerator.device)
        model = Supervised(network, SUPERVISED_MAPS if settings.auxiliary > 0 else ()).to(
            memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        optimiser = make_optimiser(model, settings)
        self.model, self.optimiser = self.accelerator.prepare(model, optimiser)
        self.bare: Supervised = self.accelerator.unwrap_model(self.model)
        self.average = copy.deepcopy(self.bare.network).eval()
        self.progress = Progress()
        per_step = settings.batch * self.accelerator.num_processes
        self.steps_per_epoch = math.ceil(len(train) / per_step)
        self.total_steps = self.steps_per_epoch * settings.epochs

    def sample(self, number: int, crop_hw: tuple[int, int]) -> Sample:
        """The augmented sample with this running number."""
        rng = np.random.default_rng([self.settings.seed, number])
        settings = Augmentation(crop_hw=crop_hw, scale=self.settings.scale, mix=self.settings.mix)

        def pick() -> Sample:
            return self.train_samples[int(rng.integers(len(self.train_samples)))]

        if self.extra and rng.random() < self.settings.extra_share:
            return augment(self.extra[int(rng.integers(len(self.extra)))], settings, rng)
        epoch, position = divmod(number, len(self.train_samples))
        order = np.random.default_rng([self.settings.seed, 1 << 40, epoch]).permutation(len(self.train_samples))
        return augment(self.train_samples[int(order[position])], settings, rng, pick)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (N, H, W, 3) uint8 and labels (N, H, W) uint8 from the current step on, prepared ahead in a thread."""
        size, ranks = self.settings.batch, self.accelerator.num_processes

        def batch(step: int) -> tuple[Tensor, Tensor]:
            first = (step * ranks + self.accelerator.process_index) * size
            crop = crop_at(self.settings.crops, step / self.total_steps)
            samples = [self.sample(first + i, crop) for i in range(size)]
            return (
                torch.from_numpy(np.stack([s.image for s in samples])),
                torch.from_numpy(np.stack([s.labels for s in samples])),
            )

        with ThreadPoolExecutor(1) as pool:
            ahead: Future[tuple[Tensor, Tensor]] = pool.submit(batch, self.progress.step)
            for step in range(self.progress.step, self.total_steps):
                ready = ahead
                if step + 1 < self.total_steps:
                    ahead = pool.submit(batch, step + 1)
                yield ready.result()

    def run(self, on_validation: Callable[[SegmentationNetwork, ConfusionMatrix], None]) -> None:
        """Train to the end; `on_validation` is called whenever the average is the best so far on `val`."""
        writer = SummaryWriter(str(self.folder / "tensorboard")) if self.accelerator.is_main_process else None
        first = self.progress.step
        bar = tqdm(total=self.total_steps, initial=first, unit="step", disable=not self.accelerator.is_main_process)
        for images, labels in self.batches():
            losses = self.train_step(images, labels)
            self.progress.step += 1
            bar.update()
            if self.progress.step % 20 == 0:
                bar.set_postfix(loss=f"{losses:.3f}", miou=f"{self.progress.best_miou:.3f}")
                if writer is not None:
                    writer.add_scalar("loss/train", losses, self.progress.step)
                    writer.add_scalar("lr", self.optimiser.param_groups[0]["lr"], self.progress.step)
            if self.progress.step % self.steps_per_epoch == 0 and writer is not None:
                epoch = self.progress.step // self.steps_per_epoch
                if epoch % self.settings.validate_every == 0 or self.progress.step == self.total_steps:
                    self.validate(epoch, losses, writer, on_validation)
                self.save(self.folder / "last.pt")
        bar.close()
        if writer is not None:
            writer.close()
        self.accelerator.end_training()

    def train_step(self, images: Tensor, labels: Tensor) -> float:
        """One optimiser step; returns the loss."""
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * lr_factor(self.settings, self.progress.step, self.total_steps)
        labels = labels.to(self.accelerator.device)
        with self.accelerator.autocast():
            outputs = self.model(self.bare.network.normalise(images))
        loss = self.loss(outputs[0], labels)
        if len(outputs) > 1:
            coarse = labels[:, 2::4, 2::4]
            loss = loss + self.settings.auxiliary / len(outputs[1:]) * sum(self.loss(o, coarse) for o in outputs[1:])
        self.optimiser.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.update_average()
        return float(loss.detach())

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the weights; its horizon grows from a few steps to 1 / (1 - ema)."""
        step = self.progress.step
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        for old, new in zip(self.average.state_dict().values(), self.bare.network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)

    def validate(
        self,
        epoch: int,
        loss: float,
        writer: SummaryWriter,
        on_validation: Callable[[SegmentationNetwork, ConfusionMatrix], None],
    ) -> None:
        """Score the average on `val`, log it, and hand it on if it is the best so far."""
        confusion = evaluate(self.average, self.val_samples, self.accelerator)
        miou = confusion.mean_iou
        writer.add_scalar("miou/val", miou, self.progress.step)
        self.progress.history.append({"epoch": epoch, "miou_val": round(miou, 5), "loss": round(loss, 5)})
        tqdm.write(f"epoch {epoch}: val mIoU {miou:.4f}, loss {loss:.3f}")
        if miou > self.progress.best_miou:
            self.progress.best_miou = miou
            on_validation(self.average, confusion)

    def save(self, file: Path) -> None:
        """Write everything a later run needs to go on exactly; the old checkpoint stays until this one is whole."""
        state = {
            "model": self.bare.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
            "settings": asdict(self.settings),
        }
        part = file.with_name(file.name + ".part")
        torch.save(state, part)
        part.replace(file)

    def load(self, file: Path) -> None:
        """Go on from a checkpoint of `save`."""
        state = torch.load(file, map_location=self.accelerator.device, weights_only=True)
        self.bare.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def make_optimiser(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum; norms and biases are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay, "base_lr": settings.lr},
        {"params": plain, "weight_decay": 0.0, "base_lr": settings.lr},
    ]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=settings.lr)


def lr_factor(settings: TrainSettings, step: int, total: int) -> float:
    """The learning rate at a step, relative to the peak: linear warm-up, then the schedule.

    'poly' is (1 - t) ** 0.9, 'cosine' half a cosine, 'flat-cosine' the peak until the last `decay_share` of the run,
    then half a cosine: a run of that kind can be shortened or lengthened while it is still flat.
    """
    t = step / max(1, total)
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    if settings.schedule == "poly":
        return float(warm * (1 - t) ** 0.9)
    start = 1 - settings.decay_share if settings.schedule == "flat-cosine" else 0.0
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, t - start) / (1 - start))))


def crop_at(crops: Sequence[tuple[int, int, float]], t: float) -> tuple[int, int]:
    """The crop size at a share `t` of the run, whose shares are relative to their sum."""
    total, passed = sum(share for _, _, share in crops), 0.0
    for height, width, share in crops:
        passed += share / total
        if t < passed:
            return height, width
    return crops[-1][:2]


@torch.inference_mode()
def evaluate(
    network: SegmentationNetwork, samples: Sequence[Sample], accelerator: Accelerator | None = None
) -> ConfusionMatrix:
    """The confusion matrix of a network over labelled frames at their own size, logits resized bilinearly."""
    confusion = ConfusionMatrix(len(network.classes))
    accelerator = accelerator or Accelerator()
    network.eval()
    for sample in samples:
        with accelerator.autocast():
            logits = network(network.normalise(torch.from_numpy(sample.image)[None]))
        labels = resize_logits(logits, (sample.labels.shape[0], sample.labels.shape[1])).argmax(1)[0]
        confusion.update(labels.to(torch.uint8).cpu().numpy(), sample.labels)
    return confusion

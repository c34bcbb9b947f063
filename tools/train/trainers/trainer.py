"""The training loop: deterministic batches, exponential moving average, checkpoints and exact resume."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ....segnet import ConfusionMatrix


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
    fst: float = 0.0
    low_lr: float = 1.0
    encoder_lr: float = 1.0
    encoder_norm: str = "train"
    degrade: float = 0.3
    codec: float = 0.0
    light: float = 0.35
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


Batch = tuple[Tensor, ...]


class Trainer(ABC):
    """Trains the parameters of `module` that want gradients, keeps the exponential moving average of its submodule
    `kept` (all of it if empty), and validates that average.

    A subclass says what a batch is, what its loss is and how the average scores. Every random choice must be a function
    of the seed and the step, so that a run that was killed and resumed goes on exactly as if it had not been.
    """

    def __init__(
        self, module: nn.Module, settings: TrainSettings, folder: Path, steps_per_epoch: int, kept: str = ""
    ) -> None:
        self.settings, self.folder, self.steps_per_epoch = settings, folder, steps_per_epoch
        self.accelerator = Accelerator(mixed_precision=settings.precision if settings.precision != "fp32" else "no")
        for parameter in module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.model, self.optimiser = self.accelerator.prepare(module, self.optimiser_of(module))
        self.bare: nn.Module = self.accelerator.unwrap_model(self.model)
        self.kept = kept
        self.average = copy.deepcopy(self.bare.get_submodule(kept)).eval()
        self.progress = Progress()
        self.total_steps = steps_per_epoch * settings.epochs

    def optimiser_of(self, module: nn.Module) -> torch.optim.Optimizer:
        """What trains `module`; each group has its learning rate as `base_lr`."""
        return make_optimiser(module, self.settings)

    def rate(self, step: int) -> float:
        """The learning rate at a step, relative to each group's `base_lr`."""
        return lr_factor(self.settings, step, self.total_steps)

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """The CPU tensors of a step; called in a thread, ahead of their use."""

    @abstractmethod
    def loss(self, *batch: Tensor) -> Tensor:
        """The loss of a batch; called under the accelerator's autocast only where the subclass asks for it."""

    @abstractmethod
    def score(self, average: nn.Module) -> ConfusionMatrix:
        """The average's confusion matrix on validation data."""

    def batches(self) -> Iterator[Batch]:
        """The batches from the current step on, prepared ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead: Future[Batch] = pool.submit(self.batch, self.progress.step)
            for step in range(self.progress.step, self.total_steps):
                ready = ahead
                if step + 1 < self.total_steps:
                    ahead = pool.submit(self.batch, step + 1)
                yield ready.result()

    def run(self, on_best: Callable[[nn.Module, ConfusionMatrix], None]) -> None:
        """Train to the end; `on_best` is called whenever the average is the best so far."""
        writer = SummaryWriter(str(self.folder / "tensorboard")) if self.accelerator.is_main_process else None
        first = self.progress.step
        bar = tqdm(total=self.total_steps, initial=first, unit="step", disable=not self.accelerator.is_main_process)
        for batch in self.batches():
            loss = self.train_step(*batch)
            self.progress.step += 1
            bar.update()
            if self.progress.step % 20 == 0:
                bar.set_postfix(loss=f"{loss:.3f}", miou=f"{self.progress.best_miou:.3f}")
                if writer is not None:
                    writer.add_scalar("loss/train", loss, self.progress.step)
                    writer.add_scalar("lr", self.optimiser.param_groups[0]["lr"], self.progress.step)
            if self.progress.step % self.steps_per_epoch == 0 and writer is not None:
                epoch = self.progress.step // self.steps_per_epoch
                if epoch % self.settings.validate_every == 0 or self.progress.step == self.total_steps:
                    self.validate(epoch, loss, writer, on_best)
                self.save(self.folder / "last.pt")
        bar.close()
        if writer is not None:
            writer.close()
        self.accelerator.end_training()

    def train_step(self, *batch: Tensor) -> float:
        """One optimiser step; returns the loss."""
        self.model.train()
        if self.settings.encoder_norm == "kept":
            keep_statistics(self.bare)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * self.rate(self.progress.step)
        loss = self.loss(*(part.to(self.accelerator.device) for part in batch))
        self.optimiser.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], 5.0)
        self.optimiser.step()
        self.update_average()
        return float(loss.detach())

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the weights; its horizon grows from a few steps to 1 / (1 - ema)."""
        step = self.progress.step
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        current = self.bare.get_submodule(self.kept)
        for old, new in zip(tensors_of(self.average), tensors_of(current), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)

    def validate(
        self, epoch: int, loss: float, writer: SummaryWriter, on_best: Callable[[nn.Module, ConfusionMatrix], None]
    ) -> None:
        """Score the average, log it, and hand it on if it is the best so far."""
        confusion = self.score(self.average)
        miou = confusion.mean_iou
        writer.add_scalar("miou/val", miou, self.progress.step)
        self.progress.history.append({"epoch": epoch, "miou_val": round(miou, 5), "loss": round(loss, 5)})
        tqdm.write(f"epoch {epoch}: val mIoU {miou:.4f}, loss {loss:.3f}")
        if miou > self.progress.best_miou:
            self.progress.best_miou = miou
            on_best(self.average, confusion)

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


def tensors_of(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers themselves; a state dict may hold copies."""
    yield from module.parameters()
    yield from module.buffers()


def make_optimiser(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum; norms and biases are not decayed, frozen parameters left out.

    The learning rate of each parameter is `settings.lr` times its `rate_factor`.
    """
    groups = []
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    for factor in sorted({rate_factor(name, settings) for name, _ in named}, reverse=True):
        wanted = [p for name, p in named if rate_factor(name, settings) == factor]
        lr = settings.lr * factor
        groups.append(
            {"params": [p for p in wanted if p.ndim > 1], "weight_decay": settings.weight_decay, "base_lr": lr}
        )
        groups.append({"params": [p for p in wanted if p.ndim <= 1], "weight_decay": 0.0, "base_lr": lr})
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=settings.lr)


def rate_factor(name: str, settings: TrainSettings) -> float:
    """The learning rate of the parameter `name` relative to the others': `low_lr` under `low.`, and `encoder_lr` times
    that within an encoder that has weights of its own to keep."""
    low = settings.low_lr if name.startswith("low.") else 1.0
    return low * (settings.encoder_lr if "encoder" in name.split(".") else 1.0)


def keep_statistics(module: nn.Module) -> None:
    """Let the batch norms within encoders use their running statistics and leave them as they are."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.BatchNorm2d) and "encoder" in name.split("."):
            layer.eval()


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

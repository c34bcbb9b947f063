"""The training loop: deterministic batches, exponential moving average, checkpoints and exact resume."""

from __future__ import annotations

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ....errors import InputError
from ....files import whole_file
from ....segnet import ConfusionMatrix, parameter_groups, read_tensors
from .interruption import StopRequest
from .optimiser import lr_factor, make_optimiser
from .precision import Precision, fastest_precision
from .processes import join_processes, total_over_processes
from .settings import TrainSettings

GRADIENT_NORM = 5.0
"""Longer gradients are shortened to this."""


class Batch(Protocol):
    """The tensors of a step."""

    def to(self, device: torch.device) -> Self:
        """The same on a device."""

    def excerpt(self) -> Self:
        """A small part of it, which a step can be timed on."""


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    best_miou: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)


BatchT = TypeVar("BatchT", bound=Batch)
NetworkT = TypeVar("NetworkT", bound=nn.Module)
OnBest = Callable[[NetworkT, ConfusionMatrix], None]


class Trainer(ABC, Generic[BatchT, NetworkT]):
    """Trains the parameters of `module` that want gradients, keeps the exponential moving average of `network`, which
    is `module` or a part of it, and validates that average.

    A subclass says what a batch is, what its loss is and how the average scores. Every random choice must be a function
    of the seed, the step and the sample's number in the step's batch of all processes: then a run that was stopped and
    resumed goes on exactly as if it had not been, and several processes together do what one does with larger batches.
    Only the main process validates and writes.
    """

    def __init__(
        self, module: nn.Module, network: NetworkT, settings: TrainSettings, folder: Path, steps_per_epoch: int
    ) -> None:
        self.settings, self.folder, self.steps_per_epoch = settings, folder, steps_per_epoch
        self.accelerator = join_processes()
        self.device: torch.device = self.accelerator.device
        self.module, self.network = module.to(self.device), network
        self.average = copy.deepcopy(network).eval()
        self.optimiser = self.make_optimiser()
        self.progress = Progress()
        self.total_steps = steps_per_epoch * settings.epochs
        self.timings: dict[str, float] = {}
        self._precision = None if settings.precision == "auto" else Precision(settings.precision)
        self._model: nn.Module | None = None
        self._scaler: torch.amp.GradScaler | None = None

    # What a subclass says

    @abstractmethod
    def batch(self, step: int) -> BatchT:
        """The CPU tensors of a step; called in a thread, ahead of their use."""

    @abstractmethod
    def loss(self, batch: BatchT) -> Tensor:
        """The loss of a batch, by one call of `model`, within `autocast` where the subclass asks for it."""

    @abstractmethod
    def score(self, average: NetworkT) -> ConfusionMatrix:
        """The average's confusion matrix on validation data."""

    def own_settings(self) -> dict[str, Any]:
        """The trainer's own settings, for checkpoint and card."""
        return {}

    def rates(self) -> Mapping[str, float] | None:
        """Relative learning rates by the names of parameter groups, 1 for others; None for the published ones."""
        return {}

    def make_optimiser(self) -> torch.optim.Optimizer:
        """What trains `module`; each group has its learning rate as `base_lr`."""
        return make_optimiser(parameter_groups(self.module), self.settings, self.rates())

    def set_training(self) -> None:
        """Put the model into the mode that it is trained in."""
        self.model.train()

    def metrics(self, confusion: ConfusionMatrix, classes: Sequence[str]) -> dict[str, Any]:
        """What a model card says of the average's scores."""
        return {
            "miou_val": confusion.mean_iou,
            "iou_val": dict(zip(classes, confusion.iou.tolist(), strict=True)),
            "pixel_accuracy_val": confusion.pixel_accuracy,
        }

    def rate(self, step: int) -> float:
        """The learning rate at a step, relative to each group's `base_lr`."""
        return lr_factor(self.settings, step, self.total_steps)

    # What subclasses compute with

    @property
    def precision(self) -> Precision:
        """How this run computes: what the settings or the checkpoint say, or else what timed steps do."""
        if self._precision is None:
            self._precision, self.timings = self.timed_precision()
        return self._precision

    @property
    def model(self) -> nn.Module:
        """`module`, wrapped where there are several processes, so that their gradients are averaged."""
        if self._model is None:
            for each in (self.module, self.average):
                self.precision.lay_out(each)
            self._model = self.accelerator.prepare_model(self.module)
        return self._model

    @property
    def scaler(self) -> torch.amp.GradScaler:
        """Of the loss; does something for fp16 only."""
        if self._scaler is None:
            self._scaler = self.precision.scaler(self.device)
        return self._scaler

    def autocast(self) -> Any:
        """The context that forward passes run in."""
        return self.precision.autocast(self.device)

    def own_part(self, count: int) -> range:
        """This process's part of a step's samples, `count` for each process, numbered over all processes."""
        first = self.accelerator.process_index * count
        return range(first, first + count)

    # The loop

    def batches(self) -> Iterator[BatchT]:
        """The batches from the current step on, prepared ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead: Future[BatchT] = pool.submit(self.batch, self.progress.step)
            for step in range(self.progress.step, self.total_steps):
                ready = ahead
                if step + 1 < self.total_steps:
                    ahead = pool.submit(self.batch, step + 1)
                yield ready.result()

    def run(self, on_best: OnBest[NetworkT]) -> bool:
        """Train to the end; `on_best` is called whenever the average is the best so far.

        Returns whether the end was reached: SIGINT and SIGTERM stop it after a step, with a checkpoint.
        """
        is_main = self.accelerator.is_main_process
        writer = SummaryWriter(str(self.folder / "tensorboard")) if is_main else None
        first = self.progress.step
        stopped = False
        with (
            StopRequest() as stop,
            tqdm(total=self.total_steps, initial=first, unit="step", disable=None if is_main else True) as bar,
        ):
            for batch in self.batches():
                loss = self.train_step(batch)
                self.progress.step += 1
                bar.update()
                if self.progress.step % 20 == 0:
                    bar.set_postfix(loss=f"{loss:.3f}", miou=f"{max(0.0, self.progress.best_miou):.3f}")
                    if writer is not None:
                        writer.add_scalar("loss/train", loss, self.progress.step)
                        writer.add_scalar("lr", self.optimiser.param_groups[0]["lr"], self.progress.step)
                stopped = self.any_process(stop.made) and self.progress.step < self.total_steps
                if self.progress.step % self.steps_per_epoch == 0 and writer is not None:
                    self.end_epoch(loss, writer, on_best)
                if stopped:
                    break
        if stopped and is_main:
            self.save(self.folder / "last.pt")
        if writer is not None:
            writer.close()
        self.accelerator.wait_for_everyone()
        return not stopped

    def train_step(self, batch: BatchT) -> float:
        """One optimiser step; returns the loss, of this process's samples."""
        model, step = self.model, self.progress.step
        seed = np.random.SeedSequence([self.settings.seed, step, self.accelerator.process_index])
        torch.manual_seed(int(seed.generate_state(1)[0]))  # dropout's
        self.set_training()
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * self.rate(step)
        with enough_values():
            loss = self.loss(batch.to(self.device))
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], GRADIENT_NORM)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.update_average()
        return float(loss.detach())

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the weights; its horizon grows from a few steps to 1 / (1 - ema)."""
        step = self.progress.step
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        for old, new in zip(tensors_of(self.average), tensors_of(self.network), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)

    def end_epoch(self, loss: float, writer: SummaryWriter, on_best: OnBest[NetworkT]) -> None:
        """Validate, every few epochs and at the end, and write a checkpoint."""
        epoch = self.progress.step // self.steps_per_epoch
        if epoch % self.settings.validate_every == 0 or self.progress.step == self.total_steps:
            self.validate(epoch, loss, writer, on_best)
        self.save(self.folder / "last.pt")

    def validate(self, epoch: int, loss: float, writer: SummaryWriter, on_best: OnBest[NetworkT]) -> None:
        """Score the average, log it, and hand it on if it is the best so far."""
        confusion = self.score(self.average)
        miou = confusion.mean_iou
        writer.add_scalar("miou/val", miou, self.progress.step)
        self.progress.history.append({"epoch": epoch, "miou_val": round(miou, 5), "loss": round(loss, 5)})
        tqdm.write(f"epoch {epoch}: val mIoU {miou:.4f}, loss {loss:.3f}")
        if not miou <= self.progress.best_miou:  # the first in any case, even where it is not a number
            self.progress.best_miou = miou
            on_best(self.average, confusion)

    def any_process(self, wish: bool) -> bool:
        """Whether any process has a wish; all hear the same."""
        if self.accelerator.num_processes == 1:
            return wish
        return bool(total_over_processes(torch.tensor(float(wish), device=self.device)) > 0)

    def timed_precision(self) -> tuple[Precision, dict[str, float]]:
        """The precision that a step on an excerpt of the first batch is fastest with, and the seconds of all."""
        batch = self.batch(0).excerpt().to(self.device)
        trial = copy.deepcopy(self.module).train()

        def step(precision: Precision) -> None:
            precision.lay_out(trial)
            self._precision, self._model = precision, trial
            self.set_training()
            trial.zero_grad()
            with enough_values():
                loss = self.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]

        try:
            return fastest_precision(step, self.device)
        finally:
            self._precision = self._model = None

    # Checkpoints

    def save(self, file: Path) -> None:
        """Write everything a later run needs to go on exactly; the old checkpoint stays until this one is whole."""
        state = {
            "model": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": asdict(self.precision),
            "timings": self.timings,
            "progress": asdict(self.progress),
            "settings": self.all_settings(),
        }
        with whole_file(file) as part:
            torch.save(state, part)

    def load(self, file: Path) -> None:
        """Go on from a checkpoint of `save`, in its precision; InputError where it is of another training.

        It is read into main memory, so that the optimiser's step counters stay there.
        """
        try:
            state = read_tensors(file)
            if self.settings.precision == "auto":
                self._precision, self.timings = Precision(**state["precision"]), state["timings"]
            self.module.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.progress = Progress(**state["progress"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"'{file}' does not fit this training ({' '.join(str(error).split())[:200]}); "
                "give the options that it was begun with, or another folder"
            ) from error
        self._model = self._scaler = None
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    def all_settings(self) -> dict[str, Any]:
        """The loop's settings and the trainer's own."""
        return asdict(self.settings) | self.own_settings()


@contextmanager
def enough_values() -> Iterator[None]:
    """InputError if a step's maps are so small that a batch norm has but one value per channel to norm."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            "a step's pictures are so few and so small that batch normalisation sees a single value per channel; "
            "give a larger --batch, or larger pictures (--crop)"
        ) from error


def tensors_of(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers themselves; a state dict may hold copies."""
    return itertools.chain(module.parameters(), module.buffers())

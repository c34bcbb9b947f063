"""A run in its folder: `last.pt` to go on from, `best.safetensors` with its card `best.json`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import torch
from torch import nn

from .... import __version__
from ....console import INTERRUPTED
from ....data import Dataset
from ....errors import InputError
from ....files import whole_file
from ....segnet import ConfusionMatrix
from ...provenance import command_line, hardware
from ..loop import Trainer, is_main_process, part_processes, wait_for_all

NetworkT = TypeVar("NetworkT", bound=nn.Module)
BEST = "best.safetensors"


def prepare_folder(output: Path, *, resume: bool) -> Path:
    """Make the run's folder; its checkpoint's path.

    InputError if it holds a run that is not to be resumed, or one that has weights but no checkpoint.
    """
    checkpoint = output / "last.pt"
    if checkpoint.exists() and not resume:
        raise InputError(f"'{output}' holds a run already; continue it with --resume, or give another folder")
    if not checkpoint.exists() and (output / BEST).exists():
        raise InputError(
            f"'{output}' holds {BEST} but no {checkpoint.name} to continue from, and a new run would replace it; "
            f"give another folder, or --init {output / BEST} to start from it"
        )
    if output.exists() and not output.is_dir():
        raise InputError(f"'{output}' is a file, and a run needs a folder; give another name")
    output.mkdir(parents=True, exist_ok=True)
    return checkpoint


def run_trainer(
    trainer: Trainer[Any, NetworkT],
    checkpoint: Path,
    write: Callable[[NetworkT, Path], None],
    facts: dict[str, Any],
    data: Dataset,
    *,
    resume: bool,
) -> None:
    """Train to the end, leaving `best.safetensors` by `write` and its card `best.json`.

    Ctrl-C and SIGTERM leave a checkpoint and end the command with status 130.
    """
    wait_for_all()  # of several processes none looks for a checkpoint after another has written its first
    if resume and checkpoint.exists():
        trainer.load(checkpoint)
        say(f"resumed at step {trainer.progress.step} of {trainer.total_steps}")
    elif resume:
        say(f"--resume: '{checkpoint.parent}' holds no checkpoint yet; starting from the beginning")
    say(f"training in {trainer.precision} on {trainer.device}")
    started = time.time()

    def keep_best(average: NetworkT, confusion: ConfusionMatrix) -> None:
        file = checkpoint.with_name(BEST)
        write(average, file)
        card = facts | training_facts(trainer, confusion, data, time.time() - started)
        with whole_file(file.with_suffix(".json")) as part:
            part.write_text(json.dumps(without_nan(card), indent=2) + "\n")

    finished = trainer.run(keep_best)
    if not finished:
        say(
            f"stopped at step {trainer.progress.step} of {trainer.total_steps}; '{checkpoint}' is whole: "
            "continue with the same command and --resume"
        )
    part_processes()
    if not finished:
        click.get_current_context().exit(INTERRUPTED)


def training_facts(
    trainer: Trainer[Any, NetworkT], confusion: ConfusionMatrix, data: Dataset, seconds: float
) -> dict[str, Any]:
    """How the weights were made, and what they score."""
    precision = {"type": trainer.precision.name, "channels_last": trainer.precision.channels_last}
    return {
        "dataset": data.name,
        "palette": data.palette.colours.tolist(),
        "licence_note": data.licence,
        "command": command_line("train-segnet"),
        "settings": trainer.all_settings(),
        "precision": precision | ({"seconds_a_step": trainer.timings} if trainer.timings else {}),
        "processes": trainer.accelerator.num_processes,
        "step": trainer.progress.step,
        "steps": trainer.total_steps,
        "metrics": trainer.metrics(confusion, data.classes),
        "history": trainer.progress.history,
        "training_seconds_since_start_or_resume": round(seconds),
        "hardware": hardware(),
        "versions": {"gopseg": __version__, "torch": torch.__version__},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def say(text: str) -> None:
    """A line on standard error, of the main process."""
    if is_main_process():
        click.echo(text, err=True)


def without_nan(value: Any) -> Any:
    """A value for JSON, which has no NaN: None in its place."""
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value

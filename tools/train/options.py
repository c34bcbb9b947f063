"""Options that the subcommands of `train-segnet` share. Nothing here imports torch."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ...console import add_options, option
from ...data import known_datasets
from ...errors import InputError
from ...options import Bitrate
from .loss_options import WEIGHT, frame_loss_options

F = TypeVar("F", bound=Callable[..., Any])

DATA, RUN, OPTIMISER, VIEWS = "Data", "Run", "Optimiser", "Views"
FOLDER = click.Path(path_type=Path)
SHARE = click.FloatRange(0, 1)
RATE = click.FloatRange(0, 1e3, min_open=True)
SEED = click.IntRange(0)
SMALLEST_CROP = 16
"""Pixels each way that every architecture can be trained on."""
OPTIMISERS = click.Choice(["adamw", "sgd"])
PRECISIONS = click.Choice(["auto", "fp32", "bf16", "fp16"])
SCHEDULES = click.Choice(["flat-cosine", "cosine", "poly"])
STOPPED = "stopped at once; if the run's folder has a last.pt, continue with the same command and --resume"
"""What a command says after Ctrl-C where it could not write a checkpoint."""


class CropSize(click.ParamType[tuple[int, int, float]]):
    """HxW:SHARE, as in 256x320:0.5; the share may be left out."""

    name = "HxW[:SHARE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, float]:
        """Text to (height, width, share)."""
        if isinstance(value, tuple):
            return value
        try:
            size, _, share = str(value).partition(":")
            height, width = (int(v) for v in size.split("x"))
            found = height, width, float(share or 1)
        except ValueError:
            self.fail(f"'{value}' is not HxW or HxW:SHARE, as in 256x320:0.5", param, ctx)
        if height < 1 or width < 1 or not 0 < found[2] < float("inf"):
            self.fail(f"'{value}' has a number that is not above 0; give HxW:SHARE, as in 256x320:0.5", param, ctx)
        if min(height, width) < SMALLEST_CROP:
            self.fail(f"'{value}' is smaller than {SMALLEST_CROP}x{SMALLEST_CROP}; give a larger crop", param, ctx)
        return found


def need_extra() -> None:
    """InputError if the libraries of the extra [train] are missing; call it before torch is imported.

    Several processes also tell torch to keep two warnings that mean nothing here: of the search for unused parameters,
    which every step needs since they may differ from step to step, and of the strides of 1x1 kernels, several of which
    mean the same layout.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    missing = [name for name in ("accelerate", "tensorboard") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {' and '.join(missing)}: pip install 'gopseg[train]'")


def data_options(default: str = "camvid") -> Callable[[F], F]:
    """Which data set, and the run's folder."""
    options = [
        option(
            "--dataset",
            default=default,
            show_default=True,
            metavar="NAME|DIR",
            group=DATA,
            help=f"{known_datasets()}.",
        ),
        option("--root", type=FOLDER, group=DATA, help="Folder of the data set, if --dataset is a name."),
        option("-o", "--output", type=FOLDER, required=True, group=RUN, help="Folder of the run."),
    ]
    return add_options(options)


def run_options(command: F) -> F:
    """Options of every training: data, folder, length, optimiser, validation."""
    options = [
        data_options(),
        val_frames_option,
        option(
            "--epochs", type=click.IntRange(1), default=100, show_default=True, group=RUN, help="Passes over the data."
        ),
        option(
            "--batch",
            type=click.IntRange(1),
            default=8,
            show_default=True,
            group=RUN,
            help="Frames per process and step.",
        ),
        option("--seed", type=SEED, default=0, show_default=True, group=RUN, help="Random seed."),
        option("--validate-every", type=click.IntRange(1), default=5, show_default=True, group=RUN, help="In epochs."),
        precision_option("auto"),
        option("--resume", is_flag=True, group=RUN, help="Continue from the run's last checkpoint."),
        option("--optimiser", type=OPTIMISERS, default="adamw", show_default=True, group=OPTIMISER, help="Optimiser."),
        option("--lr", type=RATE, default=1e-3, show_default=True, group=OPTIMISER, help="Learning rate."),
        option(
            "--weight-decay",
            type=WEIGHT,
            default=0.02,
            show_default=True,
            group=OPTIMISER,
            help="Weight decay, except of norms and biases.",
        ),
        option("--warmup", type=click.IntRange(0), default=200, show_default=True, group=OPTIMISER, help="In steps."),
        option(
            "--schedule",
            type=SCHEDULES,
            default="flat-cosine",
            show_default=True,
            group=OPTIMISER,
            help="Learning rate schedule.",
        ),
        option(
            "--ema",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.998,
            show_default=True,
            group=OPTIMISER,
            help="Decay of the moving average of the weights.",
        ),
    ]
    return add_options(options)(command)


def precision_option(default: str | None) -> Callable[[F], F]:
    """`--precision`."""
    return option(
        "--precision",
        type=PRECISIONS,
        default=default,
        show_default=default is not None,
        group=RUN,
        help="auto: times a few steps in fp32 and bf16, each in both memory layouts, and takes the fastest.",
    )


def scale_option(default: tuple[float, float] | None) -> Callable[[F], F]:
    """`--scale`, two numbers in order."""

    def check(ctx: click.Context, param: click.Parameter, value: tuple[float, float] | None) -> Any:
        if value and not value[0] <= value[1]:
            raise click.BadParameter(f"{value[0]:g} is above {value[1]:g}; give the smaller first", ctx, param)
        return value

    zoom = click.FloatRange(0.05, 20)
    return option(
        "--scale",
        type=(zoom, zoom),
        default=default,
        show_default=default is not None,
        callback=check,
        group=VIEWS,
        help="Range of the random zoom.",
    )


def image_options(command: F) -> F:
    """Options of trainings that see single frames: views, deep supervision, more data."""
    options = [
        option(
            "--crop",
            "crops",
            type=CropSize(),
            multiple=True,
            default=["360x480"],
            group=VIEWS,
            help="Crop sizes, used in turn.",
        ),
        scale_option((0.5, 2.0)),
        option("--mix", type=SHARE, default=0.3, show_default=True, group=VIEWS, help="Probability of ClassMix."),
        option(
            "--degrade",
            type=SHARE,
            default=0.3,
            show_default=True,
            group=VIEWS,
            help="Probability of blur, JPEG or sensor noise.",
        ),
        option(
            "--codec",
            type=SHARE,
            default=0.0,
            show_default=True,
            group=VIEWS,
            help="Probability of an H.264 P-frame's artefacts.",
        ),
        option(
            "--light",
            type=WEIGHT,
            default=0.35,
            show_default=True,
            group=VIEWS,
            help="Largest gamma, as a natural logarithm; contrast, brightness and white balance scale with it.",
        ),
        option(
            "--encoder-lr",
            type=WEIGHT,
            default=1.0,
            show_default=True,
            group=OPTIMISER,
            help="The encoder's learning rate, relative to --lr.",
        ),
        option(
            "--encoder-norm",
            type=click.Choice(["train", "kept"]),
            default="train",
            show_default=True,
            group=OPTIMISER,
            help="The encoder's batch-norm statistics: train re-estimates them, kept leaves them as loaded.",
        ),
        frame_loss_options,
        option(
            "--synthetic",
            type=SHARE,
            default=0.0,
            show_default=True,
            group=DATA,
            help="Share of samples from synthetic streets.",
        ),
        option(
            "--synthetic-frames",
            type=click.IntRange(1),
            default=480,
            show_default=True,
            group=DATA,
            help="Synthetic frames to render.",
        ),
        option(
            "--clips",
            type=FOLDER,
            group=DATA,
            help="Folder made by `preprocess stills`, to train on its decoded frames too.",
        ),
        option(
            "--clips-share",
            type=SHARE,
            default=0.5,
            show_default=True,
            group=DATA,
            help="Share of samples from --clips.",
        ),
        option(
            "--clips-frames",
            type=click.Choice(["still", "all"]),
            default="still",
            show_default=True,
            group=DATA,
            help="Which frames of --clips: the stills themselves, which are not warped, or all.",
        ),
    ]
    return add_options(options)(command)


def lr_scale_option(command: F) -> F:
    """`--lr-scale`."""
    return option(
        "--lr-scale",
        type=click.FloatRange(0.1, 0.95),
        default=0.5,
        show_default=True,
        help="Scale of the branch's input.",
    )(command)


def hr_option(command: F) -> F:
    """`--hr`."""
    return option(
        "--hr",
        required=True,
        metavar="MODEL",
        help="The full-resolution network: the name of shipped weights, a file, or hf:NAME.",
    )(command)


def val_bitrate_option(command: F) -> F:
    """`--val-bitrate`, of trainings that are validated on encoded recordings."""
    return option(
        "--val-bitrate",
        type=Bitrate(),
        default=750_000,
        show_default=True,
        group=DATA,
        help="Bitrate of `val`, in bits per second, as in 750k.",
    )(command)


def val_frames_option(command: F) -> F:
    """`--val-frames`."""
    return option(
        "--val-frames",
        type=click.IntRange(1),
        group=DATA,
        help="Validate on only this many labelled frames, the first ones.",
    )(command)

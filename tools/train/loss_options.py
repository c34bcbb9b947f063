"""Options of `train-segnet` about the loss. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ...console import add_options, option
from ...errors import InputError

F = TypeVar("F", bound=Callable[..., Any])

LOSS = "Loss"
WEIGHT = click.FloatRange(0, 1e6)
POWER = click.FloatRange(0, 10)


def balance_option(command: F) -> F:
    """`--balance`."""
    return option(
        "--balance",
        type=POWER,
        default=0.15,
        show_default=True,
        group=LOSS,
        help="Power of the inverse class frequency by which classes are weighted; 0: all alike.",
    )(command)


def hard_options(command: F) -> F:
    """`--ohem` and `--ohem-confidence`, as `keep` and `confidence`, and `--losses`."""
    options = [
        option(
            "--ohem",
            "keep",
            type=click.FloatRange(0, 1, min_open=True),
            default=1.0,
            show_default=True,
            group=LOSS,
            help="Share of the hardest pixels to keep; 1: all.",
        ),
        option(
            "--ohem-confidence",
            "confidence",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            group=LOSS,
            help="Or keep the pixels whose own class has a probability below this, and at least the worst of every 16.",
        ),
        option(
            "--losses",
            type=click.Choice(["own", "published"]),
            default="own",
            show_default=True,
            group=LOSS,
            help="published: those of AR-Seg for its PSPNet-18 and BiSeNetV1-18, in place of the other options of the "
            "loss.",
        ),
    ]
    return add_options(options)(command)


def distillation_option(command: F) -> F:
    """`--distillation`, of a network that imitates the HR network."""
    return option(
        "--distillation",
        type=WEIGHT,
        default=0.0,
        show_default=True,
        group=LOSS,
        help="Weight of the KL divergence from the HR network's output on the same frame.",
    )(command)


def frame_loss_options(command: F) -> F:
    """Those of per-frame networks."""
    options = [
        balance_option,
        hard_options,
        option(
            "--auxiliary", type=WEIGHT, default=0.4, show_default=True, group=LOSS, help="Weight of deep supervision."
        ),
        option(
            "--lovasz",
            type=WEIGHT,
            default=0.0,
            show_default=True,
            group=LOSS,
            help="Weight of the Lovász-softmax loss, a surrogate of mIoU: rare classes count like others.",
        ),
    ]
    return add_options(options)(command)


def loss_options(options: dict[str, Any], published: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The options with those that `published` gives in their place if --losses asks for it, and without --losses.

    InputError for one that was given beside it, and for both kinds of hard example mining together.
    """
    rest = dict(options)
    chosen = rest.pop("losses")
    if rest["keep"] < 1 and rest["confidence"] is not None:
        raise InputError("--ohem and --ohem-confidence choose hard pixels in two ways; give one of them")
    if chosen == "own":
        return {**rest, "published": False}
    instead = published()
    context = click.get_current_context()
    for name in instead:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            spelled = next(each.opts[0] for each in context.command.params if each.name == name)
            raise InputError(f"--losses published decides {spelled}, too; leave it out, or --losses")
    return {**rest, **instead}

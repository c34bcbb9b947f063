"""Options that modes declare: frozen dataclasses whose fields say what the command line, sweeps and checks need."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import StreamUsageError
from ..motion import CODEC

SPEC = "gopseg"
"""Where an `OptionSpec` lies in a field's metadata."""


@dataclass(frozen=True)
class OptionSpec:
    """What is to be known of one option of a mode.

    `kind` is the type of its values: int, float, str or Path. `choices` are all there are, where there are few; numbers
    lie between `low` and `high`, None for no bound, and `is_open` leaves the bounds themselves out. `default_help` says
    in words what happens by default, None where the value itself does.
    """

    kind: type[int] | type[float] | type[str] | type[Path]
    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    is_open: bool = False
    default_help: str | None = None

    def check(self, flag: str, value: Any) -> None:
        """StreamUsageError where a value is none of this kind."""
        if value is None or (self.kind is Path and isinstance(value, str)):
            return
        kinds = (int, float) if self.kind is float else self.kind
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise StreamUsageError(f"{flag} {value}: is no {_WORDS[self.kind]}; give one")
        if self.choices and value not in self.choices:
            raise StreamUsageError(f"{flag} {value}: unknown; take one of {', '.join(self.choices)}")
        if isinstance(value, int | float):
            below = self.low is not None and (value <= self.low if self.is_open else value < self.low)
            above = self.high is not None and (value >= self.high if self.is_open else value > self.high)
            if below or above or value != value:
                raise StreamUsageError(f"{flag} {value}: is out of range; give {self.range}")

    @property
    def range(self) -> str:
        """The numbers there are, in words."""
        if self.high is None:
            return f"a number above {self.low:g}" if self.is_open else f"{self.low:g} or more"
        return f"a number between {self.low:g} and {self.high:g}" + (", both excluded" if self.is_open else "")


_WORDS = {int: "whole number", float: "number", str: "text", Path: "path"}


def integer(default: int | None, help: str, *, low: int | None = None, default_help: str | None = None) -> Any:
    """A field that is a whole number."""
    return _field(default, OptionSpec(int, help, low=low, default_help=default_help))


def number(default: float, help: str, *, low: float, high: float, is_open: bool = False) -> Any:
    """A field that is a number between bounds."""
    return _field(default, OptionSpec(float, help, low=low, high=high, is_open=is_open))


def positive(default: float | None, help: str, *, high: float | None = 1, default_help: str | None = None) -> Any:
    """A field that is a number above 0 and below `high` (None for no bound), or None where it may be left out."""
    return _field(default, OptionSpec(float, help, low=0, high=high, is_open=True, default_help=default_help))


def choice(default: str, choices: tuple[str, ...], help: str) -> Any:
    """A field that is one of a few words."""
    return _field(default, OptionSpec(str, help, choices))


def text(default: str | None, help: str, *, default_help: str | None = None) -> Any:
    """A field that is free text."""
    return _field(default, OptionSpec(str, help, default_help=default_help))


def _field(default: Any, spec: OptionSpec) -> Any:
    return field(default=default, metadata={SPEC: spec})


@dataclass(frozen=True, kw_only=True)
class Options:
    """The base of every mode's options; a mode without any takes this. Values are checked as they come in."""

    def __post_init__(self) -> None:
        for name, spec, _ in option_specs(type(self)):
            spec.check(flag_of(name), getattr(self, name))


def option_specs(options: type[Options]) -> Iterator[tuple[str, OptionSpec, Any]]:
    """Name, specification and default of each option."""
    for each in dataclasses.fields(options):
        yield each.name, each.metadata[SPEC], each.default


def flag_of(name: str) -> str:
    """An option's name on the command line."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class LowResolution(Options):
    """Options of modes with an LR branch."""

    lr_scale: float = number(
        0.5,
        "Scale of the frames that the branch sees; the model needs weights for it.",
        low=0,
        high=1,
        is_open=True,
    )


@dataclass(frozen=True, kw_only=True)
class Keyframes(Options):
    """Options of all modes in which the network sees some frames only."""

    interval: int | None = integer(
        None, "Frames from one run of the network to the next.", low=1, default_help="the stream's keyframes"
    )


def interval_runs_on(options: Any) -> str | None:
    """What modes with `interval` and `flow_source` remember: motion other than the codec's does not begin anew at
    keyframes, so that an interval is counted on over them."""
    return "counts --interval on over keyframes" if options.interval and options.flow_source != CODEC else None


@dataclass(frozen=True, kw_only=True)
class KeyframeScale(Options):
    """Options of modes whose keyframes may be seen smaller."""

    key_scale: float = number(1.0, "Scale at which the network sees keyframes.", low=0.05, high=1)


CARRY_SCORES, CARRY_FEATURES = "scores", "features"


@dataclass(frozen=True, kw_only=True)
class Carry(Options):
    """Options of modes that carry what the network says as it is."""

    carry: str = choice(
        CARRY_SCORES,
        (CARRY_SCORES, CARRY_FEATURES),
        "What is carried: the network's class probabilities, or the features that it classifies.",
    )


@dataclass(frozen=True, kw_only=True)
class HeadWeights(Options):
    """Options of modes with a propagation head."""

    guided_weights: Path | None = field(
        default=None,
        metadata={
            SPEC: OptionSpec(Path, "The propagation head.", default_help="NAME-guided.safetensors beside the model")
        },
    )


def flow_source(default: str | None, *, default_help: str | None = None) -> Any:
    """The field `flow_source`."""
    return text(
        default,
        "Source of motion: motion (the codec's), dis (optical flow by dense inverse search), none, or the flow network "
        "of a propagation model, as in light:FILE.",
        default_help=default_help,
    )


def refresh_above(default: float) -> Any:
    """The field `refresh_above`."""
    return number(
        default, "Share of cells without motion above which the network sees a frame, as after a cut.", low=0, high=1
    )

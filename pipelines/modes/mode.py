"""`Mode`: what a mode declares of itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from ..errors import StreamUsageError
from .options import Options, flag_of

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..runner import NetworkRunner

Given = TypeVar("Given", bound=Options)


@dataclass(frozen=True)
class CodecReads:
    """What a mode reads of the codec besides frame types: `motion` that means 'the previous frame' or a reference, `qp`
    maps, raw `vectors` of whatever meaning."""

    motion: bool = False
    qp: bool = False
    vectors: bool = False


@dataclass(frozen=True)
class BranchWeights:
    """A weight file beside the network's own, `NAME-KIND[SCALE].safetensors`.

    `scale` and `file` are the options that give its scale and another file in its place; a file of the kinds in `also`
    holds such a branch, too.
    """

    kind: Literal["lr", "ar", "guided"]
    scale: str | None = None
    file: str | None = None
    also: tuple[Literal["lr", "ar", "guided"], ...] = ()


def _nothing(_: Options) -> CodecReads:
    return CodecReads()


def _keyframe_only(_: Options) -> str | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Mode(Generic[Given]):
    """A declaration: a mode's `name`, its `help` in a line, its `options`, what it `reads` of the codec with these, the
    `weights` it wants beside the network's, and how to `build` its pipeline.

    `remembers` says, of these options, what the labels after one of the stream's keyframes depend on before it, beside
    the length of the last GOP: "it ..."; None where there is nothing. Only then may several workers share a file.

    `build` is a function, or "package.module:function", which is imported only when a pipeline is built: declarations
    are read for `--help`, so they import neither torch nor a codec.
    """

    name: str
    help: str
    build: str | Callable[[NetworkRunner, Given], Pipeline]
    options: type[Given]
    reads: Callable[[Given], CodecReads] = _nothing
    weights: tuple[BranchWeights, ...] = ()
    remembers: Callable[[Given], str | None] = _keyframe_only

    def __post_init__(self) -> None:
        named = {option for each in self.weights for option in (each.scale, each.file) if option is not None}
        if unknown := named - set(option_names(self)):
            raise ValueError(f"mode {self.name} has weights by an option '{unknown.pop()}' that it does not declare")

    def parse(self, given: Mapping[str, Any]) -> Given:
        """The mode's options, those that are given and the rest's defaults; None counts as not given.

        StreamUsageError for an option that the mode has not got, or a value that cannot be.
        """
        names = option_names(self)
        there = {name: value for name, value in given.items() if value is not None}
        foreign = [name for name in there if name not in names]
        if foreign:
            raise StreamUsageError(f"{flag_of(foreign[0])}: mode {self.name} has no use for it; {_way_out(foreign[0])}")
        return self.options(**there)

    def pipeline(self, runner: NetworkRunner, *, keep_logits: bool = False, **given: Any) -> Pipeline:
        """A pipeline for one stream; the errors of `parse`, and those of the weights that it wants."""
        pipeline = self.builder()(runner, self.parse(given))
        pipeline.keep_logits = keep_logits
        return pipeline

    def builder(self) -> Callable[[NetworkRunner, Given], Pipeline]:
        """The function that builds a pipeline."""
        if not isinstance(self.build, str):
            return self.build
        module, _, name = self.build.partition(":")
        found: Callable[[NetworkRunner, Given], Pipeline] = getattr(import_module(module), name)
        return found


AnyMode = Mode[Any]
"""A mode whatever its options."""


def option_names(mode: AnyMode) -> tuple[str, ...]:
    """The names of a mode's options."""
    return tuple(each.name for each in dataclasses.fields(mode.options))


def _way_out(option: str) -> str:
    from .registry import MODES

    fitting = [name for name, mode in MODES.items() if option in option_names(mode)]
    return f"leave it out or take --mode {' or '.join(fitting)}" if fitting else "no mode has; leave it out"

"""What `evaluate-segnet` compares: modes with their options, each a pipeline that can be built anew for every clip."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...pipelines import MODES, AnyMode, CodecReads, option_names

if TYPE_CHECKING:
    from ...pipelines import NetworkRunner, Pipeline

ALIASES = {"hr": "frame"}
"""Names of the papers for modes of ours."""


@dataclass(frozen=True)
class Variant:
    """A mode with its options: `name` tells it from the others of a report, `mode` is what the user called it."""

    name: str
    mode: str
    declaration: AnyMode
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads(self) -> CodecReads:
        """What it reads of the codec."""
        return self.declaration.reads(self.declaration.parse(self.options))

    def build(self, runner: NetworkRunner) -> Pipeline:
        """A pipeline for one clip."""
        return self.declaration.pipeline(runner, **self.options)


def make_variants(modes: str, model: str, sweeps: Mapping[str, Sequence[Any]]) -> list[Variant]:
    """Variants of comma-separated `MODE` or `MODE@MODEL`, in that order.

    A mode that has an option of a sweep's name comes once for each of its values. InputError for unknown modes, for a
    variant that comes twice, and for a sweep that none of the modes has an option for; StreamUsageError for values that
    cannot be.
    """
    variants: list[Variant] = []
    swept: set[str] = set()
    for text in filter(None, (part.strip() for part in modes.split(","))):
        mode, _, own = text.partition("@")
        declaration = MODES.get(ALIASES.get(mode, mode))
        if declaration is None:
            known = ", ".join((*ALIASES, *MODES))
            raise InputError(f"--modes: unknown mode '{mode}'; there are: {known}")
        keys = [key for key in sweeps if key in option_names(declaration)]
        swept.update(keys)
        for values in itertools.product(*(sweeps[key] for key in keys)):
            options = dict(zip(keys, values, strict=True))
            parsed = declaration.parse(options)
            options |= {key: getattr(parsed, key) for key in scale_options(declaration)}
            shown = [describe(declaration, key, options[key]) for key in keys if len(sweeps[key]) > 1]
            variants.append(Variant(" ".join([text, *shown]), mode, declaration, own or model, options))
    unused = [key for key in sweeps if key not in swept]
    if unused:
        raise InputError(f"none of the modes {modes} has the option '{unused[0]}'; leave it out or add such a mode")
    names = [variant.name for variant in variants]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise InputError(f"--modes: '{twice[0]}' is there twice" if twice else "--modes: names no mode")
    return variants


def scale_options(mode: AnyMode) -> list[str]:
    """The options that give the scale of a mode's branch: they choose weights, so they are always recorded."""
    return [wanted.scale for wanted in mode.weights if wanted.scale is not None]


SCALE = scale_options(MODES["ar"])[0]
"""What `--lr-scales` varies."""


def describe(mode: AnyMode, key: str, value: Any) -> str:
    """An option in a variant's name: of the branch's scale, which is in every AR-Seg table, the value; others as
    key=value."""
    return f"{value}" if key in scale_options(mode) else f"{key}={value}"


def parse_values(text: str) -> list[Any]:
    """The values of a list, comma-separated, each a range `LOW..HIGH`, a JSON value, or text.

    A range of whole numbers has steps of 1, of others steps of 0.1: "0.3..0.5,0.75" is 0.3, 0.4, 0.5, 0.75. InputError
    where there is none.
    """
    values: list[Any] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        bounds = re.fullmatch(r"(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)", part)
        if bounds is None:
            values.append(_value(part))
            continue
        scale = 10 if "." in bounds[1] + bounds[2].lstrip(".") else 1
        low, high = (round(float(bound) * scale) for bound in bounds.groups())
        values += [step / scale if scale > 1 else step for step in range(low, high + 1)]
    if not values:
        raise InputError(f"'{text}' names no value; give a list as in 0.3..0.9 or 0.5,0.75")
    return values


def parse_sweeps(lr_scales: str | None, sweeps: Iterable[str]) -> dict[str, list[Any]]:
    """`--lr-scales` and `--sweep KEY=VALUES` as values by option; InputError where one is not of that form."""
    found = {} if lr_scales is None else {SCALE: parse_values(lr_scales)}
    for text in sweeps:
        key, equals, values = text.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"--sweep '{text}' is not of the form KEY=VALUES, as in {SCALE}=0.3..0.9")
        found[key] = parse_values(values)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text

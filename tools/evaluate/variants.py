"""What `evaluate-segnet` compares: modes with their options, each a pipeline that can be built anew for every clip."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ...pipelines import MODES, NetworkRunner, Pipeline
from ...segnet import branch_file, find_weights
from ..console import InputError

GUIDED = "guided"

ALIASES = {"hr": "frame"}
"""Names of the papers for modes of ours."""


@dataclass(frozen=True)
class Variant:
    """A mode with its options: `name` tells it from the others of a report, `mode` is what the user called it."""

    name: str
    mode: str
    pipeline: type[Pipeline]
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, runner: NetworkRunner) -> Pipeline:
        """A pipeline for one clip."""
        return self.pipeline(runner, **self.options)


def make_variants(modes: str, model: str, sweeps: Mapping[str, Sequence[Any]]) -> list[Variant]:
    """Variants of comma-separated `MODE` or `MODE@MODEL`, in that order.

    A mode whose pipeline has an option of a sweep's name comes once for each of its values. InputError for unknown
    modes, for a variant that comes twice, and for a sweep that none of the modes has an option for.
    """
    variants: list[Variant] = []
    swept: set[str] = set()
    for text in filter(None, (part.strip() for part in modes.split(","))):
        mode, _, own = text.partition("@")
        pipeline = MODES.get(ALIASES.get(mode, mode))
        if pipeline is None:
            known = ", ".join((*ALIASES, *MODES))
            raise InputError(f"--modes: unknown mode '{mode}'; there are: {known}")
        keys = [key for key in sweeps if default(pipeline, key) is not None]
        swept.update(keys)
        for values in itertools.product(*(sweeps[key] for key in keys)):
            options = dict(zip(keys, values, strict=True))
            scale = default(pipeline, "lr_scale")
            if scale is not None:
                options.setdefault("lr_scale", scale)
            shown = [describe(key, value) for key, value in options.items() if len(sweeps.get(key, [])) > 1]
            variants.append(Variant(" ".join([text, *shown]), mode, pipeline, own or model, options))
    unused = [key for key in sweeps if key not in swept]
    if unused:
        raise InputError(f"none of the modes {modes} has the option '{unused[0]}'; leave it out or add such a mode")
    names = [variant.name for variant in variants]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise InputError(f"--modes: '{twice[0]}' is there twice" if twice else "--modes: names no mode")
    return variants


def default(pipeline: type[Pipeline], option: str) -> Any:
    """The default of an option of a pipeline's constructor; None where it has no such option."""
    parameter = inspect.signature(pipeline.__init__).parameters.get(option)
    return None if parameter is None else parameter.default


def describe(key: str, value: Any) -> str:
    """An option in a variant's name: 0.5 of `lr_scale`, which is in every AR-Seg table, others as key=value."""
    return f"{value}" if key == "lr_scale" else f"{key}={value}"


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
    found = {} if lr_scales is None else {"lr_scale": parse_values(lr_scales)}
    for text in sweeps:
        key, equals, values = text.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"--sweep '{text}' is not of the form KEY=VALUES, as in lr_scale=0.3..0.9")
        found[key] = parse_values(values)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def backbone_name(model: str) -> str:
    """The architecture that a weight file names."""
    with safe_open(find_weights(model), "np") as file:
        return str((file.metadata() or {}).get("architecture", "network"))


def branch_files(variants: Iterable[Variant]) -> list[Path]:
    """The files of the branches (LR, AR, propagation heads) that belong to the variants' models and are used."""
    variants = list(variants)
    files = [
        branch_file(find_weights(variant.model), variant.pipeline.mode, variant.options["lr_scale"])
        for variant in variants
        if "lr_scale" in variant.options
    ]
    files += [
        Path(variant.options.get("guided_weights") or branch_file(find_weights(variant.model), GUIDED))
        for variant in variants
        if variant.pipeline.mode == GUIDED
    ]
    return [file for file in dict.fromkeys(files) if file.is_file()]

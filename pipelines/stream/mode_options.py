"""The modes' options as options of a command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ...console import Option
from ..modes import MODES, OptionSpec, flag_of, option_specs


def mode_options(group: str) -> list[Option]:
    """An option for each that some mode declares, None where it is not given, with the modes that have it."""
    users: dict[str, list[tuple[str, OptionSpec, Any]]] = {}
    for mode in MODES.values():
        for name, spec, default in option_specs(mode.options):
            users.setdefault(name, []).append((mode.name, spec, default))
    return [
        Option([flag_of(name)], group=group, type=_type(uses[0][1]), help=_help(uses)) for name, uses in users.items()
    ]


def _type(spec: OptionSpec) -> click.ParamType[Any]:
    if spec.choices:
        return click.Choice(spec.choices)
    if spec.kind is int:
        return click.IntRange(spec.low if spec.low is None else int(spec.low))
    if spec.kind is float:
        return click.FloatRange(spec.low, spec.high, min_open=spec.is_open, max_open=spec.is_open)
    return click.Path(path_type=Path, dir_okay=False) if spec.kind is Path else click.STRING


def _help(uses: list[tuple[str, OptionSpec, Any]]) -> str:
    modes = [mode for mode, _, _ in uses]
    named = modes[0] if len(modes) == 1 else f"{', '.join(modes[:-1])} and {modes[-1]}"
    return f"Mode{'s' if len(modes) > 1 else ''} {named}. {uses[0][1].help} Default: {'; '.join(_defaults(uses))}."


def _defaults(uses: list[tuple[str, OptionSpec, Any]]) -> Iterator[str]:
    """What happens by default, with the modes' names where they differ."""
    words: dict[str, list[str]] = {}
    for mode, spec, default in uses:
        words.setdefault(spec.default_help or str(default), []).append(mode)
    for word, modes in words.items():
        yield word if len(words) == 1 else f"{word} ({', '.join(modes)})"

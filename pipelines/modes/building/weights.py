"""The weight files that modes want beside a network's own: where they lie, and what to do where they do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ....segnet import branch_file
from ...errors import StreamUsageError
from ..mode import AnyMode, BranchWeights
from ..options import Options, flag_of

_TRAINERS = {"lr": "train-segnet lr", "ar": "train-segnet ar", "guided": "train-segnet propagation"}


def branch_files(mode: AnyMode, options: Options, weights: Path) -> list[Path]:
    """The files that a mode takes for the network whose weights are `weights`; those that are missing are left out."""
    found = (
        next((file for file in _candidates(wanted, options, weights) if file.is_file()), None)
        for wanted in mode.weights
    )
    return [file for file in found if file is not None]


def find_branch(mode: AnyMode, options: Options, weights: Path | None) -> Path:
    """The first file that a mode wants; StreamUsageError that says how to come by it."""
    wanted = mode.weights[0]
    named = None if wanted.file is None else getattr(options, wanted.file)
    if named:
        return Path(named)
    other = "" if wanted.file is None else f", or give {flag_of(wanted.file)} FILE"
    if weights is None:
        raise StreamUsageError(
            f"mode {mode.name} needs a network that was loaded from a file, beside which its weights lie{other}"
        )
    candidates = list(_candidates(wanted, options, weights))
    found = [file for file in candidates if file.is_file()]
    if found:
        return found[0]
    what = f"{wanted.kind.upper()} branch" if wanted.scale else "propagation head"
    way = f"train one: {_TRAINERS[wanted.kind]} --hr {weights}"
    if wanted.scale is not None:
        what = f"{what} at scale {getattr(options, wanted.scale):g}"
        scales = _scales(wanted, weights)
        way = f"take {flag_of(wanted.scale)} {', '.join(scales)}" if scales else way
    raise StreamUsageError(f"'{weights.stem}' has no {what} ('{candidates[0]}'); {way}{other}")


def _candidates(wanted: BranchWeights, options: Options, weights: Path) -> Iterator[Path]:
    if wanted.file is not None and getattr(options, wanted.file):
        yield Path(getattr(options, wanted.file))
        return
    for kind in (wanted.kind, *wanted.also):
        if wanted.scale is None:
            yield branch_file(weights, kind)
        else:
            yield branch_file(weights, kind, getattr(options, wanted.scale))


def _scales(wanted: BranchWeights, weights: Path) -> list[str]:
    """The scales for which a network has such a branch."""
    kinds = "|".join((wanted.kind, *wanted.also))
    pattern = re.compile(rf"{re.escape(weights.stem)}-(?:{kinds})([\d.]+)\.safetensors")
    return sorted({match[1] for path in weights.parent.iterdir() if (match := pattern.fullmatch(path.name))})

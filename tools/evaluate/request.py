"""What `evaluate-segnet` is asked for: its options, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import torch

from ... import __version__
from ...data import Dataset, open_dataset
from ...errors import InputError
from ...pipelines import NetworkRunner
from ...segnet import load_network
from ..class_matching import Relabelling, match_classes
from ..provenance import hardware, sha256, weights_sha256
from .measuring import Encoding, SharedRunner, Views, separate_views
from .models import branch_files
from .variants import Variant, make_variants, parse_sweeps, parse_values


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of the command, the data set open; the properties are what the others mean."""

    dataset: Dataset
    split: str
    limit: int | None
    model: str
    modes: str
    lr_scales: str | None
    sweep: tuple[str, ...]
    gop: str
    bitrate: tuple[int, ...]
    fps: float | None
    consistency: Any
    by_interval: bool
    stills: bool
    flip: bool
    scales: str
    device: str
    precision: Any
    runtime: Any
    cache: Path | None = None
    encode: Encoding = "gops"

    @cached_property
    def variants(self) -> list[Variant]:
        """The modes with their options."""
        return make_variants(self.modes, self.model, parse_sweeps(self.lr_scales, self.sweep))

    @property
    def gops(self) -> list[int]:
        """The GOP lengths; InputError where one is none."""
        return parse_gops(self.gop)

    @property
    def views(self) -> list[Views]:
        """How stills are seen; InputError where a scale is none."""
        scales = parse_values(self.scales)
        wrong = [value for value in scales if not isinstance(value, int | float) or not 0 < value <= 4]
        if wrong:
            raise InputError(f"--scales: '{self.scales}' are no sizes above 0 and up to 4; give them as in 0.75,1,1.25")
        return separate_views([float(scale) for scale in scales], self.flip)

    def load_runners(self) -> dict[str, SharedRunner]:
        """A runner for each model; InputError where options do not fit, ModelError where a model cannot be loaded."""
        if len(self.views) > 1 and not self.stills:
            raise InputError("--flip and --scales average over views of single frames; add --stills")
        models = [self.model] if self.stills else [variant.model for variant in self.variants]
        return {
            model: SharedRunner(
                load_network(model),
                device=self.device,
                precision=self.precision,
                runtime=self.runtime,
                cache=self.cache,
            )
            for model in dict.fromkeys(models)
        }

    def relabellings(self, runners: Mapping[str, NetworkRunner]) -> dict[str, Relabelling | None]:
        """How each model's labels become the data set's; InputError where its classes are others."""
        return {model: match_classes(model, runner.classes, self.dataset) for model, runner in runners.items()}

    def settings(self, runners: Mapping[str, NetworkRunner], **more: Any) -> dict[str, Any]:
        """What the figures depend on: choices, versions, hardware, hashes of weights."""
        branches = [] if self.stills else branch_files(self.variants, runners)
        return {
            "dataset": self.dataset.name,
            "title": self.dataset.title,
            "split": self.split,
            "limit": self.limit,
            "classes": list(self.dataset.classes),
            "precision": {model: runner.precision for model, runner in runners.items()},
            "runtime": {model: runner.runtime for model, runner in runners.items()},
            "weights_sha256": {
                **{model: weights_sha256(runner.network) for model, runner in runners.items()},
                **{file.stem: sha256(file.read_bytes()) for file in branches},
            },
            "versions": {"gopseg": __version__, "torch": torch.__version__, "av": av.__version__},
            "hardware": hardware(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            **more,
        }


def parse_gops(text: str) -> list[int]:
    """The GOP lengths of a list such as 4,8,12; InputError where one is none."""
    values = parse_values(text)
    wrong = [value for value in values if not isinstance(value, int) or value < 1]
    if wrong:
        raise InputError(f"--gop: '{wrong[0]}' is no GOP length; give whole numbers as in 4,8,12")
    return values


def open_request(*, dataset: str, root: Path | None, split: str | None, frames: Path | None, **options: Any) -> Request:
    """The request of the command's options; DatasetError where the data set cannot be opened."""
    data = open_dataset(dataset, root, frames=frames)
    return Request(dataset=data, split=split or data.default_split, **options)

"""What the trainings of per-frame networks, `train-segnet hr` and `lr`, make of the options that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ....data import Augmentation, Dataset, Sample, open_dataset
from ..loop import TrainSettings
from ..samples import ExtraSettings, balanced_weights, extra_samples, labelled_stills
from ..trainers import ImageSettings

_VIEWS = ("scale", "mix", "degrade", "codec", "light")
_LOSS = ("keep", "confidence", "published", "encoder_lr", "encoder_norm", "auxiliary", "lovasz")
_EXTRAS = tuple(field.name for field in fields(ExtraSettings))


@dataclass(frozen=True, kw_only=True)
class FrameRun:
    """Settings, labelled frames of both splits, and what is mixed into those of `train`."""

    settings: TrainSettings
    own: ImageSettings
    extras: ExtraSettings
    balance: float
    data: Dataset
    train: Sequence[Sample]
    val: Sequence[Sample]

    @classmethod
    def of(cls, dataset: str, root: Path | None, val_frames: int | None, options: dict[str, Any], **own: Any) -> Self:
        """From the options of `run_options` and `image_options`, and other fields of `ImageSettings`.

        InputError if the data set or a split of it is not there.
        """
        rest = dict(options)

        def taken(names: Sequence[str]) -> dict[str, Any]:
            return {name: rest.pop(name) for name in names}

        crops, balance = rest.pop("crops"), rest.pop("balance")
        views, loss, extras = taken(_VIEWS), taken(_LOSS), taken(_EXTRAS)
        data = open_dataset(dataset, root)
        return cls(
            settings=TrainSettings(**rest),
            own=ImageSettings(crops=crops, augmentation=Augmentation(crop_hw=crops[0][:2], **views), **loss, **own),
            extras=ExtraSettings(**extras),
            balance=balance,
            data=data,
            train=labelled_stills(data, "train"),
            val=labelled_stills(data, "val", val_frames),
        )

    def class_weights(self) -> NDArray[np.float32]:
        """Those of the classes, (classes,)."""
        return balanced_weights(self.data.stills("train"), len(self.data.classes), self.balance)

    def mixed_in(self, output: Path) -> tuple[list[tuple[float, Sequence[Sample]]], dict[str, Any]]:
        """Other samples with their shares, and facts about all data for the card; what is rendered is kept in `output`.

        InputError if their classes are not the data set's.
        """
        extra, words = extra_samples(self.extras, self.data, output, self.train[0], self.settings.seed)
        frames = f"{self.data.name} train, {len(self.train)} labelled frames{words}"
        return extra, {"classes": list(self.data.classes), "balance": self.balance, "data": frames}

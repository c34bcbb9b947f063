"""A drive through a synthetic street as one labelled video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data import Sample, SyntheticStreet
from ..jobs import LabelledVideoJob


class StreetDrive(Sequence[Sample]):
    """`count` frames of a street from frame `first` on, rendered when they are asked for."""

    def __init__(self, street: SyntheticStreet, first: int, count: int) -> None:
        self.street, self.first, self._length = street, first, count

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Sample(f"street{self.street.seed}-{index:06d}", *self.street.frame(self.first + index))


@dataclass(frozen=True, kw_only=True)
class StreetJob(LabelledVideoJob):
    """`count` frames of the street of `seed`, from frame `first` on."""

    size_hw: tuple[int, int]
    first: int
    count: int

    @property
    def source_path(self) -> Path:
        """No file: a name."""
        return Path(f"street{self.seed}")

    def settings_record(self) -> dict[str, Any]:
        """Everything that the output depends on, beside the versions."""
        return {**super().settings_record(), "size_hw": list(self.size_hw), "first": self.first, "count": self.count}

    def source_stamp(self) -> list[int]:
        """The seed."""
        return [self.seed]

    def frame_total(self) -> int:
        """`count`."""
        return self.count

    def frames(self) -> StreetDrive:
        """The drive."""
        return StreetDrive(SyntheticStreet(self.seed, self.size_hw, self.frame_rate), self.first, self.count)

    def facts(self, frames: Sequence[Sample]) -> dict[str, Any]:  # noqa: ARG002
        """The street."""
        return {"source": {"path": str(self.source_path), "size_hw": list(self.size_hw)}}

"""`ClassList`: what the values and colours of label outputs mean."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ...codec import Frame
from ...data import VOID, Palette
from ..prediction import Prediction
from .progress import Point
from .sinks import Output


class ClassList(Output):
    """A JSON of names, values and colours, in the form of a data set's `classes.json` (`data.FolderDataset`):
    `{"classes": [{"name": "road", "value": 0, "color": [128, 64, 128]}, ...], "void": 255}`."""

    def __init__(self, target: Path, names: Sequence[str], palette: Palette) -> None:
        super().__init__(target)
        classes = [
            {"name": name, "value": value, "color": palette.table[value].tolist()} for value, name in enumerate(names)
        ]
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in classes)
        self._text = f'{{"classes": [\n{lines}\n],\n"void": {VOID}}}\n'

    def recover(self, is_published: bool) -> int:  # noqa: ARG002
        """It never holds others up."""
        return sys.maxsize

    def start(self, keep: int = 0, origin: Point | None = None) -> None:
        """Nothing is to be done before the end."""

    def write(self, frame: Frame, prediction: Prediction) -> None:  # noqa: ARG002
        """Frames add nothing."""
        self.written += 1

    def finish(self) -> None:
        """Write the file."""
        self.part.write_text(self._text, encoding="utf-8")

    def save(self) -> int:
        """Of as many frames as any other has."""
        self.finish()
        return sys.maxsize

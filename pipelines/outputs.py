"""Output files and folders that appear under their final names only when they are whole."""

from __future__ import annotations

import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..codec.frame import Frame
from .errors import StreamUsageError
from .overlay import Painter
from .prediction import Prediction
from .rle import encode_labels


class Output(ABC):
    """Something written beside `target` and renamed to it by `publish`, once `finish` has made it whole."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(f".{target.stem}.part-{os.getpid()}{target.suffix}")
        self.written = 0

    @abstractmethod
    def start(self) -> None:
        """Create the part; OSError where that cannot be done."""

    @abstractmethod
    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Add one frame; `prediction` is that frame's."""

    @abstractmethod
    def finish(self) -> None:
        """Complete the part."""

    def publish(self) -> None:
        """Give the part its final name, in place of what is there."""
        if self.target.is_dir():
            old = self.target.with_name(f".{self.target.name}.old-{os.getpid()}")
            self.target.rename(old)
            self.part.rename(self.target)
            shutil.rmtree(old)
        else:
            self.part.replace(self.target)

    def discard(self) -> None:
        """Remove the part, whatever state it is in."""
        if self.part.is_dir():
            shutil.rmtree(self.part, ignore_errors=True)
        else:
            self.part.unlink(missing_ok=True)


class ImageFolder(Output):
    """A folder of PNG files 000000.png, 000001.png, ..., one a frame."""

    @abstractmethod
    def draw(self, labels: NDArray[np.uint8]) -> Image.Image:
        """The picture to save for (H, W) uint8 labels."""

    def start(self) -> None:
        """Create the folder."""
        self.part.mkdir()

    def write(self, frame: Frame, prediction: Prediction) -> None:  # noqa: ARG002
        """Save the frame's picture."""
        self.draw(prediction.labels).save(self.part / f"{self.written:06d}.png", compress_level=1)
        self.written += 1

    def finish(self) -> None:
        """Nothing is left to complete."""


class LabelImages(ImageFolder):
    """8-bit paletted pictures: the value of a pixel is its class, shown in the colours (n, 3) uint8 RGB."""

    def __init__(self, target: Path, colours: NDArray[np.uint8]) -> None:
        super().__init__(target)
        table = np.zeros((256, 3), np.uint8)
        table[: len(colours)] = colours
        self._table = table.ravel().tolist()

    def draw(self, labels: NDArray[np.uint8]) -> Image.Image:
        """The labels as they are, with the palette."""
        image = Image.fromarray(labels)
        image.putpalette(self._table)
        return image


class ColourImages(ImageFolder):
    """RGB pictures: each class in its colour."""

    def __init__(self, target: Path, painter: Painter) -> None:
        super().__init__(target)
        self._painter = painter

    def draw(self, labels: NDArray[np.uint8]) -> Image.Image:
        """The labels in colour."""
        return Image.fromarray(self._painter.colour(labels))


class RunLengths(Output):
    """One JSON line a frame: its number, time, size, and the COCO run-length encoding of each class that it shows."""

    def __init__(self, target: Path, classes: Sequence[str]) -> None:
        super().__init__(target)
        self._classes = classes

    def start(self) -> None:
        """Create the file."""
        self._file = self.part.open("w", encoding="utf-8")

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Write the frame's line."""
        size = list(prediction.labels.shape)
        segments = [
            {
                "category_id": value,
                "category": self._classes[value] if value < len(self._classes) else None,
                "segmentation": {"size": size, "counts": counts},
            }
            for value, counts in encode_labels(prediction.labels)
        ]
        line = {
            "frame": self.written,
            "source_frame": frame.index,
            "pts_seconds": frame.pts_seconds,
            "size": size,
            "segments": segments,
        }
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self.written += 1

    def finish(self) -> None:
        """Close the file."""
        self._file.close()

    def discard(self) -> None:
        """Close and remove the file."""
        if hasattr(self, "_file"):
            self._file.close()
        super().discard()


class OutputSet:
    """Several outputs that come and go together."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.outputs = outputs

    def start(self) -> None:
        """Create every part; StreamUsageError, and nothing left behind, where one cannot be written."""
        try:
            for output in self.outputs:
                output.start()
        except OSError as error:
            self.discard()
            raise StreamUsageError(
                f"'{output.target}' cannot be written: {error.strerror or error}; choose another place with -o"
            ) from error

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Write one frame to each."""
        for output in self.outputs:
            output.write(frame, prediction)

    def publish(self) -> None:
        """Finish all, then rename all."""
        for output in self.outputs:
            output.finish()
        for output in self.outputs:
            output.publish()

    def discard(self) -> None:
        """Remove every part."""
        for output in self.outputs:
            output.discard()

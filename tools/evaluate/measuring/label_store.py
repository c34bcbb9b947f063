"""`LabelStore`: label maps of a whole video, on disk for as long as they are needed."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class LabelStore:
    """Label maps in the order in which they were added, compressed in a temporary file without a name.

    Memory does not grow with their number but for a few bytes each.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with this object)
        self._sizes: list[tuple[int, tuple[int, ...]]] = []

    def add(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Keep a map, (H, W) uint8; returns it."""
        packed = zlib.compress(np.ascontiguousarray(labels).data, 1)
        self._file.seek(0, 2)
        self._file.write(packed)
        self._sizes.append((len(packed), labels.shape))
        return labels

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The maps, in order. Nothing may be added meanwhile."""
        self._file.seek(0)
        for size, shape in self._sizes:
            yield np.frombuffer(zlib.decompress(self._file.read(size)), np.uint8).reshape(shape)

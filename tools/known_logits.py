"""Logits that a network has given before, on disk: measuring again on the same pictures does not run it again."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import whole_file
from ..pipelines import NetworkRunner
from .provenance import weights_sha256


class KnownLogits:
    """A folder of logits in half precision, one file for each picture that a network saw.

    They are addressed by the network's weights, runtime and precision, and by the picture's bytes: whichever video,
    encoding or command a picture comes from, what is found is what that network said of it.
    """

    def __init__(self, folder: Path, runner: NetworkRunner) -> None:
        name = f"{weights_sha256(runner.network)[:16]}-{runner.runtime}-{runner.precision}"
        self.folder = folder / name
        self.folder.mkdir(parents=True, exist_ok=True)

    def find(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float] | None:
        """The logits (h, w, classes) of a picture (H, W, 3), and the seconds that they took; None if unknown."""
        file = self._file(image)
        if not file.is_file():
            return None
        with np.load(file) as known:
            return known["logits"].astype(np.float32), float(known["seconds"])

    def add(self, image: NDArray[np.uint8], logits: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
        """Keep what the network said of a picture; returns it as `find` will."""
        half = logits.astype(np.float16)
        with whole_file(self._file(image)) as part, part.open("wb") as file:
            np.savez(file, logits=half, seconds=np.float64(seconds))
        return half.astype(np.float32)

    def _file(self, image: NDArray[np.uint8]) -> Path:
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
        digest.update(repr(image.shape).encode())
        return self.folder / f"{digest.hexdigest()}.npz"


class KnowingRunner(NetworkRunner):
    """A runner that runs its network only on pictures whose logits are not in the folder `cache` yet, if there is one.

    `saved_seconds` grows by what those that were found took when they were made. Features and branches run as ever.
    """

    def __init__(self, *arguments: Any, cache: Path | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.saved_seconds = 0.0
        self._known = None if cache is None else KnownLogits(cache, self)

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `NetworkRunner`."""
        if self._known is None or not self._may_remember:
            return super().logits(image)
        found = self._known.find(image)
        if found is not None:
            self.saved_seconds += found[1]
            return found[0]
        began, saved = time.perf_counter(), self.saved_seconds
        logits = super().logits(image)
        return self._known.add(image, logits, time.perf_counter() - began + self.saved_seconds - saved)

    @property
    def stays_on_device(self) -> bool:
        """See `NetworkRunner`; what is known is on the CPU."""
        return self._known is None and super().stays_on_device

    @property
    def _may_remember(self) -> bool:
        """Whether known logits may be taken now."""
        return True

"""A process of `fuzz-codec` that reads damaged videos in every way that users do."""

from __future__ import annotations

import io
import resource
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from ...codec import CodecError, MotionChain, MotionField, open_video
from .inputs import fuzz_input

MEMORY_MIB = 1024
_MOST_FRAMES = 200


@dataclass(frozen=True)
class FuzzResult:
    """What became of one input: 'decoded', 'refused' (with an error of ours), 'exception' or 'memory'; the number of
    frames, how many of them are marked as corrupt, and the text of the error."""

    number: int
    status: str
    frames: int = 0
    corrupt: int = 0
    text: str = ""


def read(source: str | BinaryIO, random: np.random.Generator) -> tuple[int, int, str]:
    """Open, iterate and compose; the number of frames, of corrupt ones, and the CodecError that ended it, if any."""
    references = bool(random.random() < 0.3)
    pixels = references or bool(random.random() < 0.7)
    threads = 2 if random.random() < 0.1 else 1
    frames = corrupt = 0
    chain: MotionChain | None = None
    try:
        with open_video(source, qp=True, pixels=pixels, references=references, threads=threads) as video:
            for frame in video:
                if frame.is_keyframe or chain is None:
                    chain = MotionChain(frame.size_hw)
                elif frame.motion is None:
                    chain.push(None)
                else:
                    chain.push(MotionField.from_vectors(frame.motion))
                _check(chain.compose(8), frame.size_hw)
                if frame.references is not None:
                    _check(frame.references.compose(8), frame.size_hw)
                if pixels and frames % 4 == 0 and frame.image.shape != (*frame.size_hw, 3):
                    raise AssertionError(f"image {frame.image.shape} of a frame of {frame.size_hw}")
                frames += 1
                corrupt += frame.corrupt
                if frames == _MOST_FRAMES:
                    break
    except CodecError as error:
        return frames, corrupt, f"{type(error).__name__}: {error}"
    return frames, corrupt, ""


def run_input(seed: int, number: int, folder: Path) -> FuzzResult:
    """Read one input, from memory or from a file in `folder`; anything but our own errors is an 'exception'."""
    data = fuzz_input(seed, number).data
    random = np.random.default_rng([seed, number, 1])
    source: str | BinaryIO = io.BytesIO(data)
    if random.random() < 0.2:
        path = folder / "input"
        path.write_bytes(data)
        source = str(path)
    try:
        frames, corrupt, text = read(source, random)
    except Exception:
        return FuzzResult(number, "exception", text=traceback.format_exc())
    return FuzzResult(number, "refused" if text else "decoded", frames, corrupt, text)


def work(connection: Connection, seed: int) -> None:
    """Take numbers of inputs from `connection` and give a FuzzResult for each, until there are no more; None at first,
    when all is imported."""
    av.logging.set_level(av.logging.PANIC)
    base = _peak_mib()
    limit = 2 * MEMORY_MIB << 20  # of addresses, not all of which are used: only to keep the machine safe
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))
    connection.send(None)
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                number = connection.recv()
            except EOFError:
                return
            result = run_input(seed, number, Path(folder))
            if _peak_mib() - base > MEMORY_MIB:
                result = FuzzResult(number, "memory", text=f"{_peak_mib() - base:.0f} MiB more than at first")
            connection.send(result)
            if result.status == "memory":
                return


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _check(field: MotionField, size_hw: tuple[int, int]) -> None:
    rows, columns = field.unreferenced.shape
    y, x = np.mgrid[:rows, :columns] * 8 + 4.0
    for place, along, size in ((x, 0, size_hw[1]), (y, 1, size_hw[0])):
        reached = np.minimum(place, size - 0.5) + field.displacement[..., along]
        if not (np.isfinite(reached).all() and reached.min() >= 0 and reached.max() <= size):
            raise AssertionError(f"composed motion leaves the picture of {size_hw}")

"""`Reserve`: room set aside on a disk, so that files which were begun can be completed once the disk is full."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryFile

_LEAST, _STEP = 32 << 10, 64 << 10


class Reserve:
    """Bytes of the disk that `folder` is on, held by a file without a name, which goes with the process.

    OSError where there is no such room.
    """

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - held until `release`
        self._size = 0
        try:
            self._grow(_LEAST)
        except OSError:
            self._file.close()
            raise

    def hold(self, size: int) -> None:
        """Have at least `size` bytes set aside; OSError where there is no such room, and what there was is held on."""
        if size > self._size and not self._file.closed:
            self._grow(-(-size // _STEP) * _STEP)

    def release(self) -> None:
        """Give the room back, for others to use."""
        self._file.close()

    def _grow(self, size: int) -> None:
        if sys.platform == "linux":
            os.posix_fallocate(self._file.fileno(), 0, size)
        else:
            self._file.seek(self._size)
            self._file.write(bytes(size - self._size))
        self._size = size


class ReservedFile:
    """A new file for FFmpeg to write, which is written on into the `reserve` where the disk is full.

    FFmpeg would otherwise give the file up for good. `failure` is the disk's error then: whoever writes should stop,
    and complete the file. Where that does not fit either, `is_lost` tells that it is of no use.
    """

    def __init__(self, path: Path, reserve: Reserve | None) -> None:
        self._file = path.open("w+b", buffering=0)
        self._reserve = reserve
        self.failure: OSError | None = None
        self.is_lost = False

    def write(self, data: bytes) -> int:
        """Write all of it, as far as there is room: FFmpeg loses errors on their way."""
        rest = memoryview(data)
        while rest and not self.is_lost:
            try:
                rest = rest[self._file.write(rest) :]
            except OSError as error:
                self.is_lost = self._reserve is None or self.failure is not None
                self.failure = self.failure or error
                if self._reserve is not None:
                    self._reserve.release()
        return len(data)

    def read(self, size: int) -> bytes:
        """Bytes from here on."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

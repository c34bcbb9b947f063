"""Opening what a user calls a video: paths, addresses, file-like objects, standard input; with errors that help."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlparse

import av
import av.logging
from av.container import InputContainer

from ...errors import InvalidDataError, SourceError

Source = str | os.PathLike[str] | BinaryIO
_OPEN_TIMEOUT_SECONDS = 20.0
_PATIENCE_SECONDS = 1.0  # then a user is told what is waited for
_LOG = logging.getLogger(__name__)


def file_url(path: str | os.PathLike[str]) -> str:
    """A path as FFmpeg is to be given it: without "file:" a colon in a file's name would name a protocol."""
    return f"file:{os.fspath(path)}"


class OpenSource:
    """FFmpeg's container for a source, with the source's name for messages.

    Raises SourceError where the source cannot be reached and InvalidDataError where it is no video.
    """

    def __init__(self, source: Source, format: str | None, options: Mapping[str, str] | None) -> None:
        self._reader: _Reader | None = None
        self.opened_at = time.monotonic()
        """When opening began, by a clock that never goes back."""
        self.has_begun = False
        """Whether a packet was read."""
        self._options = dict(options or {})
        if isinstance(source, str | os.PathLike) and os.fspath(source) != "-":
            self.name = os.fspath(source)
            is_address = "://" in self.name
            is_file = not is_address and format is None
            if is_file:
                _check_file(Path(self.name))
            if is_file and Path(self.name).is_fifo():
                self._reader = _Reader(_opened_pipe(self.name))
                self.container = self._open(self._reader, None, False)
            else:
                self.container = self._open(file_url(self.name) if is_file else self.name, format, is_address)
        else:
            file = sys.stdin.buffer if isinstance(source, str) else source
            if isinstance(file, os.PathLike) or not hasattr(file, "read"):
                raise SourceError(f"{source!r}: is no video source; give a path, an address, a binary file or '-'")
            self.name = "standard input" if source == "-" else str(getattr(file, "name", f"<{type(file).__name__}>"))
            self._reader = _Reader(file)
            self.container = self._open(self._reader, format, False)

    def failure(self, error: Exception) -> Exception:
        """The error to raise where reading on failed with FFmpeg's `error`."""
        self.raise_reader_failure()
        cause = getattr(error, "strerror", None) or error
        if self._reader is not None and not self._reader.is_seekable:
            return InvalidDataError(
                f"{self.name}: cannot be read as a stream ({cause}); an MP4 must have its index in front "
                "(ffmpeg -movflags +faststart) or be given as a file"
            )
        is_mp4 = "mp4" in self.container.format.name.split(",")
        if "://" in self.name and is_mp4 and not self.has_begun and getattr(error, "errno", None) == errno.EIO:
            return SourceError(
                f"{self.name}: the MP4's index lies behind its data, and the server gives no parts of files (HTTP "
                "range requests); download it first, or rewrite it there with ffmpeg -c copy -movflags +faststart"
            )
        return SourceError(f"{self.name}: reading stopped ({cause}); check the source or the connection")

    def raise_reader_failure(self) -> None:
        """Raise what a file-like object raised while FFmpeg read from it, an interrupt included."""
        if self._reader is not None and self._reader.failure is not None:
            failure, self._reader.failure = self._reader.failure, None
            if isinstance(failure, Exception):
                raise SourceError(f"{self.name}: reading failed ({failure}); check the source") from failure
            raise failure

    def _open(self, file: str | _Reader, format: str | None, is_address: bool) -> InputContainer:
        timeout = (_OPEN_TIMEOUT_SECONDS, None) if is_address else None
        try:
            container = av.open(file, "r", format=format, options=self._options, timeout=timeout)
        except av.error.InvalidDataError as error:
            self.raise_reader_failure()
            if Path(urlparse(self.name).path).suffix.lower() == ".mpd":
                raise InvalidDataError(
                    f"{self.name}: is a DASH manifest, which this FFmpeg cannot follow; give the address of one of the "
                    "files that it lists, or of an HLS playlist (.m3u8)"
                ) from error
            said = self._said(format)
            if "loading first segment" in said:
                raise InvalidDataError(
                    f"{self.name}: the first segment that it lists cannot be read; check that it is there. Keys of "
                    "encrypted ones are not read from files: ffmpeg -allowed_extensions ALL -i IN -c copy OUT.mp4"
                ) from error
            if "allowed_segment_extensions" in said:
                raise InvalidDataError(
                    f"{self.name}: lists a file that FFmpeg refuses by its name ({said.partition(' is not in')[0]}); "
                    "rename it to .ts or .mp4, or ffmpeg -extension_picky 0 -i IN -c copy OUT.mp4"
                ) from error
            raise InvalidDataError(f"{self.name}: FFmpeg finds no video in it; give a video file") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            self.raise_reader_failure()
            cause = getattr(error, "strerror", None) or error
            raise SourceError(
                f"{self.name}: cannot be opened ({cause}); check the address, the format and the rights"
            ) from error
        self.raise_reader_failure()
        return container

    def _said(self, format: str | None) -> str:
        """What FFmpeg has to say of a local playlist that it cannot open, which it does on asking again."""
        if "://" in self.name or Path(self.name).suffix.lower() not in (".m3u8", ".m3u"):
            return ""
        level = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture() as lines, suppress(av.FFmpegError):
                av.open(file_url(self.name), format=format).close()
        finally:
            av.logging.set_level(level)
        return " ".join(line[2].strip() for line in lines)


class _Reader:
    """Hands a file-like object to FFmpeg and keeps what it raises: FFmpeg's C code would lose an interrupt."""

    def __init__(self, file: BinaryIO) -> None:
        self.failure: BaseException | None = None
        self.is_seekable = hasattr(file, "seek") and hasattr(file, "tell") and getattr(file, "seekable", lambda: True)()
        self._file = file
        self._read = getattr(file, "read1", file.read)  # a live stream's bytes as they come, not a full buffer

    def read(self, size: int) -> bytes:
        try:
            data = self._read(size)
            if isinstance(data, bytes | bytearray | memoryview):
                return bytes(data)
            raise TypeError(f"read() gave {type(data).__name__}, not bytes; open the file in binary mode")
        except BaseException as error:
            self.failure = error
            return b""

    def seekable(self) -> bool:
        return self.is_seekable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _opened_pipe(name: str) -> BinaryIO:
    """A named pipe, once it has a writer; a log message tells whoever waits. Python's own `open` hears Ctrl-C."""

    def tell() -> None:
        _LOG.warning("%s: is a pipe that nobody writes to yet; waiting for that (Ctrl-C ends it)", name)

    timer = threading.Timer(_PATIENCE_SECONDS, tell)
    timer.daemon = True
    timer.start()
    try:
        return open(name, "rb")
    finally:
        timer.cancel()


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise SourceError(f"{path}: is a folder, not a video file; open a folder of frames with open_frames")
    if not path.exists():
        raise SourceError(f"{path}: no such file; check the path")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path}: no permission to read it; change its mode or the user")
    if path.is_file() and path.stat().st_size == 0:
        raise InvalidDataError(f"{path}: the file is empty (0 bytes); copy or record it again")
    if path.is_file() and _is_mp4_without_index(path):
        raise InvalidDataError(
            f"{path}: the MP4 is cut off before the end of its index (moov); copy or record it again"
        )


def _is_mp4_without_index(path: Path) -> bool:
    """Whether a file starts like an MP4 (ISO/IEC 14496-12) but ends before a whole `moov` box."""
    size, at, is_mp4 = path.stat().st_size, 0, False
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if at == 0 and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return False
            is_mp4 = True
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if kind == b"moov" and at + length <= size:
                return False
            if length < 8:
                break
            at += length
    return is_mp4

"""Opening what a user calls a video: paths, addresses, file-like objects, standard input; with errors that help."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer

from .errors import InvalidDataError, SourceError

_OPEN_TIMEOUT_SECONDS = 20.0


def open_container(
    source: str | os.PathLike[str] | BinaryIO, format: str | None, options: Mapping[str, str] | None
) -> tuple[str, InputContainer]:
    """The source's name for messages, and FFmpeg's container.

    Raises SourceError where it cannot be reached and InvalidDataError where it is no video.
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        if name == "-":
            return "standard input", _open(sys.stdin.buffer, "standard input", format, options)
        if "://" in name:
            return name, _open(name, name, format, options, _OPEN_TIMEOUT_SECONDS)
        if format is None:
            _check_path(Path(name))
            name_for_ffmpeg = f"file:{name}"  # a colon in a file's name is not a protocol
        else:
            name_for_ffmpeg = name
        return name, _open(name_for_ffmpeg, name, format, options)
    if not hasattr(source, "read"):
        raise SourceError(f"{source!r} is no video source; give a path, an address, a file-like object or '-'")
    name = str(getattr(source, "name", None) or f"<{type(source).__name__}>")
    return name, _open(source, name, format, options)


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise SourceError(
            f"{path}: is a folder, not a video file; read a folder of frames with gopseg.data.open_frames"
        )
    if not path.exists():
        raise SourceError(f"{path}: no such file; check the path")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path}: no permission to read it; change its mode or the user")
    if path.is_file() and path.stat().st_size == 0:
        raise InvalidDataError(f"{path}: the file is empty (0 bytes); copy or record it again")


def _open(
    file: str | BinaryIO | io.BufferedIOBase,
    name: str,
    format: str | None,
    options: Mapping[str, str] | None,
    timeout: float | None = None,
) -> InputContainer:
    try:
        return av.open(
            file, "r", format=format, options=dict(options or {}), timeout=None if timeout is None else (timeout, None)
        )
    except av.error.InvalidDataError as error:
        log = error.log[2].strip() if error.log else "FFmpeg finds no known format in it"
        if "moov atom" in log:
            raise InvalidDataError(
                f"{name}: the MP4 is cut off before its index (moov atom not found); copy or record it again"
            ) from error
        raise InvalidDataError(f"{name}: is no video that FFmpeg knows ({log}); give a video file") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise SourceError(
            f"{name}: cannot be opened ({cause}); check the address, the format and the rights"
        ) from error
